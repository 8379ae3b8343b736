// SPDX-License-Identifier: Apache-2.0
#include "spool/position.h"

#include <cppunit/extensions/HelperMacros.h>

namespace postern::spool {

class PositionTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(PositionTest);
  CPPUNIT_TEST(a_notice_reads_back);
  CPPUNIT_TEST(a_damaged_notice_is_nothing);
  CPPUNIT_TEST_SUITE_END();

  void a_notice_reads_back() {
    std::vector<Position> positions;
    while (positions.size() < kMostInNotice) {
      positions.push_back({7, 4000000000U, (std::uint64_t{1} << 40) + positions.size()});
      CPPUNIT_ASSERT(decode_notice(encode_notice(positions)) == positions);
    }
    CPPUNIT_ASSERT_EQUAL(kMostNoticeBytes, encode_notice(positions).size());
    CPPUNIT_ASSERT_EQUAL(std::string("7/4000000000/1099511627776"), to_string(positions.front()));
  }
  void a_damaged_notice_is_nothing() {
    const std::vector<Position> positions{{1, 2, 4096}, {1, 2, 8192}};
    const std::string notice = encode_notice(positions);
    for (std::size_t i = 0; i < notice.size(); ++i) {
      std::string damaged = notice;
      damaged[i] = static_cast<char>(damaged[i] ^ 1);
      CPPUNIT_ASSERT(decode_notice(damaged).empty());
      CPPUNIT_ASSERT(decode_notice(notice.substr(0, i)).empty());
    }
    CPPUNIT_ASSERT(decode_notice(notice + "x").empty());
    CPPUNIT_ASSERT(decode_notice(notice + std::string(16, 'x')).empty());
    CPPUNIT_ASSERT(decode_notice(std::string(kMostNoticeBytes + 16, 'x')).empty());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(PositionTest);

}  // namespace postern::spool
