# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_sieve.a
libpostern_sieve_a_SOURCES = \
  src/sieve/actions.cc \
  src/sieve/archive.h src/sieve/archive.cc \
  src/sieve/address_part.h src/sieve/address_part.cc \
  src/sieve/compile.h src/sieve/compiler.h src/sieve/compiler.cc \
  src/sieve/digest.h src/sieve/digest.cc \
  src/sieve/ext_body.cc \
  src/sieve/ext_comparator.cc \
  src/sieve/ext_copy.cc \
  src/sieve/ext_date.cc \
  src/sieve/ext_duplicate.cc \
  src/sieve/ext_editheader.cc \
  src/sieve/ext_encoded_character.cc \
  src/sieve/ext_enotify.cc \
  src/sieve/ext_envelope.cc \
  src/sieve/ext_environment.cc \
  src/sieve/ext_extlists.cc \
  src/sieve/ext_fileinto.cc \
  src/sieve/ext_ihave.cc \
  src/sieve/ext_imap4flags.cc \
  src/sieve/ext_include.cc \
  src/sieve/ext_index.cc \
  src/sieve/ext_jettison.cc \
  src/sieve/ext_mailbox.cc \
  src/sieve/ext_metadata.cc \
  src/sieve/ext_mime.cc \
  src/sieve/ext_postern.cc \
  src/sieve/ext_regex.cc \
  src/sieve/ext_reject.cc \
  src/sieve/ext_relational.cc \
  src/sieve/ext_spamtest.cc \
  src/sieve/ext_special_use.cc \
  src/sieve/ext_subaddress.cc \
  src/sieve/ext_vacation.cc \
  src/sieve/ext_variables.cc \
  src/sieve/extensions.h src/sieve/extensions.cc \
  src/sieve/fields.h src/sieve/fields.cc \
  src/sieve/filing.h \
  src/sieve/flags.h \
  src/sieve/format.h src/sieve/format.cc \
  src/sieve/html_text.h src/sieve/html_text.cc \
  src/sieve/interpreter.h \
  src/sieve/levels.h src/sieve/levels.cc \
  src/sieve/lexer.h src/sieve/lexer.cc \
  src/sieve/limits.h \
  src/sieve/lint.h src/sieve/lint.cc \
  src/sieve/mailto.h src/sieve/mailto.cc \
  src/sieve/marks.cc \
  src/sieve/match.h src/sieve/match.cc \
  src/sieve/message.h src/sieve/message.cc \
  src/sieve/modifiers.h src/sieve/modifiers.cc \
  src/sieve/parser.h src/sieve/parser.cc \
  src/sieve/part_edit.h src/sieve/part_edit.cc \
  src/sieve/program.h \
  src/sieve/program_code.h src/sieve/program_code.cc \
  src/sieve/regex.h src/sieve/regex.cc \
  src/sieve/replies.h src/sieve/replies.cc \
  src/sieve/rule_place.h src/sieve/rule_place.cc \
  src/sieve/scores.h src/sieve/scores.cc \
  src/sieve/run.h src/sieve/run.cc \
  src/sieve/source_text.h src/sieve/source_text.cc \
  src/sieve/templates.h src/sieve/templates.cc \
  src/sieve/tests.cc \
  src/sieve/tree.h
