# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_spool.a
libpostern_spool_a_SOURCES = \
  src/spool/back_pressure.h src/spool/back_pressure.cc \
  src/spool/bytes.h \
  src/spool/corrupt.h src/spool/corrupt.cc \
  src/spool/deferred.h src/spool/deferred.cc \
  src/spool/discarded.h src/spool/discarded.cc \
  src/spool/earlier_entries.h src/spool/earlier_entries.cc \
  src/spool/earlier_records.h src/spool/earlier_records.cc \
  src/spool/held.h src/spool/held.cc \
  src/spool/journal.h \
  src/spool/journal_reader.h src/spool/journal_reader.cc \
  src/spool/journal_writer.h src/spool/journal_writer.cc \
  src/spool/large_message.h src/spool/large_message.cc \
  src/spool/message_text.h src/spool/message_text.cc \
  src/spool/position.h src/spool/position.cc \
  src/spool/segment_format.h src/spool/segment_format.cc \
  src/spool/segment_scan.h src/spool/segment_scan.cc \
  src/spool/shared_state.h src/spool/shared_state.cc \
  src/spool/verdict_marker.h src/spool/verdict_marker.cc
