# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/conf/conf_test
tests_unit_conf_conf_test_SOURCES = tests/unit/main.cc \
  tests/unit/conf/configuration_test.cc \
  tests/unit/conf/load_test.cc \
  tests/unit/conf/settings_test.cc \
  tests/unit/conf/source_test.cc
tests_unit_conf_conf_test_CPPFLAGS = $(AM_CPPFLAGS) -DPOSTERN_SOURCE_DIR='"$(abs_top_srcdir)"'
tests_unit_conf_conf_test_LDADD = libpostern_conf.a libpostern_net.a libpostern_base.a $(LIBCONFIG_LIBS) $(CPPUNIT_LIBS)
