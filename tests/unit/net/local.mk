# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/net/net_test
tests_unit_net_net_test_SOURCES = tests/unit/main.cc tests/unit/net/run_coroutine.h \
  tests/unit/net/address_list_test.cc \
  tests/unit/net/address_test.cc \
  tests/unit/net/blocking_work_test.cc \
  tests/unit/net/coroutine_frames_test.cc \
  tests/unit/net/frames_test.cc \
  tests/unit/net/never_waiting_test.cc \
  tests/unit/net/orders_test.cc \
  tests/unit/net/polled_socket_test.cc \
  tests/unit/net/proxy_header_test.cc \
  tests/unit/net/resolver_test.cc \
  tests/unit/net/run_for_life_test.cc \
  tests/unit/net/certificate_test.cc tests/unit/ocsp_response.h \
  tests/unit/net/server_name_test.cc \
  tests/unit/net/stream_test.cc \
  tests/unit/tls_client.h tests/unit/net/tls_test.cc
tests_unit_net_net_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit/net
tests_unit_net_net_test_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_unit_net_net_test_LDADD = libpostern_net.a libpostern_base.a $(BOOST_JSON_LIBS) $(CPPUNIT_LIBS)
$(tests_unit_net_net_test_OBJECTS): $(ASIO_PCH)
