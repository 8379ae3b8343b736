# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/sieve_test/sieve_test_test
tests_unit_sieve_test_sieve_test_test_SOURCES = tests/unit/main.cc \
  tests/unit/sieve_test/runner_test.cc
tests_unit_sieve_test_sieve_test_test_LDADD = libpostern_sieve_test.a libpostern_sieve.a libpostern_mail.a libpostern_base.a $(ICU_LIBS) $(CPPUNIT_LIBS)
