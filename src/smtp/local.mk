# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_smtp.a
libpostern_smtp_a_SOURCES = \
  src/smtp/session.h
libpostern_smtp_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_smtp_a_OBJECTS): $(ASIO_PCH)
