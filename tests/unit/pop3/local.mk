# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/pop3/pop3_test
tests_unit_pop3_pop3_test_SOURCES = tests/unit/main.cc tests/unit/net/recording_watch.h tests/unit/pop3/fake_site.h \
  tests/unit/pop3/inbox_test.cc tests/unit/pop3/session_test.cc tests/unit/pop3/slow_client_test.cc tests/unit/pop3/text_test.cc
tests_unit_pop3_pop3_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit/net
tests_unit_pop3_pop3_test_CXXFLAGS = $(AM_CXXFLAGS) $(CPPUNIT_CFLAGS) $(ASIO_PCH_FLAGS)
tests_unit_pop3_pop3_test_LDADD = libpostern_pop3.a libpostern_policy.a libpostern_authentication.a libpostern_mapping.a libpostern_store.a libpostern_directory.a libpostern_keyfile.a libpostern_conf.a \
  libpostern_net.a libpostern_mail.a libpostern_base.a \
  $(CPPUNIT_LIBS) $(BOOST_JSON_LIBS) $(DB_LIBS) $(ICU_LIBS) $(CRYPT_LIBS) $(LIBCONFIG_LIBS) $(OPENSSL_LIBS)
$(tests_unit_pop3_pop3_test_OBJECTS): $(ASIO_PCH)
