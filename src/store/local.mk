# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_store.a
libpostern_store_a_SOURCES = \
  src/store/account_memory.h src/store/account_memory.cc \
  src/store/address_books.h src/store/address_books.cc \
  src/store/folder.cc src/store/folder_facts.h src/store/folder_facts.cc \
  src/store/keywords.h src/store/keywords.cc \
  src/store/mailbox.h src/store/mailbox.cc \
  src/store/maildir.h src/store/maildir.cc \
  src/store/names.h src/store/names.cc \
  src/store/quota.h src/store/quota.cc \
  src/store/refiling.h src/store/refiling.cc \
  src/store/size_cache.h src/store/size_cache.cc \
  src/store/text.cc
