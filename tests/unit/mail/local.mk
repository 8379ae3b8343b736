# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/mail/mail_test
tests_unit_mail_mail_test_SOURCES = tests/unit/main.cc \
  tests/unit/mail/address_test.cc \
  tests/unit/mail/delivery_status_test.cc \
  tests/unit/mail/encode_test.cc \
  tests/unit/mail/envelope_test.cc \
  tests/unit/mail/header_test.cc \
  tests/unit/mail/part_test.cc tests/unit/mail/partial_test.cc \
  tests/unit/mail/received_test.cc tests/unit/mail/submission_header_test.cc
tests_unit_mail_mail_test_LDADD = libpostern_mail.a libpostern_base.a $(ICU_LIBS) $(CPPUNIT_LIBS)
tests_unit_mail_mail_test_CPPFLAGS = $(AM_CPPFLAGS) -DPOSTERN_SOURCE_DIR='"$(abs_top_srcdir)"'
