# SPDX-License-Identifier: Apache-2.0
noinst_LIBRARIES += libpostern_master.a
libpostern_master_a_SOURCES = \
  src/master/back_off.h \
  src/master/certificates.h src/master/certificates.cc \
  src/master/children.h src/master/children.cc \
  src/master/execution.h src/master/execution.cc \
  src/master/gate_orders.cc \
  src/master/hand_over.h src/master/hand_over.cc \
  src/master/listeners.cc \
  src/master/master.h src/master/master.cc \
  src/master/notify.h src/master/notify.cc \
  src/master/port_holder.h src/master/port_holder.cc \
  src/master/reload.cc \
  src/master/site.h src/master/site.cc \
  src/master/sockets.h src/master/sockets.cc \
  src/master/state.h \
  src/master/status.cc \
  src/master/take_over.cc \
  src/master/throttle_orders.cc \
  src/master/upgrade.cc
libpostern_master_a_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
$(libpostern_master_a_OBJECTS): $(ASIO_PCH)
