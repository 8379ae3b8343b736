# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_mail.a
libpostern_mail_a_SOURCES = \
  src/mail/address.h src/mail/address.cc \
  src/mail/address_places.h src/mail/address_places.cc src/mail/address_list.cc \
  src/mail/charset.h src/mail/charset.cc \
  src/mail/date.h src/mail/date.cc \
  src/mail/delivery_status.h src/mail/delivery_status.cc \
  src/mail/encode.h src/mail/encode.cc \
  src/mail/envelope.h src/mail/envelope.cc \
  src/mail/header.h src/mail/header.cc \
  src/mail/message.h src/mail/message.cc \
  src/mail/message_id.h src/mail/message_id.cc \
  src/mail/notice_text.h src/mail/notice_text.cc \
  src/mail/part.h src/mail/part.cc \
  src/mail/partial.h src/mail/partial.cc \
  src/mail/received.h src/mail/received.cc \
  src/mail/refusal.h \
  src/mail/submission_header.h src/mail/submission_header.cc \
  src/mail/text_source.h src/mail/text_source.cc
