# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/rehearsal/rehearsal_test
tests_unit_rehearsal_rehearsal_test_SOURCES = tests/unit/main.cc \
  tests/unit/rehearsal/observation_counts_test.cc tests/unit/rehearsal/probe_file_test.cc tests/unit/rehearsal/probe_ring_test.cc \
  tests/unit/rehearsal/replay_test.cc
tests_unit_rehearsal_rehearsal_test_CXXFLAGS = $(AM_CXXFLAGS) $(CPPUNIT_CFLAGS)
tests_unit_rehearsal_rehearsal_test_LDADD = libpostern_rehearsal.a libpostern_mapping.a libpostern_keyfile.a libpostern_base.a $(CPPUNIT_LIBS) $(DB_LIBS)
