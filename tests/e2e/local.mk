# SPDX-License-Identifier: Apache-2.0
# End-to-end tests run against an installed server: tests/e2e/run_all, or all of it by ./runtests.
EXTRA_DIST += tests/e2e
# Sieve tests in their own language, by capability; sieve_suite.py runs them.
EXTRA_DIST += tests/sieve
