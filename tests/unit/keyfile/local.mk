# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/keyfile/keyfile_test
tests_unit_keyfile_keyfile_test_SOURCES = tests/unit/main.cc tests/unit/keyfile/compiled_test.cc tests/unit/keyfile/scratch.h tests/unit/keyfile/store_test.cc
tests_unit_keyfile_keyfile_test_CXXFLAGS = $(AM_CXXFLAGS) $(CPPUNIT_CFLAGS)
tests_unit_keyfile_keyfile_test_LDADD = libpostern_keyfile.a libpostern_base.a $(CPPUNIT_LIBS) $(DB_LIBS)
