# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_policy.a
libpostern_policy_a_SOURCES =
