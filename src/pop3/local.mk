# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_pop3.a
libpostern_pop3_a_SOURCES = \
  src/pop3/inbox.h src/pop3/inbox.cc \
  src/pop3/session.h src/pop3/session.cc \
  src/pop3/text.h src/pop3/text.cc
libpostern_pop3_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_pop3_a_OBJECTS): $(ASIO_PCH)
