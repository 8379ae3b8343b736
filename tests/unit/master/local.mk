# SPDX-License-Identifier: Apache-2.0
# What takes processes to try is in tests/processes.
check_PROGRAMS += tests/unit/master/master_test
tests_unit_master_master_test_SOURCES = tests/unit/main.cc \
  tests/unit/master/back_off_test.cc \
  tests/unit/master/certificates_test.cc \
  tests/unit/master/hand_over_test.cc \
  tests/unit/master/port_holder_test.cc \
  tests/unit/master/site_test.cc \
  tests/unit/master/sockets_test.cc
tests_unit_master_master_test_CXXFLAGS = $(AM_CXXFLAGS) $(CPPUNIT_CFLAGS) $(ASIO_PCH_FLAGS)
tests_unit_master_master_test_LDADD = libpostern_master.a libpostern_gate.a libpostern_conf.a libpostern_net.a libpostern_base.a \
  $(CPPUNIT_LIBS) $(LIBCONFIG_LIBS) $(BOOST_JSON_LIBS)
$(tests_unit_master_master_test_OBJECTS): $(ASIO_PCH)
