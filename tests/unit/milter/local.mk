# SPDX-License-Identifier: Apache-2.0
check_PROGRAMS += tests/unit/milter/milter_test
tests_unit_milter_milter_test_SOURCES = tests/unit/main.cc \
  tests/unit/milter/scripted_milter.h tests/unit/milter/small_message.h tests/unit/milter/chain_test.cc \
  tests/unit/milter/message_test.cc \
  tests/unit/milter/protocol_test.cc
tests_unit_milter_milter_test_CXXFLAGS = $(AM_CXXFLAGS) $(CPPUNIT_CFLAGS) $(ASIO_PCH_FLAGS)
tests_unit_milter_milter_test_LDADD = libpostern_milter.a libpostern_conf.a libpostern_mail.a libpostern_net.a libpostern_base.a \
  $(CPPUNIT_LIBS) $(BOOST_JSON_LIBS) $(LIBCONFIG_LIBS) $(ICU_LIBS)
$(tests_unit_milter_milter_test_OBJECTS): $(ASIO_PCH)
