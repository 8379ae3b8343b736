// SPDX-License-Identifier: Apache-2.0
#include "directory/record.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using namespace postern;
using namespace postern::directory;

AccountRecord sample() {
  AccountRecord record;
  record.account.name = "user@example.com";
  record.account.mailbox_directory = "example.com/user";
  record.account.filter = "keep;\r\n";
  record.account.description = "A User";
  record.account.quota_bytes = 1'000'000'000'000;
  record.account.created = base::from_microseconds(1'700'000'000'123'456);
  record.password_hash = "$y$j9T$abc$def";
  return record;
}

class RecordTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(RecordTest);
  CPPUNIT_TEST(what_was_encoded_reads_back);
  CPPUNIT_TEST(every_shorter_or_longer_record_is_corrupt);
  CPPUNIT_TEST(lengths_that_lie_are_corrupt);
  CPPUNIT_TEST(unknown_kinds_versions_and_flags_are_corrupt);
  CPPUNIT_TEST(what_must_not_be_stored_is_refused);
  CPPUNIT_TEST_SUITE_END();

  void what_was_encoded_reads_back() {
    AccountRecord record = sample();
    CPPUNIT_ASSERT(decode_account(encode(record)).value() == record);
    record.account.enabled = false;
    record.account.filter.assign(kMaxFilterBytes, 'x');
    record.account.description.clear();
    record.password_hash.clear();
    CPPUNIT_ASSERT(decode_account(encode(record)).value() == record);
    const Domain domain{"example.com", "discard;", base::from_microseconds(42)};
    CPPUNIT_ASSERT(decode_domain(encode(domain)).value() == domain);
  }

  void every_shorter_or_longer_record_is_corrupt() {
    const std::string bytes = encode(sample());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const auto got = decode_account(bytes.substr(0, size));
      CPPUNIT_ASSERT_MESSAGE(std::to_string(size), !got && got.error().kind == Kind::corrupt);
    }
    CPPUNIT_ASSERT(!decode_account(bytes + "x"));
    const std::string domain = encode(Domain{"example.com", "keep;", {}});
    for (std::size_t size = 0; size < domain.size(); ++size) CPPUNIT_ASSERT_MESSAGE(std::to_string(size), !decode_domain(domain.substr(0, size)));
    CPPUNIT_ASSERT(!decode_domain(domain + "x"));
    CPPUNIT_ASSERT(!decode_domain(bytes));
    CPPUNIT_ASSERT(!decode_account(domain));
  }

  void lengths_that_lie_are_corrupt() {
    // The length of the name stands behind kind, version, creation, flags and quota.
    std::string bytes = encode(sample());
    for (std::size_t i = 0; i < 4; ++i) bytes[2 + 8 + 1 + 8 + i] = '\xff';
    CPPUNIT_ASSERT(!decode_account(bytes));
  }

  void unknown_kinds_versions_and_flags_are_corrupt() {
    const std::string good = encode(sample());
    const struct { std::size_t at; char byte; } rows[] = {{0, 'B'}, {1, 0}, {1, 2}, {10, 2}, {10, '\xff'}};
    for (const auto& row : rows) {
      std::string bytes = good;
      bytes[row.at] = row.byte;
      CPPUNIT_ASSERT_MESSAGE(std::to_string(row.at), !decode_account(bytes));
    }
  }

  void what_must_not_be_stored_is_refused() {
    const struct { const char* what; void (*spoil)(AccountRecord&); } rows[] = {
        {"name in capitals", [](AccountRecord& r) { r.account.name = "User@example.com"; }},
        {"name without domain", [](AccountRecord& r) { r.account.name = "user"; }},
        {"mailbox outside", [](AccountRecord& r) { r.account.mailbox_directory = "../user"; }},
        {"mailbox outside, inside", [](AccountRecord& r) { r.account.mailbox_directory = "example.com/.."; }},
        {"mailbox hidden", [](AccountRecord& r) { r.account.mailbox_directory = "example.com/.user"; }},
        {"mailbox absolute", [](AccountRecord& r) { r.account.mailbox_directory = "/etc"; }},
        {"mailbox too deep", [](AccountRecord& r) { r.account.mailbox_directory = "a/b/c"; }},
        {"mailbox flat", [](AccountRecord& r) { r.account.mailbox_directory = "user"; }},
        {"mailbox with no name", [](AccountRecord& r) { r.account.mailbox_directory = "example.com/"; }},
        {"mailbox with a line end", [](AccountRecord& r) { r.account.mailbox_directory = "example.com/u\nser"; }},
        {"hash with blank", [](AccountRecord& r) { r.password_hash = "$y$ x"; }},
        {"hash with line end", [](AccountRecord& r) { r.password_hash = "$y$\n"; }},
        {"hash too long", [](AccountRecord& r) { r.password_hash.assign(kMaxHashBytes + 1, 'x'); }},
        {"filter too long", [](AccountRecord& r) { r.account.filter.assign(kMaxFilterBytes + 1, 'x'); }},
        {"filter with NUL", [](AccountRecord& r) { r.account.filter.assign(1, '\0'); }},
        {"filter not UTF-8", [](AccountRecord& r) { r.account.filter = "\xff"; }},
        {"description of two lines", [](AccountRecord& r) { r.account.description = "a\nb"; }},
        {"description too long", [](AccountRecord& r) { r.account.description.assign(kMaxDescriptionBytes + 1, 'x'); }},
    };
    CPPUNIT_ASSERT(check(sample()).has_value());
    for (const auto& row : rows) {
      AccountRecord record = sample();
      row.spoil(record);
      const auto good = check(record);
      CPPUNIT_ASSERT_MESSAGE(row.what, !good && good.error().kind == Kind::invalid);
      CPPUNIT_ASSERT_MESSAGE(row.what, !decode_account(encode(record)));
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(RecordTest);

}  // namespace
