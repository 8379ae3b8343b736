# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/smtp/smtp_test
tests_unit_smtp_smtp_test_SOURCES = tests/unit/main.cc tests/unit/policy/fixtures.h tests/unit/policy/fixtures.cc \
  tests/unit/net/recording_watch.h tests/unit/smtp/memory_services.h tests/unit/milter/scripted_milter.h \
  tests/unit/smtp/auth_test.cc \
  tests/unit/smtp/command_test.cc \
  tests/unit/smtp/examination_test.cc \
  tests/unit/smtp/session_test.cc \
  tests/unit/smtp/submission_test.cc \
  tests/unit/smtp/text_decoder_test.cc
tests_unit_smtp_smtp_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit/policy -I$(top_srcdir)/tests/unit/net -I$(top_srcdir)/tests/unit/milter
tests_unit_smtp_smtp_test_CXXFLAGS = $(AM_CXXFLAGS) $(CPPUNIT_CFLAGS) $(ASIO_PCH_FLAGS)
tests_unit_smtp_smtp_test_LDADD = libpostern_smtp.a libpostern_milter.a libpostern_policy.a libpostern_authentication.a libpostern_mapping.a libpostern_directory.a libpostern_keyfile.a libpostern_conf.a \
  libpostern_mail.a libpostern_net.a libpostern_base.a \
  $(CPPUNIT_LIBS) $(BOOST_JSON_LIBS) $(LIBCONFIG_LIBS) $(DB_LIBS) $(ICU_LIBS) $(CRYPT_LIBS)
$(tests_unit_smtp_smtp_test_OBJECTS): $(ASIO_PCH)
