# SPDX-License-Identifier: Apache-2.0
# Precompiled headers: with Asio a file takes 0.6 instead of 2.2 seconds, with the standard library two thirds or half of its time.
# Folders that speak Asio say $(ASIO_PCH_FLAGS) in their CXXFLAGS and depend on $(ASIO_PCH); all others get the standard library's
# (src/precompiled_standard.mk). Each is made once in the build tree from a stub, since a compiler looks for FILE.pch (clang) or
# FILE.gch (GCC) beside the file that -include names, and anew after a new ./configure, whose paths are in it. Tests are compiled
# without optimisation (tests/unit/local.mk), which needs precompiled headers of that kind; theirs hold CppUnit, too.
ASIO_PCH = pch/asio.h.made
ASIO_PCH_FLAGS = -include pch/asio.h
STANDARD_PCH = pch/standard.h.made
STANDARD_PCH_FLAGS = -include pch/standard.h
TEST_ASIO_PCH = pch/tests/asio.h.made
TEST_STANDARD_PCH = pch/tests/standard.h.made
# No fuzz target has code of a test in it.
TEST_CXXFLAGS = -O0 -U_FORTIFY_SOURCE $(POSTERN_NO_FUZZ_COVERAGE)

$(TEST_ASIO_PCH) $(TEST_STANDARD_PCH): private CXXFLAGS += $(TEST_CXXFLAGS)
$(TEST_ASIO_PCH) $(TEST_STANDARD_PCH): private CXXFLAGS += $(CPPUNIT_CFLAGS)
$(TEST_ASIO_PCH) $(TEST_STANDARD_PCH): private PCH_HEADERS += <cppunit/extensions/HelperMacros.h>
$(ASIO_PCH) $(TEST_ASIO_PCH): private PCH_HEADERS += "net/asio.h" "net/address_list.h"
$(ASIO_PCH) $(TEST_ASIO_PCH): src/net/asio.h src/net/coroutine_frames.h src/net/address.h src/net/address_list.h
# Clang can instantiate templates in the precompiled header rather than in each file. A cache of compilations would give back one that
# knows the stub of another day, which clang refuses to use. Times and paths are in what is precompiled; with CCACHE_PCH_EXTSUM ccache goes
# by the sum beside it instead, so that one cache serves several build trees.
$(ASIO_PCH) $(STANDARD_PCH) $(TEST_ASIO_PCH) $(TEST_STANDARD_PCH): config.status \
  $(addprefix src/base/,standard_library.h clock.h descriptor.h files.h log.h result.h text.h)
	$(AM_V_GEN)header='$(@:.made=)' && $(MKDIR_P) `dirname $@` && rm -f $$header.pch $$header.gch && \
	for name in '"base/standard_library.h"' $(foreach name,$(PCH_HEADERS),'$(name)'); do echo "#include $$name"; done > $$header && \
	case `$(CXX) --version` in *clang*) made="$$header.pch -fpch-instantiate-templates";; *) made=$$header.gch;; esac && \
	compile() { CCACHE_DISABLE=1 $(CXX) $(DEFS) $(AM_CPPFLAGS) $(CPPFLAGS) $(AM_CXXFLAGS) $(CXXFLAGS) -x c++-header $$header "$$@"; } && \
	compile -o $$made && compile -E | cksum >$${made%% *}.sum && touch $@
CLEANFILES += $(foreach name,asio standard tests/asio tests/standard,$(addprefix pch/$(name).h,.made .pch .gch .pch.sum .gch.sum) pch/$(name).h)
EXTRA_DIST += src/base/standard_library.h
