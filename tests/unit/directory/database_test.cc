// SPDX-License-Identifier: Apache-2.0
#include "directory/administration.h"
#include "directory/database.h"
#include "directory/password.h"
#include "directory/protocol.h"
#include "keyfile/store.h"
#include "temporary_directory.h"

#include <cppunit/extensions/HelperMacros.h>

#include <boost/json/array.hpp>

namespace {

using namespace postern;
using namespace postern::directory;

constexpr const char* kHash = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7";

AccountRecord record_for(const std::string& name) {
  AccountRecord record;
  record.account.name = name;
  record.account.mailbox_directory = mailbox_directory_for(name);
  record.password_hash = kHash;
  return record;
}

class DatabaseTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(DatabaseTest);
  CPPUNIT_TEST(records_come_back_after_a_restart);
  CPPUNIT_TEST(names_are_unique_and_domains_first);
  CPPUNIT_TEST(lists_are_ordered_and_cut);
  CPPUNIT_TEST(a_damaged_record_hides_no_other);
  CPPUNIT_TEST(one_process_only);
  CPPUNIT_TEST(administration_answers);
  CPPUNIT_TEST_SUITE_END();

  void records_come_back_after_a_restart() {
    const test::TemporaryDirectory place;
    {
      auto database = Database::open(place.get()).value();
      database.add(Domain{"example.com", "", {}}).value();
      database.add(record_for("a@example.com")).value();
      database.put_script("a@example.com", {"one", "keep;", {}, {}}, nullptr).value();
      database.activate_script("a@example.com", "one").value();
    }
    auto database = Database::open(place.get()).value();
    auto record = *database.account("a@example.com").value();
    database.read_filter(record).value();
    CPPUNIT_ASSERT_EQUAL(std::string("keep;"), record.account.filter);
    CPPUNIT_ASSERT(!database.account("b@example.com").value());
    CPPUNIT_ASSERT(database.domain("example.com").value().has_value());
    CPPUNIT_ASSERT(!database.domain("a@example.com").value());
  }

  void names_are_unique_and_domains_first() {
    const test::TemporaryDirectory place;
    auto database = Database::open(place.get()).value();
    CPPUNIT_ASSERT(database.add(record_for("a@example.com")).error().kind == Kind::not_found);
    database.add(Domain{"example.com", "", {}}).value();
    CPPUNIT_ASSERT(database.add(Domain{"example.com", "", {}}).error().kind == Kind::invalid);
    database.add(record_for("a@example.com")).value();
    CPPUNIT_ASSERT(database.add(record_for("a@example.com")).error().kind == Kind::invalid);
    CPPUNIT_ASSERT(database.remove_domain("example.com").error().kind == Kind::denied);
    CPPUNIT_ASSERT(database.change(record_for("b@example.com")).error().kind == Kind::not_found);
    CPPUNIT_ASSERT(database.change(Domain{"example.org", "", {}}).error().kind == Kind::not_found);
    CPPUNIT_ASSERT_EQUAL(std::string("example.com/a"), database.remove_account("a@example.com").value().account.mailbox_directory);
    CPPUNIT_ASSERT(database.remove_account("a@example.com").error().kind == Kind::not_found);
    database.remove_domain("example.com").value();
    CPPUNIT_ASSERT(database.remove_domain("example.com").error().kind == Kind::not_found);
  }

