# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_mapping.a
libpostern_mapping_a_SOURCES = \
  src/mapping/access_result.h src/mapping/access_result.cc \
  src/mapping/address.h src/mapping/address.cc \
  src/mapping/aliases.h src/mapping/aliases.cc \
  src/mapping/code.h \
  src/mapping/compile.h src/mapping/compile.cc \
  src/mapping/effect.h src/mapping/effect.cc \
  src/mapping/evaluation.cc \
  src/mapping/image.h src/mapping/image.cc \
  src/mapping/keys.h src/mapping/keys.cc \
  src/mapping/known_names.h \
  src/mapping/lint.h src/mapping/lint.cc \
  src/mapping/listing.h src/mapping/listing.cc \
  src/mapping/loader.h \
  src/mapping/message.h \
  src/mapping/pattern.h src/mapping/pattern.cc \
  src/mapping/probe_fields.h src/mapping/probe_fields.cc \
  src/mapping/source.h src/mapping/source.cc \
  src/mapping/tables.h src/mapping/tables.cc \
  src/mapping/template.h src/mapping/template.cc
