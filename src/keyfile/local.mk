# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_keyfile.a
libpostern_keyfile_a_SOURCES = \
  src/keyfile/compiled.h src/keyfile/compiled.cc \
  src/keyfile/store.h src/keyfile/store.cc
