# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/relay/relay_test
tests_unit_relay_relay_test_SOURCES = tests/unit/main.cc \
  tests/unit/relay/client_test.cc \
  tests/unit/relay/connection_test.cc \
  tests/unit/relay/hosts_test.cc \
  tests/unit/relay/mta_sts_test.cc \
  tests/unit/relay/outgoing_text_test.cc \
  tests/unit/relay/relayer_test.cc \
  tests/unit/relay/routes_test.cc \
  tests/unit/relay/tls_policy_test.cc
tests_unit_relay_relay_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit/net
tests_unit_relay_relay_test_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_unit_relay_relay_test_LDADD = libpostern_relay.a libpostern_queue.a libpostern_spool.a libpostern_conf.a libpostern_mail.a libpostern_net.a libpostern_base.a \
  $(LIBCONFIG_LIBS) $(OPENSSL_LIBS) $(ICU_LIBS) $(BOOST_JSON_LIBS) $(CPPUNIT_LIBS)
$(tests_unit_relay_relay_test_OBJECTS): $(ASIO_PCH)
