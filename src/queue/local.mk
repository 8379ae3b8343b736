# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_queue.a
libpostern_queue_a_SOURCES = \
  src/queue/manager.h src/queue/manager.cc \
  src/queue/message_order.h src/queue/message_order.cc \
  src/queue/notification.h src/queue/notification.cc \
  src/queue/retry_schedule.h src/queue/retry_schedule.cc \
  src/queue/waiting.h src/queue/waiting.cc
libpostern_queue_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_queue_a_OBJECTS): $(ASIO_PCH)
