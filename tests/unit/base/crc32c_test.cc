// SPDX-License-Identifier: Apache-2.0
#include "base/crc32c.h"

#include <cppunit/extensions/HelperMacros.h>

#include <random>
#include <string>

using namespace postern;

namespace {

class Crc32cTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(Crc32cTest);
  CPPUNIT_TEST(the_vectors_of_rfc_3720);
  CPPUNIT_TEST(fast_equals_portable);
  CPPUNIT_TEST(pieces_give_the_same_as_the_whole);
  CPPUNIT_TEST_SUITE_END();

  // RFC 3720 appendix B.4
  void the_vectors_of_rfc_3720() {
    std::string rising, falling;
    for (int i = 0; i < 32; ++i) rising += static_cast<char>(i), falling += static_cast<char>(31 - i);
    const std::string scsi("\x01\xc0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x14\0\0\0\0\0\x04\0\0\0\0\x14\0\0\0\x18\x28\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0", 48);
    const struct {
      std::string bytes;
      std::uint32_t want;
    } rows[] = {{std::string(32, '\0'), 0x8a9136aa}, {std::string(32, '\xff'), 0x62a8ab43}, {rising, 0x46dd794e}, {falling, 0x113fdb5c}, {scsi, 0xd9963a56}, {"123456789", 0xe3069283}, {"", 0}};
    for (const auto& row : rows) {
      CPPUNIT_ASSERT_EQUAL(row.want, base::crc32c(row.bytes));
      CPPUNIT_ASSERT_EQUAL(row.want, base::crc32c_portable(row.bytes));
    }
  }

  void fast_equals_portable() {
    std::mt19937 random(1);
    std::string bytes;
    for (std::size_t size = 0; size < 300; ++size) {
      for (std::size_t offset = 0; offset < 8 && offset <= size; ++offset) {
        const auto part = std::string_view(bytes).substr(offset);
        CPPUNIT_ASSERT_EQUAL(base::crc32c_portable(part), base::crc32c(part));
      }
      bytes += static_cast<char>(random());
    }
  }

  void pieces_give_the_same_as_the_whole() {
    const std::string_view bytes = "From somebody to somebody else, in any number of pieces.";
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
      CPPUNIT_ASSERT_EQUAL(base::crc32c(bytes), base::crc32c(bytes.substr(cut), base::crc32c(bytes.substr(0, cut))));
      CPPUNIT_ASSERT_EQUAL(base::crc32c(bytes), base::crc32c_portable(bytes.substr(cut), base::crc32c_portable(bytes.substr(0, cut))));
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(Crc32cTest);

}  // namespace