  void lists_are_ordered_and_cut() {
    const test::TemporaryDirectory place;
    auto database = Database::open(place.get()).value();
    for (const char* name : {"b.example", "a.example", "a.example.org"}) database.add(Domain{name, "", {}}).value();
    for (const char* name : {"z@a.example", "a@b.example", "b@a.example", "c@a.example.org", "a@a.example"}) database.add(record_for(name)).value();
    std::string seen;
    std::string after;
    for (;;) {
      const auto list = database.accounts("", after, 2).value();
      if (list.empty()) break;
      for (const auto& record : list) seen += record.account.name + " ";
      after = list.back().account.name;
    }
    CPPUNIT_ASSERT_EQUAL(std::string("a@a.example b@a.example z@a.example c@a.example.org a@b.example "), seen);
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, database.accounts("a.example", "", 100).value().size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, database.accounts("a.example", "b@a.example", 100).value().size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, database.accounts("none.example", "", 100).value().size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, database.domains("a.example", 100).value().size());
    CPPUNIT_ASSERT_EQUAL(std::string("a.example"), database.domains("", 1).value().front().name);
  }

  void a_damaged_record_hides_no_other() {
    const test::TemporaryDirectory place;
    {
      auto database = Database::open(place.get()).value();
      database.add(Domain{"example.com", "", {}}).value();
      for (const char* name : {"a@example.com", "b@example.com"}) database.add(record_for(name)).value();
    }
    {
      auto store = keyfile::Store::open(place.get(), "accounts").value();
      store.put(std::string("aexample.com\0a", 14), "garbage").value();
    }
    auto database = Database::open(place.get()).value();
    CPPUNIT_ASSERT(database.account("a@example.com").error().kind == Kind::corrupt);
    CPPUNIT_ASSERT(database.account("b@example.com").value().has_value());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, database.accounts("", "", 100).value().size());
    CPPUNIT_ASSERT_EQUAL(std::string("example.com/a"), database.remove_account("a@example.com").value().account.mailbox_directory);
    CPPUNIT_ASSERT(!database.account("a@example.com").value());
  }

  void one_process_only() {
    const test::TemporaryDirectory place;
    auto database = Database::open(place.get()).value();
    CPPUNIT_ASSERT(Database::open(place.get()).error().kind == Kind::denied);
  }

  void administration_answers() {
    const test::TemporaryDirectory place;
    auto database = Database::open(place.get()).value();
    using boost::json::object;
    const struct { object request; bool changes; const char* error; } rows[] = {
        {{{"ask", "domain-add"}, {"name", "Example.COM"}}, true, ""},
        {{{"ask", "domain-add"}, {"name", "example.com"}}, false, "invalid"},
        {{{"ask", "domain-add"}, {"name", "a/b"}}, false, "invalid"},
        {{{"ask", "domain-add"}}, false, "invalid"},
        {{{"ask", "domain-add"}, {"name", 7}}, false, "invalid"},
        {{{"ask", "account-add"}, {"name", "User@example.com"}, {"password_hash", kHash}, {"description", "One"}}, true, ""},
        {{{"ask", "account-add"}, {"name", "u@example.com"}, {"password_hash", "plain text"}}, false, "invalid"},
        {{{"ask", "account-add"}, {"name", "u@example.com"}}, false, "invalid"},
        {{{"ask", "account-add"}, {"name", "u@none.example"}, {"password_hash", kHash}}, false, "not-found"},
        {{{"ask", "account-change"}, {"name", "user@example.com"}, {"password_hash", kHash}}, true, ""},
        {{{"ask", "account-change"}, {"name", "nobody@example.com"}, {"password_hash", kHash}}, false, "not-found"},
        {{{"ask", "account-filter"}, {"name", "user@example.com"}, {"filter", "keep;"}}, true, ""},
        {{{"ask", "account-filter"}, {"name", "user@example.com"}}, false, "invalid"},
        {{{"ask", "account-change"}, {"name", "user@example.com"}, {"enabled", false}}, true, ""},
        {{{"ask", "domain-filter"}, {"name", "example.com"}, {"filter", "discard;"}}, true, ""},
        {{{"ask", "domain-change"}, {"name", "example.com"}, {"attributes", {{"Department", "Sales"}}}, {"conversion_tags", boost::json::array{"scan"}}}, true, ""},
        {{{"ask", "domain-change"}, {"name", "example.com"}, {"attributes", {{"department", ""}}}}, true, ""},
        {{{"ask", "domain-change"}, {"name", "example.com"}, {"attributes", {{"_base_dn_", "x"}}}}, false, "invalid"},
        {{{"ask", "domain-change"}, {"name", "example.com"}, {"attributes", {{"a", 7}}}}, false, "invalid"},
        {{{"ask", "domain-change"}, {"name", "example.com"}, {"attributes", "a"}}, false, "invalid"},
        {{{"ask", "domain-change"}, {"name", "example.com"}, {"conversion_tags", boost::json::array{"a b"}}}, false, "invalid"},
        {{{"ask", "domain-change"}, {"name", "none.example"}}, false, "not-found"},
        {{{"ask", "domain-remove"}, {"name", "example.com"}}, false, "denied"},
        {{{"ask", "account-list"}, {"domain", "none.example"}}, false, "not-found"},
        {{{"ask", "account-list"}}, false, ""},
        {{{"ask", "domain-list"}, {"limit", 0}}, false, ""},
        {{{"ask", "account-remove"}, {"name", "user@example.com"}}, true, ""},
        {{{"ask", "domain-remove"}, {"name", "example.com"}}, true, ""},
    };
    for (const auto& row : rows) {
      const std::string name = text_in(row.request, "ask").value() + " " + row.error;
      const auto done = administer(database, row.request);
      CPPUNIT_ASSERT_MESSAGE(name, done.has_value());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, row.changes, done->changed);
      const auto error = error_in(done->answer);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::string(row.error), error ? std::string(to_string(error->kind)) : std::string());
    }
    CPPUNIT_ASSERT(!administer(database, {{"ask", "account"}}));
    CPPUNIT_ASSERT(!administer(database, {}));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(DatabaseTest);

}  // namespace
