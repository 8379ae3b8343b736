# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/gate/gate_test
tests_unit_gate_gate_test_SOURCES = tests/unit/main.cc \
  tests/unit/gate/activity_test.cc \
  tests/unit/gate/admission_test.cc \
  tests/unit/gate/block_file_test.cc \
  tests/unit/gate/connection_table_test.cc \
  tests/unit/gate/datagrams_test.cc \
  tests/unit/gate/ledger_test.cc \
  tests/unit/gate/refusals_test.cc \
  tests/unit/gate/throttle_table_test.cc
tests_unit_gate_gate_test_LDADD = libpostern_gate.a libpostern_conf.a libpostern_net.a libpostern_base.a $(LIBCONFIG_LIBS) $(CPPUNIT_LIBS)
