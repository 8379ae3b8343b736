# SPDX-License-Identifier: Apache-2.0
# The master and its children, tried with a toy role: tests/processes/run starts everything itself.
noinst_PROGRAMS += tests/processes/toy_server
tests_processes_toy_server_SOURCES = tests/processes/toy_server.cc
tests_processes_toy_server_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_processes_toy_server_LDADD = libpostern_master.a libpostern_service.a libpostern_gate.a libpostern_conf.a libpostern_net.a \
  libpostern_base.a $(LIBCONFIG_LIBS) $(BOOST_JSON_LIBS) $(CAPNG_LIBS) $(SECCOMP_LIBS) $(OPENSSL_LIBS) $(ICU_LIBS)
$(tests_processes_toy_server_OBJECTS): $(ASIO_PCH)
EXTRA_DIST += tests/processes/processes_test
