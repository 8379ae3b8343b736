# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/directory/directory_test
tests_unit_directory_directory_test_SOURCES = tests/unit/main.cc tests/unit/directory/temporary_directory.h \
  tests/unit/directory/database_test.cc \
  tests/unit/directory/dump_test.cc \
  tests/unit/directory/handles_test.cc \
  tests/unit/directory/ldap_record_test.cc \
  tests/unit/directory/names_test.cc \
  tests/unit/directory/password_test.cc \
  tests/unit/directory/record_test.cc \
  tests/unit/directory/sasl_test.cc \
  tests/unit/directory/server_test.cc \
  tests/unit/directory/signing_test.cc \
  tests/unit/directory/token_test.cc \
  tests/unit/directory/verifier_test.cc
tests_unit_directory_directory_test_CXXFLAGS = $(AM_CXXFLAGS) $(CPPUNIT_CFLAGS) $(ASIO_PCH_FLAGS)
tests_unit_directory_directory_test_LDADD = libpostern_directory.a libpostern_keyfile.a libpostern_net.a libpostern_base.a \
  $(CPPUNIT_LIBS) $(BOOST_JSON_LIBS) $(DB_LIBS) $(ICU_LIBS) $(CRYPT_LIBS)
$(tests_unit_directory_directory_test_OBJECTS): $(ASIO_PCH)
