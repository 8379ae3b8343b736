# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_sieve_test.a
libpostern_sieve_test_a_SOURCES = \
  src/sieve_test/execute.cc \
  src/sieve_test/mail_store.h src/sieve_test/mail_store.cc \
  src/sieve_test/runner.h src/sieve_test/runner.cc \
  src/sieve_test/session.h src/sieve_test/session.cc \
  src/sieve_test/settings.h src/sieve_test/settings.cc \
  src/sieve_test/testsuite.cc
