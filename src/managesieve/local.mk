# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_managesieve.a
libpostern_managesieve_a_SOURCES = \
  src/managesieve/command.h src/managesieve/command.cc \
  src/managesieve/script_check.h src/managesieve/script_check.cc \
  src/managesieve/session.h src/managesieve/session.cc
libpostern_managesieve_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_managesieve_a_OBJECTS): $(ASIO_PCH)
