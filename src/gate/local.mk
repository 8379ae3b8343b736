# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_gate.a
libpostern_gate_a_SOURCES = \
  src/gate/activity.h src/gate/activity.cc \
  src/gate/address_bytes.h src/gate/admission.h src/gate/admission.cc \
  src/gate/block_file.h src/gate/block_file.cc \
  src/gate/connection_table.h src/gate/connection_table.cc \
  src/gate/datagram_counts.h src/gate/datagram_counts.cc \
  src/gate/ledger.h src/gate/ledger.cc \
  src/gate/keyed_hash.h \
  src/gate/refusals.h src/gate/refusals.cc \
  src/gate/scoreboard.h src/gate/scoreboard.cc \
  src/gate/throttle_table.h src/gate/throttle_table.cc
