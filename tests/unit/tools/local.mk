# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/tools/tools_test
tests_unit_tools_tools_test_SOURCES = tests/unit/main.cc \
  src/tools/sendmail_message.h src/tools/sendmail_message.cc \
  tests/unit/tools/sendmail_message_test.cc
tests_unit_tools_tools_test_LDADD = libpostern_mail.a libpostern_base.a $(ICU_LIBS) $(CPPUNIT_LIBS)
