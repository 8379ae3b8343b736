# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/service/service_test
tests_unit_service_service_test_SOURCES = tests/unit/main.cc \
  tests/unit/service/confinement_test.cc \
  tests/unit/service/control_link_test.cc \
  tests/unit/service/datagram_service_test.cc \
  tests/unit/service/rush_test.cc \
  tests/unit/service/stream_service_test.cc \
  tests/unit/service/toy_master.h
tests_unit_service_service_test_CXXFLAGS = $(AM_CXXFLAGS) $(CPPUNIT_CFLAGS) $(ASIO_PCH_FLAGS)
tests_unit_service_service_test_LDADD = libpostern_service.a libpostern_gate.a libpostern_conf.a libpostern_net.a libpostern_base.a \
  $(CPPUNIT_LIBS) $(LIBCONFIG_LIBS) $(BOOST_JSON_LIBS) $(CAPNG_LIBS) $(SECCOMP_LIBS) $(OPENSSL_LIBS) $(ICU_LIBS)
$(tests_unit_service_service_test_OBJECTS): $(ASIO_PCH)
