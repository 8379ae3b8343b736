# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_policy.a
libpostern_policy_a_SOURCES = \
  src/policy/access.h src/policy/access.cc \
  src/policy/dns_questions.h src/policy/dns_questions.cc \
  src/policy/questions.h src/policy/questions.cc \
  src/policy/channels.h src/policy/channels.cc \
  src/policy/complaints.h src/policy/complaints.cc \
  src/policy/conversion.h src/policy/conversion.cc \
  src/policy/decision.h src/policy/decision.cc \
  src/policy/expansion.cc \
  src/policy/header.cc \
  src/policy/explanation.h \
  src/policy/login.h src/policy/login.cc \
  src/policy/probe_observer.h \
  src/policy/rewrite.h src/policy/rewrite.cc \
  src/policy/sequences.h src/policy/sequences.cc \
  src/policy/site.h src/policy/site.cc \
  src/policy/site_daemons.h src/policy/site_daemons.cc \
  src/policy/table_answer.h src/policy/table_answer.cc \
  src/policy/transaction.cc \
  src/policy/urls.h src/policy/urls.cc
libpostern_policy_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_policy_a_OBJECTS): $(ASIO_PCH)
