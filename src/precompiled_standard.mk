# SPDX-License-Identifier: Apache-2.0
# Included last, when all targets are known: whoever does not ask for Asio's precompiled header gets the standard library's.
objects_without_asio = $(foreach target,$(subst -,_,$(subst /,_,$(subst .,_,$(1)))),\
  $(if $(findstring ASIO_PCH_FLAGS,$(value $(target)_CXXFLAGS)),,$($(target)_OBJECTS)))
standard_objects = $(sort $(call objects_without_asio,$(noinst_LIBRARIES) $(bin_PROGRAMS) $(sbin_PROGRAMS) $(FUZZ_TARGETS)))
standard_test_objects = $(sort $(call objects_without_asio,$(check_PROGRAMS)))
$(standard_objects): private CXXFLAGS += $(STANDARD_PCH_FLAGS)
$(standard_objects): $(STANDARD_PCH)
$(standard_test_objects): private CXXFLAGS += -include pch/tests/standard.h
$(standard_test_objects): $(TEST_STANDARD_PCH)
