# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_milter.a
libpostern_milter_a_SOURCES = \
  src/milter/chain.h src/milter/chain.cc \
  src/milter/client.h src/milter/client.cc \
  src/milter/message.h src/milter/message.cc \
  src/milter/protocol.h src/milter/protocol.cc
libpostern_milter_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_milter_a_OBJECTS): $(ASIO_PCH)
