# SPDX-License-Identifier: Apache-2.0
# One CppUnit program per folder of src/; it links only what that folder may include (doc/design/layers.md).
EXTRA_DIST += tests/unit/main.cc
include tests/unit/base/local.mk
include tests/unit/net/local.mk
include tests/unit/conf/local.mk
include tests/unit/keyfile/local.mk
include tests/unit/mapping/local.mk
include tests/unit/mail/local.mk
include tests/unit/sieve/local.mk
include tests/unit/sieve_test/local.mk
include tests/unit/milter/local.mk
include tests/unit/spool/local.mk
include tests/unit/store/local.mk
include tests/unit/directory/local.mk
include tests/unit/authentication/local.mk
include tests/unit/rehearsal/local.mk
include tests/unit/policy/local.mk
include tests/unit/gate/local.mk
include tests/unit/service/local.mk
include tests/unit/master/local.mk
include tests/unit/smtp/local.mk
include tests/unit/pop3/local.mk
include tests/unit/managesieve/local.mk
include tests/unit/snmp/local.mk
include tests/unit/delivery/local.mk
include tests/unit/queue/local.mk
include tests/unit/conversion/local.mk
include tests/unit/relay/local.mk
include tests/unit/resolver/local.mk
include tests/unit/tools/local.mk

# Code of tests is large and runs once: it is compiled without optimisation. The libraries under test are not.
unit_test_objects = $(foreach program,$(check_PROGRAMS),$($(subst /,_,$(program))_OBJECTS))
$(unit_test_objects): private CXXFLAGS += $(TEST_CXXFLAGS)
$(unit_test_objects): private ASIO_PCH_FLAGS = -include pch/tests/asio.h
$(unit_test_objects): $(TEST_ASIO_PCH)
