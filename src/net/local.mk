# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_net.a
libpostern_net_a_SOURCES = \
  src/net/address.h src/net/address.cc \
  src/net/address_list.h src/net/address_list.cc \
  src/net/asio.h src/net/asio.cc \
  src/net/await_callback.h \
  src/net/blocking_work.h src/net/blocking_work.cc \
  src/net/run_for_life.h \
  src/net/session_watch.h src/net/session_watch.cc \
  src/net/dns_answer.h src/net/dns_answer.cc \
  src/net/fixed_resolver.h src/net/fixed_resolver.cc \
  src/net/frame_client.h src/net/frame_client.cc \
  src/net/frame_server.h src/net/frame_server.cc \
  src/net/frames.h src/net/frames.cc \
  src/net/orders.h src/net/orders.cc \
  src/net/coroutine_frames.h \
  src/net/polled_socket.h src/net/polled_socket.cc \
  src/net/proxy_header.h src/net/proxy_header.cc \
  src/net/read_proxy_header.h src/net/read_proxy_header.cc \
  src/net/certificate.h src/net/certificate.cc \
  src/net/openssl.h src/net/openssl.cc \
  src/net/resolver.h src/net/resolver.cc \
  src/net/resolver_client.h src/net/resolver_client.cc \
  src/net/resolver_protocol.h src/net/resolver_protocol.cc \
  src/net/run_coroutine.h \
  src/net/server_name.h src/net/server_name.cc \
  src/net/stream.h src/net/stream.cc \
  src/net/tls.h src/net/tls_client.h src/net/tlsa.h src/net/tls.cc \
  src/net/tls_material.h src/net/tls_material.cc \
  src/net/tls_session.h
libpostern_net_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_net_a_OBJECTS): $(ASIO_PCH)
