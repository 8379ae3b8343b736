# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/store/store_test
tests_unit_store_store_test_SOURCES = tests/unit/main.cc \
  tests/unit/scratch_directory.h tests/unit/store/scratch.h \
  tests/unit/store/account_memory_test.cc tests/unit/store/address_books_test.cc tests/unit/store/folder_facts_test.cc tests/unit/store/folder_test.cc tests/unit/store/keywords_test.cc \
  tests/unit/store/mailbox_test.cc \
  tests/unit/store/maildir_test.cc \
  tests/unit/store/names_test.cc tests/unit/store/quota_test.cc
tests_unit_store_store_test_LDADD = libpostern_store.a libpostern_base.a $(CPPUNIT_LIBS)
