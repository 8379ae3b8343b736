# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_service.a
libpostern_service_a_SOURCES = \
  src/service/child.h \
  src/service/stream_service.h
libpostern_service_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_service_a_OBJECTS): $(ASIO_PCH)
