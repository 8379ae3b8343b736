# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_conf.a
libpostern_conf_a_SOURCES = \
  src/conf/configuration.h
