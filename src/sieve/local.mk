# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_sieve.a
libpostern_sieve_a_SOURCES = \
  src/sieve/actions.cc \
  src/sieve/address_part.h src/sieve/address_part.cc \
  src/sieve/compile.h src/sieve/compiler.h src/sieve/compiler.cc \
  src/sieve/ext_body.cc \
  src/sieve/ext_comparator.cc \
  src/sieve/ext_copy.cc \
  src/sieve/ext_encoded_character.cc \
  src/sieve/ext_envelope.cc \
  src/sieve/ext_fileinto.cc \
  src/sieve/ext_imap4flags.cc \
  src/sieve/ext_jettison.cc \
  src/sieve/ext_mailbox.cc \
  src/sieve/ext_relational.cc \
  src/sieve/ext_subaddress.cc \
  src/sieve/ext_variables.cc \
  src/sieve/extensions.h src/sieve/extensions.cc \
  src/sieve/flags.h \
  src/sieve/format.h src/sieve/format.cc \
  src/sieve/html_text.h src/sieve/html_text.cc \
  src/sieve/interpreter.h \
  src/sieve/levels.h src/sieve/levels.cc \
  src/sieve/lexer.h src/sieve/lexer.cc \
  src/sieve/lint.h src/sieve/lint.cc \
  src/sieve/limits.h \
  src/sieve/marks.cc \
  src/sieve/match.h src/sieve/match.cc \
  src/sieve/message.h src/sieve/message.cc \
  src/sieve/parser.h src/sieve/parser.cc \
  src/sieve/part_edit.h src/sieve/part_edit.cc \
  src/sieve/program.h \
  src/sieve/run.h src/sieve/run.cc \
  src/sieve/source_text.h src/sieve/source_text.cc \
  src/sieve/templates.h src/sieve/templates.cc \
  src/sieve/tests.cc \
  src/sieve/tree.h
