# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_sieve.a
libpostern_sieve_a_SOURCES =
