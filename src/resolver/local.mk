# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_resolver.a
libpostern_resolver_a_SOURCES = \
  src/resolver/resolv_conf.h src/resolver/resolv_conf.cc \
  src/resolver/server.h src/resolver/server.cc \
  src/resolver/source.h \
  src/resolver/unbound.h src/resolver/unbound.cc \
  src/resolver/validation.h src/resolver/validation.cc
libpostern_resolver_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_resolver_a_OBJECTS): $(ASIO_PCH)
