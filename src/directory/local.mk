# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_directory.a
libpostern_directory_a_SOURCES =
libpostern_directory_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_directory_a_OBJECTS): $(ASIO_PCH)
