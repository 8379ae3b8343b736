# SPDX-License-Identifier: Apache-2.0
# What a role does from its start to its end: takes what it inherited, drops privileges, wires the parts together.
noinst_LIBRARIES += libpostern_roles.a
libpostern_roles_a_SOURCES = \
  src/roles/asking_users.h src/roles/asking_users.cc \
  src/roles/conversion.h src/roles/conversion.cc \
  src/roles/directory.h src/roles/directory.cc \
  src/roles/directory_watch.h src/roles/directory_watch.cc \
  src/roles/journal_feed.h src/roles/journal_feed.cc \
  src/roles/mail_system.h src/roles/mail_system.cc \
  src/roles/loader.h src/roles/loader.cc \
  src/roles/outside.h src/roles/outside.cc \
  src/roles/managesieve.h src/roles/managesieve.cc \
  src/roles/milters.h src/roles/milters.cc \
  src/roles/not_started.h \
  src/roles/pop3.h src/roles/pop3.cc \
  src/roles/delivery.h src/roles/delivery.cc \
  src/roles/outgoing_mail.h src/roles/outgoing_mail.cc \
  src/roles/queue.h src/roles/queue.cc \
  src/roles/relay.h src/roles/relay.cc \
  src/roles/resolver.h src/roles/resolver.cc \
  src/roles/rules_in_force.h src/roles/rules_in_force.cc \
  src/roles/sender_checks.h src/roles/sender_checks.cc \
  src/roles/service_watch.h src/roles/service_watch.cc \
  src/roles/smtp.h src/roles/smtp.cc \
  src/roles/snmp.h src/roles/snmp.cc \
  src/roles/submitter.h src/roles/submitter.cc \
  src/roles/table_observer.h src/roles/table_observer.cc \
  src/roles/verdicts.h src/roles/verdicts.cc \
  src/roles/workers_lock.h src/roles/workers_lock.cc
libpostern_roles_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_roles_a_OBJECTS): $(ASIO_PCH)
