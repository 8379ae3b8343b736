# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_pop3.a
libpostern_pop3_a_SOURCES =
libpostern_pop3_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_pop3_a_OBJECTS): $(ASIO_PCH)
