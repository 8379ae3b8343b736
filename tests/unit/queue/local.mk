# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/queue/queue_test
tests_unit_queue_queue_test_SOURCES = tests/unit/main.cc \
  tests/forwarding_files.h tests/unit/scratch_directory.h \
  tests/unit/queue/manager_test.cc \
  tests/unit/queue/notification_test.cc \
  tests/unit/queue/retry_schedule_test.cc \
  tests/unit/queue/waiting_test.cc
tests_unit_queue_queue_test_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_unit_queue_queue_test_LDADD = libpostern_queue.a libpostern_spool.a libpostern_conf.a libpostern_mail.a libpostern_net.a libpostern_base.a \
  $(LIBCONFIG_LIBS) $(ICU_LIBS) $(OPENSSL_LIBS) $(BOOST_JSON_LIBS) $(CPPUNIT_LIBS)
$(tests_unit_queue_queue_test_OBJECTS): $(ASIO_PCH)
