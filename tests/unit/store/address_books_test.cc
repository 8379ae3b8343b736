// SPDX-License-Identifier: Apache-2.0
#include "store/address_books.h"

#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>

#include <filesystem>

namespace postern::store {

using test::Scratch;

class AddressBooksTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(AddressBooksTest);
  CPPUNIT_TEST(everybody_has_the_default_book);
  CPPUNIT_TEST(books_are_made_changed_and_removed);
  CPPUNIT_TEST(names_lead_nowhere_else);
  CPPUNIT_TEST(limits);
  CPPUNIT_TEST_SUITE_END();

  static AddressBooks books(const Scratch& scratch, std::string account = "example.com/a") { return {base::system_files(), scratch.directory.get(), std::move(account)}; }
  static Result<void> put(AddressBooks books, const std::string& name, std::optional<std::string> text) {
    return books.change(name, [&](const std::string&) -> Result<std::optional<std::string>> { return text; });
  }
  static std::string text(const AddressBooks& books, std::string_view name) {
    const auto found = books.text(name);
    CPPUNIT_ASSERT_MESSAGE(found ? "" : found.error().what, found.has_value());
    return found->value_or("(none)");
  }
  static std::string names(const AddressBooks& books) {
    const auto found = books.names();
    CPPUNIT_ASSERT(found.has_value());
    std::string all;
    for (const std::string& name : *found) all += (all.empty() ? "" : " ") + name;
    return all;
  }

  void everybody_has_the_default_book() {
    const Scratch scratch;
    CPPUNIT_ASSERT_EQUAL(std::string("default"), names(books(scratch)));
    CPPUNIT_ASSERT_EQUAL(std::string(), text(books(scratch), "default"));
    CPPUNIT_ASSERT_EQUAL(std::string("(none)"), text(books(scratch), "friends"));
  }

  void books_are_made_changed_and_removed() {
    const Scratch scratch;
    CPPUNIT_ASSERT(put(books(scratch), "friends", "b@example.org\n"));
    CPPUNIT_ASSERT(put(books(scratch), "default", "c@example.org\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("default friends"), names(books(scratch)));
    CPPUNIT_ASSERT_EQUAL(std::string("b@example.org\n"), text(books(scratch), "friends"));
    CPPUNIT_ASSERT_EQUAL(std::string("default"), names(books(scratch, "example.com/other")));
    const auto added = books(scratch).change("friends", [](const std::string& before) -> Result<std::optional<std::string>> { return std::optional(before + "d\n"); });
    CPPUNIT_ASSERT(added);
    CPPUNIT_ASSERT_EQUAL(std::string("b@example.org\nd\n"), text(books(scratch), "friends"));
    const auto refused = books(scratch).change("friends", [](const std::string&) -> Result<std::optional<std::string>> { return Error{Kind::not_found, "no"}; });
    CPPUNIT_ASSERT(!refused && refused.error().what == "no");
    CPPUNIT_ASSERT_EQUAL(std::string("b@example.org\nd\n"), text(books(scratch), "friends"));
    CPPUNIT_ASSERT(put(books(scratch), "friends", std::nullopt));
    CPPUNIT_ASSERT(put(books(scratch), "default", std::nullopt));
    CPPUNIT_ASSERT_MESSAGE("twice is no mistake", put(books(scratch), "default", std::nullopt));
    CPPUNIT_ASSERT_EQUAL(std::string("default"), names(books(scratch)));
    CPPUNIT_ASSERT_EQUAL(std::string(), text(books(scratch), "default"));
  }

  void names_lead_nowhere_else() {
    const Scratch scratch;
    for (const char* name : {"", ".", "..", ".hidden", "-x", "a/b", "A", "a b", "\xc3\xa9", "a\n"}) {
      CPPUNIT_ASSERT_MESSAGE(name, !AddressBooks::is_name(name));
      CPPUNIT_ASSERT_MESSAGE(name, !put(books(scratch), name, "x"));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::string("(none)"), text(books(scratch), name));
    }
    CPPUNIT_ASSERT(AddressBooks::is_name(std::string(64, 'a')) && !AddressBooks::is_name(std::string(65, 'a')) && AddressBooks::is_name("0.a_b-c"));
    for (const char* account : {"", "a", "../a", "example.com/..", "a/b/c"}) CPPUNIT_ASSERT_MESSAGE(account, !put(books(scratch, account), "default", "x"));
  }

  void limits() {
    const Scratch scratch;
    const std::string most(AddressBooks::kMostBookBytes, 'x');
    CPPUNIT_ASSERT(put(books(scratch), "large", most));
    CPPUNIT_ASSERT(!put(books(scratch), "large", most + "x"));
    CPPUNIT_ASSERT(text(books(scratch), "large") == most);
    for (std::size_t i = 2; i < AddressBooks::kMostBooks; ++i) CPPUNIT_ASSERT(put(books(scratch), "b" + std::to_string(i), ""));
    CPPUNIT_ASSERT_EQUAL(AddressBooks::kMostBooks, books(scratch).names()->size());
    CPPUNIT_ASSERT(!put(books(scratch), "one-more", ""));
    CPPUNIT_ASSERT_MESSAGE("those that are there may change", put(books(scratch), "b2", "y") && put(books(scratch), "default", "y"));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(AddressBooksTest);

}  // namespace postern::store
