# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/managesieve/managesieve_test
tests_unit_managesieve_managesieve_test_SOURCES = tests/unit/main.cc tests/unit/net/recording_watch.h tests/unit/managesieve/fake_site.h \
  tests/unit/managesieve/command_test.cc tests/unit/managesieve/script_check_test.cc tests/unit/managesieve/session_test.cc
tests_unit_managesieve_managesieve_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit/net
tests_unit_managesieve_managesieve_test_CXXFLAGS = $(AM_CXXFLAGS) $(CPPUNIT_CFLAGS) $(ASIO_PCH_FLAGS)
tests_unit_managesieve_managesieve_test_LDADD = libpostern_managesieve.a libpostern_policy.a libpostern_authentication.a libpostern_mapping.a libpostern_directory.a libpostern_keyfile.a libpostern_conf.a \
  libpostern_net.a libpostern_sieve.a libpostern_mail.a libpostern_base.a \
  $(CPPUNIT_LIBS) $(DB_LIBS) $(ICU_LIBS) $(CRYPT_LIBS) $(LIBCONFIG_LIBS)
$(tests_unit_managesieve_managesieve_test_OBJECTS): $(ASIO_PCH)
