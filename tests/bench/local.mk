# SPDX-License-Identifier: Apache-2.0
# `make bench` measures what was built; BENCHFLAGS="--rows 50x20 --seconds 10" changes what it does (tests/bench/bench --help).
EXTRA_PROGRAMS = tests/bench/smtp_load
tests_bench_smtp_load_SOURCES = tests/bench/smtp_load.cc
EXTRA_DIST += tests/bench/bench tests/bench/peers.py
CLEANFILES += tests/bench/smtp_load
bench-mail: all tests/bench/smtp_load
	POSTERN_PROGRAMS=$(abs_builddir) $(srcdir)/tests/bench/bench $(BENCHFLAGS)

# The gate alone: connections that come and go, and refused ones. `make bench-connections CONNECTIONFLAGS="--parallel 20 --seconds 10"`.
EXTRA_PROGRAMS += tests/bench/connection_churn
tests_bench_connection_churn_SOURCES = tests/bench/connection_churn.cc
EXTRA_DIST += tests/bench/connections
CLEANFILES += tests/bench/connection_churn
bench-connections: all tests/bench/connection_churn
	POSTERN_PROGRAMS=$(abs_builddir) $(srcdir)/tests/bench/connections $(CONNECTIONFLAGS)

# What idle sessions cost, clear and TLS. `make bench-idle IDLEFLAGS="--sessions 5000"`.
EXTRA_PROGRAMS += tests/bench/hold_sessions
tests_bench_hold_sessions_SOURCES = tests/bench/hold_sessions.cc
tests_bench_hold_sessions_LDADD = -lssl -lcrypto -lpthread
EXTRA_DIST += tests/bench/idle_sessions
CLEANFILES += tests/bench/hold_sessions
bench-idle: all tests/bench/hold_sessions
	POSTERN_PROGRAMS=$(abs_builddir) $(srcdir)/tests/bench/idle_sessions $(IDLEFLAGS)

# Mail that goes on, beside Postfix's smtp client. `make bench-relay RELAYFLAGS="--messages 5000"`.
EXTRA_DIST += tests/bench/relay
bench-relay: all
	POSTERN_PROGRAMS=$(abs_builddir) $(srcdir)/tests/bench/relay $(RELAYFLAGS)

# Many deferred messages: the index of a million, and what two hundred thousand do to new mail. `make bench-queue QUEUEFLAGS="--index 100000"`.
EXTRA_PROGRAMS += tests/bench/deferred_entries
tests_bench_deferred_entries_SOURCES = tests/bench/deferred_entries.cc tests/forwarding_files.h
tests_bench_deferred_entries_LDADD = libpostern_spool.a libpostern_mail.a libpostern_base.a
EXTRA_DIST += tests/bench/queue
CLEANFILES += tests/bench/deferred_entries
bench-queue: all tests/bench/deferred_entries
	POSTERN_PROGRAMS=$(abs_builddir) $(srcdir)/tests/bench/queue $(QUEUEFLAGS)

# One after the other, so that they don't disturb each other's figures. A further measurement is one more line here.
bench: all
	$(MAKE) bench-mail
	$(MAKE) bench-relay
	$(MAKE) bench-queue
	$(MAKE) bench-connections
	$(MAKE) bench-idle
	$(MAKE) bench-admission
	$(MAKE) bench-tables
	$(MAKE) bench-access
	$(MAKE) bench-directory
	$(MAKE) bench-sieve
.PHONY: bench bench-mail bench-relay bench-queue bench-connections bench-idle bench-admission bench-tables bench-access bench-directory bench-sieve

# What a decision of the gate costs by the number of addresses seen and the length of lists.
EXTRA_PROGRAMS += tests/bench/admission_bench
tests_bench_admission_bench_SOURCES = tests/bench/admission_bench.cc
tests_bench_admission_bench_LDADD = libpostern_gate.a libpostern_conf.a libpostern_net.a libpostern_base.a $(LIBCONFIG_LIBS)
CLEANFILES += tests/bench/admission_bench
bench-admission: tests/bench/admission_bench
	tests/bench/admission_bench

