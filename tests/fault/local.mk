# SPDX-License-Identifier: Apache-2.0
EXTRA_DIST += tests/fault/long_kill
