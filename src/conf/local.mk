# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_conf.a
libpostern_conf_a_SOURCES = \
  src/conf/configuration.h src/conf/configuration.cc \
  src/conf/ldap_check.h src/conf/ldap_check.cc \
  src/conf/load.cc \
  src/conf/settings.h src/conf/settings.cc \
  src/conf/source.h src/conf/source.cc
