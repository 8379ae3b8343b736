# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_rehearsal.a
libpostern_rehearsal_a_SOURCES = \
  src/rehearsal/observation_counts.h src/rehearsal/observation_counts.cc \
  src/rehearsal/probe.h src/rehearsal/probe.cc \
  src/rehearsal/probe_file.h src/rehearsal/probe_file.cc \
  src/rehearsal/probe_ring.h src/rehearsal/probe_ring.cc \
  src/rehearsal/replay.h src/rehearsal/replay.cc
