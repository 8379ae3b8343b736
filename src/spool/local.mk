# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_spool.a
libpostern_spool_a_SOURCES = \
  src/spool/deferred.h \
  src/spool/journal.h \
  src/spool/journal_reader.h \
  src/spool/journal_writer.h \
  src/spool/large_message.h \
  src/spool/position.h \
  src/spool/shared_state.h
