# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_mapping.a
libpostern_mapping_a_SOURCES = \
  src/mapping/access_result.h \
  src/mapping/loader.h \
  src/mapping/tables.h
