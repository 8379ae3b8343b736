# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/snmp/snmp_test
tests_unit_snmp_snmp_test_SOURCES = tests/unit/main.cc tests/unit/snmp/sample.h \
  tests/unit/snmp/agent_test.cc tests/unit/snmp/ber_test.cc tests/unit/snmp/mib_test.cc
tests_unit_snmp_snmp_test_LDADD = libpostern_snmp.a libpostern_gate.a libpostern_conf.a libpostern_net.a libpostern_base.a $(LIBCONFIG_LIBS) $(CPPUNIT_LIBS)
tests_unit_snmp_snmp_test_CPPFLAGS = $(AM_CPPFLAGS) -DPOSTERN_SOURCE_DIR='"$(abs_top_srcdir)"'
