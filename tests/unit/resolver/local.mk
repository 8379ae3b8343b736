# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/resolver/resolver_test
tests_unit_resolver_resolver_test_SOURCES = tests/unit/main.cc \
  tests/unit/resolver/resolv_conf_test.cc \
  tests/unit/resolver/server_test.cc \
  tests/unit/resolver/validation_test.cc
tests_unit_resolver_resolver_test_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_unit_resolver_resolver_test_LDADD = libpostern_resolver.a libpostern_net.a libpostern_base.a $(BOOST_JSON_LIBS) $(UNBOUND_LIBS) $(CPPUNIT_LIBS)
$(tests_unit_resolver_resolver_test_OBJECTS): $(ASIO_PCH)
