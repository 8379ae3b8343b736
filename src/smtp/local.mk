# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_smtp.a
libpostern_smtp_a_SOURCES = \
  src/smtp/command.h src/smtp/command.cc \
  src/smtp/engine.h \
  src/smtp/incoming.h src/smtp/incoming.cc \
  src/smtp/refusal.h src/smtp/refusal.cc \
  src/smtp/session.h src/smtp/session.cc \
  src/smtp/session_envelope.cc \
  src/smtp/session_auth.cc \
  src/smtp/session_milter.cc \
  src/smtp/session_submission.cc src/smtp/session_text.cc \
  src/smtp/text_decoder.h src/smtp/text_decoder.cc
libpostern_smtp_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_smtp_a_OBJECTS): $(ASIO_PCH)
