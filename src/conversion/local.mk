# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_conversion.a
libpostern_conversion_a_SOURCES = \
  src/conversion/channel.h src/conversion/channel.cc \
  src/conversion/converter.h src/conversion/converter.cc \
  src/conversion/entries.h src/conversion/entries.cc \
  src/conversion/isolation.h src/conversion/isolation.cc \
  src/conversion/options.h src/conversion/options.cc \
  src/conversion/part_change.h src/conversion/part_change.cc \
  src/conversion/program.h src/conversion/program.cc \
  src/conversion/work_directory.h src/conversion/work_directory.cc
libpostern_conversion_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_conversion_a_OBJECTS): $(ASIO_PCH)
