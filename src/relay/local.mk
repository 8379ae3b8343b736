# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_relay.a
libpostern_relay_a_SOURCES = \
  src/relay/client.h src/relay/client.cc \
  src/relay/connection.h src/relay/connection.cc \
  src/relay/dane.h src/relay/dane.cc \
  src/relay/hosts.h src/relay/hosts.cc \
  src/relay/mta_sts.h src/relay/mta_sts.cc \
  src/relay/outgoing_text.h src/relay/outgoing_text.cc \
  src/relay/relayer.h src/relay/relayer.cc \
  src/relay/reply.h src/relay/reply.cc \
  src/relay/routes.h src/relay/routes.cc \
  src/relay/sts_fetch.h src/relay/sts_fetch.cc \
  src/relay/sts_policies.h src/relay/sts_policies.cc \
  src/relay/tls_advisor.h src/relay/tls_advisor.cc \
  src/relay/tls_policy.h src/relay/tls_policy.cc \
  src/relay/tls_reports.h src/relay/tls_reports.cc
libpostern_relay_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_relay_a_OBJECTS): $(ASIO_PCH)
