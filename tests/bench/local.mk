# SPDX-License-Identifier: Apache-2.0
# `make bench` measures what was built; BENCHFLAGS="--rows 50x20 --seconds 10" changes what it does (tests/bench/bench --help).
EXTRA_PROGRAMS = tests/bench/smtp_load
tests_bench_smtp_load_SOURCES = tests/bench/smtp_load.cc
EXTRA_DIST += tests/bench/bench
CLEANFILES += tests/bench/smtp_load
bench: all tests/bench/smtp_load
	POSTERN_PROGRAMS=$(abs_builddir) $(srcdir)/tests/bench/bench $(BENCHFLAGS)
.PHONY: bench
