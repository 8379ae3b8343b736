# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/authentication/authentication_test
tests_unit_authentication_authentication_test_SOURCES = tests/unit/main.cc \
  tests/unit/authentication/dmarc_test.cc \
  tests/unit/authentication/results_test.cc \
  tests/unit/authentication/signature_test.cc \
  tests/unit/authentication/spf_test.cc \
  tests/unit/authentication/srs_test.cc
tests_unit_authentication_authentication_test_CXXFLAGS = $(AM_CXXFLAGS) $(CPPUNIT_CFLAGS) $(ASIO_PCH_FLAGS)
tests_unit_authentication_authentication_test_LDADD = libpostern_authentication.a libpostern_mail.a libpostern_net.a libpostern_base.a \
  $(CPPUNIT_LIBS) $(BOOST_JSON_LIBS) $(ICU_LIBS) $(OPENSSL_LIBS)
$(tests_unit_authentication_authentication_test_OBJECTS): $(ASIO_PCH)
