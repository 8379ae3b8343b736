# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/delivery/delivery_test
tests_unit_delivery_delivery_test_SOURCES = tests/unit/main.cc tests/unit/delivery/site.h \
  tests/unit/delivery/actions_test.cc tests/unit/delivery/defragmenter_test.cc tests/unit/delivery/deliverer_test.cc \
  tests/unit/delivery/failing_store_test.cc tests/unit/delivery/program_cache_test.cc tests/unit/delivery/quota_test.cc tests/unit/delivery/verdict_test.cc
tests_unit_delivery_delivery_test_CXXFLAGS = $(AM_CXXFLAGS) $(ASIO_PCH_FLAGS)
tests_unit_delivery_delivery_test_LDADD = libpostern_delivery.a libpostern_queue.a libpostern_sieve.a libpostern_store.a libpostern_spool.a \
  libpostern_policy.a libpostern_authentication.a libpostern_mapping.a libpostern_directory.a libpostern_keyfile.a libpostern_conf.a libpostern_mail.a libpostern_net.a libpostern_base.a $(ICU_LIBS) $(OPENSSL_LIBS) $(BOOST_JSON_LIBS) $(LIBCONFIG_LIBS) $(CPPUNIT_LIBS)
$(tests_unit_delivery_delivery_test_OBJECTS): $(ASIO_PCH)
