# SPDX-License-Identifier: Apache-2.0
EXTRA_DIST += tests/fault/long_kill tests/fault/long_relay_kill

# Power loss and failing disks, by file layers that stand in front of journal and store.
check_PROGRAMS += tests/fault/power_loss_test
tests_fault_power_loss_test_SOURCES = tests/unit/main.cc \
  tests/fault/failing_files.h \
  tests/fault/power_loss_test.cc \
  tests/fault/recording_files.h tests/fault/recording_files.cc \
  tests/fault/site.h tests/forwarding_files.h tests/unit/scratch_directory.h
tests_fault_power_loss_test_LDADD = libpostern_store.a libpostern_spool.a libpostern_mail.a libpostern_base.a $(CPPUNIT_LIBS)
