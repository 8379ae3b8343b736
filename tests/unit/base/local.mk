# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/base/base_test
tests_unit_base_base_test_SOURCES = tests/unit/main.cc \
  tests/unit/base/base64_test.cc \
  tests/unit/base/byte_search_test.cc \
  tests/unit/base/clock_test.cc \
  tests/unit/base/crc32c_test.cc \
  tests/unit/base/descriptor_test.cc \
  tests/unit/base/files_test.cc tests/unit/base/scratch.h \
  tests/unit/base/log_test.cc \
  tests/unit/base/shared_memory_test.cc \
  tests/unit/base/syslog_socket_test.cc \
  tests/unit/base/text_test.cc \
  tests/unit/base/utf8_test.cc \
  tests/unit/base/verdict_test.cc
tests_unit_base_base_test_LDADD = libpostern_base.a $(CPPUNIT_LIBS)
