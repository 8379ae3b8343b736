# SPDX-License-Identifier: Apache-2.0
EXTRA_DIST += conf/mappings conf/general.txt conf/aliases
