# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/sieve/sieve_test
tests_unit_sieve_sieve_test_SOURCES = tests/unit/main.cc \
  tests/unit/sieve/support.h \
  tests/unit/sieve/actions_test.cc \
  tests/unit/sieve/capabilities_test.cc \
  tests/unit/sieve/extensions_test.cc \
  tests/unit/sieve/format_test.cc \
  tests/unit/sieve/language_test.cc \
  tests/unit/sieve/levels_test.cc \
  tests/unit/sieve/limits_test.cc \
  tests/unit/sieve/lint_test.cc \
  tests/unit/sieve/mistakes_test.cc \
  tests/unit/sieve/program_code_test.cc \
  tests/unit/sieve/replies_test.cc \
  tests/unit/sieve/templates_test.cc \
  tests/unit/sieve/tests_test.cc
tests_unit_sieve_sieve_test_LDADD = libpostern_sieve.a libpostern_mail.a libpostern_base.a $(ICU_LIBS) $(CPPUNIT_LIBS)
