# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_base.a
libpostern_base_a_SOURCES = \
  src/base/base64.h src/base/base64.cc \
  src/base/byte_search.h \
  src/base/clock.h src/base/clock.cc \
  src/base/crc32c.h src/base/crc32c.cc \
  src/base/descriptor.h src/base/descriptor.cc \
  src/base/files.h src/base/files.cc \
  src/base/helper_thread.h \
  src/base/kill_point.h src/base/kill_point.cc \
  src/base/log.h src/base/log.cc \
  src/base/percent.h src/base/percent.cc \
  src/base/random.h src/base/random.cc \
  src/base/result.h src/base/result.cc \
  src/base/shared_memory.h src/base/shared_memory.cc \
  src/base/syslog_socket.h src/base/syslog_socket.cc \
  src/base/text.h src/base/text.cc \
  src/base/utf8.h src/base/utf8.cc \
  src/base/verdict.h src/base/verdict.cc
