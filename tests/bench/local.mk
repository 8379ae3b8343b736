# SPDX-License-Identifier: Apache-2.0
# `make bench` measures what was built; BENCHFLAGS="--rows 50x20 --seconds 10" changes what it does (tests/bench/bench --help).
EXTRA_PROGRAMS = tests/bench/smtp_load
tests_bench_smtp_load_SOURCES = tests/bench/smtp_load.cc
EXTRA_DIST += tests/bench/bench
CLEANFILES += tests/bench/smtp_load
bench: all tests/bench/smtp_load
	POSTERN_PROGRAMS=$(abs_builddir) $(srcdir)/tests/bench/bench $(BENCHFLAGS)
.PHONY: bench

# Journal and store alone: `make tests/bench/journal_bench && tests/bench/journal_bench /var/tmp`.
EXTRA_PROGRAMS += tests/bench/journal_bench
tests_bench_journal_bench_SOURCES = tests/bench/journal_bench.cc
tests_bench_journal_bench_LDADD = libpostern_store.a libpostern_spool.a libpostern_mail.a libpostern_base.a
CLEANFILES += tests/bench/journal_bench
