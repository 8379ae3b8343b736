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
  record.account.active_script = "work";
  record.account.forwarding = {"user@example.net", "\"A b\"@[192.0.2.1]"};
  record.account.keeps_copy = true;
  record.account.held = true;
  record.account.conversion_tags = {"tag"};
  record.account.services = {"pop3", "smtp"};
  record.account.mail_host = "store.example.com";
  record.account.description = "A User";
  record.account.quota_bytes = 1'000'000'000'000;
  record.account.quota_messages = 77;
  record.account.password_changed = base::from_microseconds(1'700'000'000'654'321);
  record.account.created = base::from_microseconds(1'700'000'000'123'456);
  record.password_hash = "$y$j9T$abc$def";
  return record;
}

class RecordTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(RecordTest);
  CPPUNIT_TEST(what_was_encoded_reads_back);
  CPPUNIT_TEST(records_of_the_first_version_are_read);
  CPPUNIT_TEST(aliases_and_scripts_read_back);
  CPPUNIT_TEST(every_shorter_or_longer_record_is_corrupt);
  CPPUNIT_TEST(attributes_of_domains);
  CPPUNIT_TEST(lengths_that_lie_are_corrupt);
  CPPUNIT_TEST(unknown_kinds_versions_and_flags_are_corrupt);
  CPPUNIT_TEST(what_must_not_be_stored_is_refused);
  CPPUNIT_TEST_SUITE_END();

  void what_was_encoded_reads_back() {
    AccountRecord record = sample();
    CPPUNIT_ASSERT(decode_account(encode(record)).value() == record);
    record.account.enabled = false;
    record.account.active_script.clear();
    record.account.forwarding.clear();
    record.account.keeps_copy = false;
    record.account.services.clear();
    record.account.quota_bytes = record.account.quota_messages = 0;
    record.account.password_changed = {};
    record.account.description.clear();
    record.password_hash.clear();
    CPPUNIT_ASSERT(decode_account(encode(record)).value() == record);
    const Domain domain{"example.com", "discard;", base::from_microseconds(42)};
    CPPUNIT_ASSERT(decode_domain(encode(domain)).value() == domain);
  }

  void records_of_the_first_version_are_read() {
    const auto text = [](std::string_view value) { return std::string(3, '\0') + static_cast<char>(value.size()) + std::string(value); };
    const std::string created(8, '\0'), quota = std::string(7, '\0') + '\x07';
    const std::string bytes = std::string("A\x01", 2) + created + '\x01' + quota + text("user@example.com") + text("example.com/user") + text("$y$x") +
                              text("A User") + text("keep;");
    const auto record = decode_account(bytes).value();
    CPPUNIT_ASSERT_EQUAL(std::string("user@example.com"), record.account.name);
    CPPUNIT_ASSERT_EQUAL(std::string("keep;"), record.account.filter);
    CPPUNIT_ASSERT_EQUAL(std::string(kMainScript), record.account.active_script);
    CPPUNIT_ASSERT_EQUAL(std::string("$y$x"), record.password_hash);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{7}, record.account.quota_bytes);
    CPPUNIT_ASSERT(record.account.enabled && !record.account.held && record.account.services.empty());
    CPPUNIT_ASSERT(!decode_account(bytes + "x"));
    std::string flags = bytes;
    flags[10] = 2;
    CPPUNIT_ASSERT(!decode_account(flags));
  }

  void aliases_and_scripts_read_back() {
    Alias alias{Alias::Kind::group, "team@example.com", {"a@example.com", "Bo@example.net"}, "owner@example.com", "The team", base::from_microseconds(5)};
    CPPUNIT_ASSERT(decode_alias(encode(alias)).value() == alias);
    alias = {Alias::Kind::alias, "@example.com", {"a@example.com"}, "", "", {}};
    CPPUNIT_ASSERT(decode_alias(encode(alias)).value() == alias);
    const ScriptRecord script{"holiday é", "keep;\r\n", {"# one\n", ""}, base::from_microseconds(6)};
    CPPUNIT_ASSERT(decode_script(encode(script)).value() == script);
    for (const std::string& bytes : {encode(alias), encode(script)}) {
      for (std::size_t size = 0; size < bytes.size(); ++size) {
        const std::string_view part = std::string_view(bytes).substr(0, size);
        CPPUNIT_ASSERT(!decode_script(part));
        CPPUNIT_ASSERT(!decode_alias(part));
      }
    }
    const struct { const char* what; Alias alias; } wrong[] = {
        {"no members", {Alias::Kind::alias, "a@example.com", {}, "", "", {}}},
        {"twice", {Alias::Kind::alias, "a@example.com", {"b@example.com", "b@example.com"}, "", "", {}}},
        {"not canonical", {Alias::Kind::alias, "a@example.com", {"b@Example.com"}, "", "", {}}},
        {"no address", {Alias::Kind::alias, "a@example.com", {"b"}, "", "", {}}},
        {"an alias's owner", {Alias::Kind::alias, "a@example.com", {"b@example.com"}, "c@example.com", "", {}}},
        {"a group of everybody", {Alias::Kind::group, "@example.com", {"b@example.com"}, "", "", {}}},
        {"capitals", {Alias::Kind::alias, "A@example.com", {"b@example.com"}, "", "", {}}},
    };
    for (const auto& row : wrong) {
      CPPUNIT_ASSERT_MESSAGE(row.what, !check(row.alias));
      CPPUNIT_ASSERT_MESSAGE(row.what, !decode_alias(encode(row.alias)));
    }
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

  void attributes_of_domains() {
    Domain domain{"example.com", "keep;", {}};
    // Without any, as it was written before there were attributes.
    CPPUNIT_ASSERT_EQUAL(1, static_cast<int>(encode(domain)[1]));
    domain.conversion_tags = {"scan"};
    CPPUNIT_ASSERT(decode_domain(encode(domain)).value() == domain);
    domain.attributes = {{"department", "Sales & Co."}, {"x-2", "\xc3\xa9"}};
    CPPUNIT_ASSERT(decode_domain(encode(domain)).value() == domain);
    domain.conversion_tags.clear();
    const std::string good = encode(domain);
    CPPUNIT_ASSERT(decode_domain(good).value() == domain);
    CPPUNIT_ASSERT_EQUAL(std::string("Sales & Co."), *attribute_of(domain, "Department"));
    CPPUNIT_ASSERT_EQUAL(std::string("example.com"), *attribute_of(domain, "_Canonical_Name_"));
    CPPUNIT_ASSERT(attribute_of(domain, "_base_dn_") == nullptr);
    // Version 2 says that there is something, each once, in order.
    std::string nothing = encode(Domain{"example.com", "keep;", {}}) + std::string(4, '\0');
    nothing[1] = 2;
    CPPUNIT_ASSERT(!decode_domain(nothing));
    std::string twice = good;
    twice.replace(twice.find("department"), 10, "x-2x-2x-2x");
    CPPUNIT_ASSERT(!decode_domain(twice));
    CPPUNIT_ASSERT(!decode_domain(good + std::string("\0\0\0\1y", 5)));
    const struct { const char* what; void (*spoil)(Domain&); } rows[] = {
        {"a name of the server's own", [](Domain& d) { d.attributes["_base_dn_"] = "x"; }},
        {"a name with a blank", [](Domain& d) { d.attributes["a b"] = "x"; }},
        {"a name in capitals", [](Domain& d) { d.attributes["Name"] = "x"; }},
        {"a name that is too long", [](Domain& d) { d.attributes[std::string(kMaxAttributeNameBytes + 1, 'a')] = "x"; }},
        {"no value", [](Domain& d) { d.attributes["name"] = ""; }},
        {"a value of two lines", [](Domain& d) { d.attributes["name"] = "a\nb"; }},
        {"a value that is too long", [](Domain& d) { d.attributes["name"].assign(kMaxAttributeBytes + 1, 'x'); }},
        {"a value that is no text", [](Domain& d) { d.attributes["name"] = "\xff"; }},
        {"too many", [](Domain& d) { for (std::size_t i = 0; i < kMaxDomainAttributes; ++i) d.attributes["a" + std::to_string(i)] = "x"; }},
        {"a tag with a comma", [](Domain& d) { d.conversion_tags = {"a,b"}; }},
    };
    for (const auto& row : rows) {
      Domain bad = domain;
      row.spoil(bad);
      CPPUNIT_ASSERT_MESSAGE(row.what, !check(bad));
      CPPUNIT_ASSERT_MESSAGE(row.what, !decode_domain(encode(bad)));
    }
  }

  void lengths_that_lie_are_corrupt() {
    // The length of the first field stands behind kind, version and tag.
    std::string bytes = encode(sample());
    for (std::size_t i = 0; i < 4; ++i) bytes[2 + 1 + i] = '\xff';
    CPPUNIT_ASSERT(!decode_account(bytes));
  }

  void unknown_kinds_versions_and_flags_are_corrupt() {
    const std::string good = encode(sample());
    const struct { std::size_t at; char byte; } rows[] = {{0, 'B'}, {1, 0}, {1, 3}, {2, 99}, {20, 8}, {20, '\xff'}};
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
        {"script with a slash", [](AccountRecord& r) { r.account.active_script = "a/b"; }},
        {"forwarded to no address", [](AccountRecord& r) { r.account.forwarding = {"nobody"}; }},
        {"forwarded twice", [](AccountRecord& r) { r.account.forwarding = {"a@b.example", "a@b.example"}; }},
        {"a copy of nothing", [](AccountRecord& r) { r.account.forwarding.clear(); }},
        {"tag with a blank", [](AccountRecord& r) { r.account.conversion_tags = {"a b"}; }},
        {"unknown service", [](AccountRecord& r) { r.account.services = {"gopher"}; }},
        {"mail host in capitals", [](AccountRecord& r) { r.account.mail_host = "Store.example"; }},
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
