# SPDX-License-Identifier: Apache-2.0
# SNMP: bytes to requests, figures to objects, objects to answers. No sockets.
noinst_LIBRARIES += libpostern_snmp.a
libpostern_snmp_a_SOURCES = \
  src/snmp/agent.h src/snmp/agent.cc \
  src/snmp/ber.h src/snmp/ber.cc \
  src/snmp/figures.h \
  src/snmp/message.h src/snmp/message.cc \
  src/snmp/mib.h src/snmp/mib.cc \
  src/snmp/oid.h \
  src/snmp/tree.h src/snmp/tree.cc
