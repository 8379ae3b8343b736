# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_store.a
libpostern_store_a_SOURCES = \
  src/store/mailbox.h \
  src/store/maildir.h
