# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_spool.a
libpostern_spool_a_SOURCES =
