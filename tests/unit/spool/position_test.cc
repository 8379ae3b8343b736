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
    const Position position{7, 4000000000U, std::uint64_t{1} << 40};
    CPPUNIT_ASSERT_EQUAL(kNoticeBytes, encode_notice(position).size());
    CPPUNIT_ASSERT(decode_notice(encode_notice(position)) == position);
    CPPUNIT_ASSERT_EQUAL(std::string("7/4000000000/1099511627776"), to_string(position));
  }
  void a_damaged_notice_is_nothing() {
    const std::string notice = encode_notice({1, 2, 4096});
    for (std::size_t i = 0; i < notice.size(); ++i) {
      std::string damaged = notice;
      damaged[i] = static_cast<char>(damaged[i] ^ 1);
      CPPUNIT_ASSERT(!decode_notice(damaged));
      CPPUNIT_ASSERT(!decode_notice(notice.substr(0, i)));
    }
    CPPUNIT_ASSERT(!decode_notice(notice + "x"));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(PositionTest);

}  // namespace postern::spool
