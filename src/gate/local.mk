# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_gate.a
libpostern_gate_a_SOURCES = \
  src/gate/admission.h \
  src/gate/connection_table.h \
  src/gate/refusals.h