# What keeping a probe costs its session, and what a replay costs. `make bench-rehearsal`.
EXTRA_PROGRAMS += tests/bench/probe_ring_bench
tests_bench_probe_ring_bench_SOURCES = tests/bench/probe_ring_bench.cc
tests_bench_probe_ring_bench_LDADD = libpostern_rehearsal.a libpostern_mapping.a libpostern_keyfile.a libpostern_base.a $(DB_LIBS)
CLEANFILES += tests/bench/probe_ring_bench
bench-rehearsal: tests/bench/probe_ring_bench
	tests/bench/probe_ring_bench
.PHONY: bench-rehearsal bench-import bench-logins

# Journal and store alone: `make tests/bench/journal_bench && tests/bench/journal_bench /var/tmp`.
EXTRA_PROGRAMS += tests/bench/journal_bench
tests_bench_journal_bench_SOURCES = tests/bench/journal_bench.cc
tests_bench_journal_bench_LDADD = libpostern_store.a libpostern_spool.a libpostern_mail.a libpostern_base.a
CLEANFILES += tests/bench/journal_bench

# Mapping tables: compile, load, take over, ask; beside Postfix's postmap. `make bench-tables TABLEFLAGS="--sizes 100,10000"`.
EXTRA_PROGRAMS += tests/bench/tables_bench
tests_bench_tables_bench_SOURCES = tests/bench/tables_bench.cc
tests_bench_tables_bench_LDADD = libpostern_mapping.a libpostern_keyfile.a libpostern_base.a $(DB_LIBS)
EXTRA_DIST += tests/bench/tables
CLEANFILES += tests/bench/tables_bench
bench-tables: all tests/bench/tables_bench
	POSTERN_PROGRAMS=$(abs_builddir) $(srcdir)/tests/bench/tables $(TABLEFLAGS)

# The whole decision about a message, tables and all that is around them.
EXTRA_PROGRAMS += tests/bench/access_bench
tests_bench_access_bench_SOURCES = tests/bench/access_bench.cc
tests_bench_access_bench_LDADD = libpostern_policy.a libpostern_authentication.a libpostern_mapping.a libpostern_directory.a libpostern_keyfile.a libpostern_conf.a \
  libpostern_mail.a libpostern_net.a libpostern_base.a $(BOOST_JSON_LIBS) $(DB_LIBS) $(ICU_LIBS) $(LIBCONFIG_LIBS) $(OPENSSL_LIBS)
CLEANFILES += tests/bench/access_bench
bench-access: tests/bench/access_bench
	tests/bench/access_bench

# Loading and asking an account database of 1,000 and of 1,000,000 accounts. `make bench-directory DIRECTORYFLAGS="--accounts 1000,100000"`.
EXTRA_PROGRAMS += tests/bench/directory_bench
tests_bench_directory_bench_SOURCES = tests/bench/directory_bench.cc
tests_bench_directory_bench_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_bench_directory_bench_LDADD = libpostern_directory.a libpostern_keyfile.a libpostern_net.a libpostern_base.a $(BOOST_JSON_LIBS) $(DB_LIBS) \
  $(ICU_LIBS) $(CRYPT_LIBS)
$(tests_bench_directory_bench_OBJECTS): $(ASIO_PCH)
CLEANFILES += tests/bench/directory_bench
bench-directory: tests/bench/directory_bench
	tests/bench/directory_bench $(DIRECTORYFLAGS)

# The same through posternctl, as an administrator does it. `make bench-import IMPORTFLAGS="--accounts 1000000 --shuffled"`.
EXTRA_DIST += tests/bench/import_accounts
bench-import: all
	POSTERN_PROGRAMS=$(abs_builddir) $(srcdir)/tests/bench/import_accounts $(IMPORTFLAGS)

# Five hundred logins at once beside other sessions; whether the time of a failed login tells who exists. `make bench-logins LOGINFLAGS="--tries 1000"`.
EXTRA_DIST += tests/bench/failed_logins tests/bench/login_storm
bench-logins: all
	POSTERN_PROGRAMS=$(abs_builddir) $(srcdir)/tests/bench/login_storm
	POSTERN_PROGRAMS=$(abs_builddir) $(srcdir)/tests/bench/failed_logins $(LOGINFLAGS)

# Sieve scripts of 5 to 600 rules over generated messages, beside dovecot-sieve. `make bench-sieve SIEVEFLAGS="--rounds 1"`.
EXTRA_DIST += tests/bench/sieve
bench-sieve: all
	POSTERN_PROGRAMS=$(abs_builddir) $(srcdir)/tests/bench/sieve $(SIEVEFLAGS)
