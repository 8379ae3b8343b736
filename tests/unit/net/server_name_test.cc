// SPDX-License-Identifier: Apache-2.0
#include "net/server_name.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;

namespace {

std::string extension(std::string_view entries) {
  std::string out{static_cast<char>(entries.size() >> 8), static_cast<char>(entries.size() & 255)};
  return out += entries;
}

std::string entry(char type, std::string_view name) {
  std::string out{type, static_cast<char>(name.size() >> 8), static_cast<char>(name.size() & 255)};
  return out += name;
}

}  // namespace

class ServerNameTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ServerNameTest);
  CPPUNIT_TEST(the_first_host_name_of_an_extension);
  CPPUNIT_TEST(names_compare_by_their_normal_form);
  CPPUNIT_TEST(a_star_stands_for_exactly_one_label);
  CPPUNIT_TEST_SUITE_END();

  void the_first_host_name_of_an_extension() {
    const std::string name = "mail.example.com";
    const struct { std::string what, bytes, want; } rows[] = {
        {"one name", extension(entry(0, name)), name},
        {"another type first", extension(entry(1, "x") + entry(0, name)), name},
        {"two names", extension(entry(0, name) + entry(0, "other.example")), name},
        {"nothing", "", ""},
        {"an empty list", extension(""), ""},
        {"bytes behind the list", extension(entry(0, name)) + "x", ""},
        {"a list that is cut short", extension(entry(0, name)).substr(0, 10), ""},
        {"a name longer than the list", extension(std::string("\0\0\x7f", 3) + name), ""},
        {"one byte", "\x01", ""},
        {"no type", extension(std::string("\0", 1)), ""},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.what, row.want, std::string(net::server_name_in(row.bytes)));
  }

  void names_compare_by_their_normal_form() {
    const struct { std::string name, want; } rows[] = {
        {"Mail.Example.COM", "mail.example.com"}, {"mail.example.com.", "mail.example.com"}, {"localhost", "localhost"},
        {"192.0.2.1", "192.0.2.1"},               {"a_b.example", "a_b.example"},            {"", ""},
        {".", ""},                                {"mail.example.com..", ""},                {".example.com", ""},
        {"a..b", ""},                             {"a b", ""},                               {std::string("a\0b", 3), ""},
        {"m\xc3\xbcller.example", ""},            {std::string(253, 'a'), std::string(253, 'a')},
        {std::string(254, 'a'), ""},              {std::string(253, 'a') + ".", std::string(253, 'a')},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.want, net::normal_server_name(row.name));
  }

  void a_star_stands_for_exactly_one_label() {
    const struct { std::string pattern, name; bool want; } rows[] = {
        {"*.example.net", "mail.example.net", true},  {"*.example.net", "a.b.example.net", false}, {"*.example.net", "example.net", false},
        {"*.example.net", ".example.net", false},     {"*.example.net", "mail.example.org", false}, {"m*.example.net", "mail.example.net", false},
        {"mail.example.net", "mail.example.net", false}, {"*", "net", false},                       {"*.net", "example.net", true},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.pattern + " " + row.name, row.want, net::wildcard_covers(row.pattern, row.name));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ServerNameTest);
