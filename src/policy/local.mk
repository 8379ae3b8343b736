# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_policy.a
libpostern_policy_a_SOURCES = \
  src/policy/access.h \
  src/policy/channels.h \
  src/policy/rewrite.h \
  src/policy/site.h
libpostern_policy_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_policy_a_OBJECTS): $(ASIO_PCH)
