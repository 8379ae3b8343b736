# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_service.a
libpostern_service_a_SOURCES = \
  src/service/child.h src/service/child.cc \
  src/service/confinement.cc \
  src/service/connection.cc \
  src/service/control_link.cc \
  src/service/datagram_service.h src/service/datagram_service.cc \
  src/service/lingering.h src/service/lingering.cc \
  src/service/rush.h src/service/rush.cc \
  src/service/socket_orders.h \
  src/service/stream_service.h src/service/stream_state.h src/service/stream_service.cc
libpostern_service_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_service_a_OBJECTS): $(ASIO_PCH)
