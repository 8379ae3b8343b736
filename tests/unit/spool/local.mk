# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/spool/spool_test
tests_unit_spool_spool_test_SOURCES = tests/unit/main.cc \
  tests/forwarding_files.h tests/unit/scratch_directory.h tests/unit/spool/scratch.h \
  tests/unit/spool/back_pressure_test.cc \
  tests/unit/spool/corrupt_test.cc \
  tests/unit/spool/deferred_test.cc \
  tests/unit/spool/discarded_test.cc \
  tests/unit/spool/earlier_records_test.cc \
  tests/unit/spool/failing_disk_test.cc \
  tests/unit/spool/held_test.cc \
  tests/unit/spool/journal_test.cc \
  tests/unit/spool/position_test.cc \
  tests/unit/spool/segment_scan_test.cc \
  tests/unit/spool/shared_state_test.cc
tests_unit_spool_spool_test_LDADD = libpostern_spool.a libpostern_mail.a libpostern_base.a $(CPPUNIT_LIBS)
