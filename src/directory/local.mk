# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_directory.a
libpostern_directory_a_SOURCES = \
  src/directory/client.h \
  src/directory/directory.h \
  src/directory/fixed.h src/directory/fixed.cc \
  src/directory/generation.h src/directory/generation.cc \
  src/directory/names.cc
libpostern_directory_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_directory_a_OBJECTS): $(ASIO_PCH)
