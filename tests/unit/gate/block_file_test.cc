// SPDX-License-Identifier: Apache-2.0
#include "gate/block_file.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;
using namespace std::chrono_literals;

namespace {

class BlockFileTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(BlockFileTest);
  CPPUNIT_TEST(what_is_written_is_read_again);
  CPPUNIT_TEST(mistakes_have_their_line);
  CPPUNIT_TEST_SUITE_END();

  void what_is_written_is_read_again() {
    const base::WallTime since{std::chrono::seconds(1'790'000'000)};
    const std::vector<gate::Block> blocks{{*gate::Network::parse("198.51.100.0/24"), gate::BlockedBy::hand, since, std::nullopt, "spam  run"},
                                          {*gate::Network::parse("198.51.100.7"), gate::BlockedBy::failed_logins, since, 60s, ""},
                                          {*gate::Network::parse("2001:db8::/32"), gate::BlockedBy::hand, since, std::nullopt, ""}};
    const auto read = gate::parse_block_file(gate::format_block_file(blocks));
    CPPUNIT_ASSERT(read.mistakes.empty());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, read.blocks.size());
    CPPUNIT_ASSERT(read.blocks[0].network == blocks[0].network && read.blocks[0].since == since && read.blocks[0].reason == "spam  run" && !read.blocks[0].left);
    CPPUNIT_ASSERT(read.blocks[1].network == blocks[2].network && read.blocks[1].since == since && read.blocks[1].reason.empty());
  }

  void mistakes_have_their_line() {
    const auto read = gate::parse_block_file("\n# comment\r\n198.51.100.1/24 2026-11-21T20:05:00Z x\n  192.0.2.1 entered by hand\r\nnonsense\n");
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, read.mistakes.size());
    CPPUNIT_ASSERT_MESSAGE(read.mistakes[0], read.mistakes[0].starts_with("line 3, \"198.51.100.1/24\": ") && read.mistakes[0].find("198.51.100.0/24") != std::string::npos);
    CPPUNIT_ASSERT_MESSAGE(read.mistakes[1], read.mistakes[1].starts_with("line 5, "));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, read.blocks.size());
    CPPUNIT_ASSERT_EQUAL(std::string("entered by hand"), read.blocks[0].reason);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BlockFileTest);

}  // namespace
