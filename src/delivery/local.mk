# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_delivery.a
libpostern_delivery_a_SOURCES = \
  src/delivery/actions.cc \
  src/delivery/defragmenter.h src/delivery/defragmenter.cc \
  src/delivery/deliverer.h src/delivery/deliverer.cc src/delivery/job.h \
  src/delivery/filter_host.h src/delivery/filter_host.cc \
  src/delivery/filter_lists.h src/delivery/filter_lists.cc \
  src/delivery/filter_check.h src/delivery/filter_check.cc src/delivery/filter_settings.h src/delivery/filter_settings.cc \
  src/delivery/filtering.h src/delivery/filtering.cc \
  src/delivery/program_cache.h src/delivery/program_cache.cc \
  src/delivery/scripts.h src/delivery/scripts.cc \
  src/delivery/verdict.h src/delivery/verdict.cc
libpostern_delivery_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_delivery_a_OBJECTS): $(ASIO_PCH)
