# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_master.a
libpostern_master_a_SOURCES = \
  src/master/master.h
libpostern_master_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_master_a_OBJECTS): $(ASIO_PCH)
