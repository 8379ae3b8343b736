# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/policy/policy_test
tests_unit_policy_policy_test_SOURCES = tests/unit/main.cc tests/unit/policy/fixtures.h tests/unit/policy/fixtures.cc \
  tests/unit/policy/access_test.cc \
  tests/unit/policy/channels_test.cc \
  tests/unit/policy/dns_questions_test.cc \
  tests/unit/policy/outside_test.cc \
  tests/unit/policy/rewrite_test.cc \
  tests/unit/policy/site_daemons_test.cc
tests_unit_policy_policy_test_CXXFLAGS = $(AM_CXXFLAGS) $(CPPUNIT_CFLAGS) $(ASIO_PCH_FLAGS)
tests_unit_policy_policy_test_LDADD = libpostern_policy.a libpostern_authentication.a libpostern_mapping.a libpostern_directory.a libpostern_keyfile.a libpostern_conf.a \
  libpostern_mail.a libpostern_net.a libpostern_base.a \
  $(CPPUNIT_LIBS) $(BOOST_JSON_LIBS) $(LIBCONFIG_LIBS) $(DB_LIBS) $(ICU_LIBS) $(CRYPT_LIBS)
$(tests_unit_policy_policy_test_OBJECTS): $(ASIO_PCH)
