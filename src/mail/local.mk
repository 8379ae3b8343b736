# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_mail.a
libpostern_mail_a_SOURCES = \
  src/mail/address.h src/mail/address.cc src/mail/address_list.cc \
  src/mail/envelope.h src/mail/envelope.cc \
  src/mail/message_id.h src/mail/message_id.cc
