# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/mapping/mapping_test
tests_unit_mapping_mapping_test_SOURCES = tests/unit/main.cc \
  tests/unit/mapping/access_result_test.cc tests/unit/mapping/compile_test.cc tests/unit/mapping/damage_test.cc \
  tests/unit/mapping/effect_test.cc tests/unit/mapping/evaluation_rows.h tests/unit/mapping/evaluation_test.cc tests/unit/mapping/listing_test.cc \
  tests/unit/mapping/helpers.h tests/unit/mapping/property_test.cc tests/unit/mapping/reference.h
tests_unit_mapping_mapping_test_CXXFLAGS = $(AM_CXXFLAGS) $(CPPUNIT_CFLAGS)
tests_unit_mapping_mapping_test_LDADD = libpostern_mapping.a libpostern_keyfile.a libpostern_base.a $(CPPUNIT_LIBS) $(DB_LIBS)
