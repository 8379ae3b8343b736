# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/conversion/conversion_test
tests_unit_conversion_conversion_test_SOURCES = tests/unit/main.cc \
  tests/unit/scratch_directory.h \
  tests/unit/conversion/converter_test.cc \
  tests/unit/conversion/entries_test.cc
tests_unit_conversion_conversion_test_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_unit_conversion_conversion_test_LDADD = libpostern_conversion.a libpostern_queue.a libpostern_spool.a libpostern_sieve.a libpostern_conf.a libpostern_mail.a libpostern_net.a libpostern_base.a \
  $(LIBCONFIG_LIBS) $(SECCOMP_LIBS) $(ICU_LIBS) $(OPENSSL_LIBS) $(BOOST_JSON_LIBS) $(CPPUNIT_LIBS)
$(tests_unit_conversion_conversion_test_OBJECTS): $(ASIO_PCH)
