// SPDX-License-Identifier: Apache-2.0
#include "net/address_list.h"

#include <cppunit/extensions/HelperMacros.h>

#include <map>
#include <random>

using namespace postern;
using net::Address;
using net::AddressList;

namespace {

AddressList good(std::string_view text, const AddressList::Resolver& resolver = {}) {
  std::vector<AddressList::Mistake> mistakes;
  auto list = AddressList::compile(text, mistakes, false, resolver);
  CPPUNIT_ASSERT_MESSAGE(std::string(text) + (mistakes.empty() ? "" : ": " + mistakes[0].text), mistakes.empty());
  return list;
}

class AddressListTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(AddressListTest);
  CPPUNIT_TEST(the_last_line_that_holds_the_address_decides);
  CPPUNIT_TEST(blanks_comments_and_line_ends_do_not_matter);
  CPPUNIT_TEST(mapped_addresses_mean_ipv4);
  CPPUNIT_TEST(whole_families_can_be_listed);
  CPPUNIT_TEST(mistakes_have_line_and_reason);
  CPPUNIT_TEST(all_mistakes_are_reported_and_the_list_is_empty);
  CPPUNIT_TEST(lists_can_name_lists);
  CPPUNIT_TEST(name_patterns_match_nobody);
  CPPUNIT_TEST(name_patterns_count_with_names);
  CPPUNIT_TEST(patterns_of_names_are_matched_whole);
  CPPUNIT_TEST(text_is_kept_as_typed);
  CPPUNIT_TEST(limits_hold);
  CPPUNIT_TEST(the_same_as_walking_from_the_last_line);
  CPPUNIT_TEST(a_hundred_thousand_lines_can_be_asked);
  CPPUNIT_TEST(the_line_that_decides_can_be_asked_for);
  CPPUNIT_TEST(lists_are_the_same_if_their_addresses_are);
  CPPUNIT_TEST_SUITE_END();

  void the_line_that_decides_can_be_asked_for() {
    const AddressList::Resolver lists = [](std::string_view name) -> std::optional<std::string> {
      if (name == "office") return "192.0.2.0/24\n!192.0.2.9 ; the printer";
      if (name == "all") return "#office\n2001:db8::/32";
      return std::nullopt;
    };
    const auto list = good("10.0.0.0/8 ; ours\r\n\r\n!10.1.0.0-10.1.255.255\r\n10.1.2.3\n#ALL\n!2001:db8::1", lists);
    const struct {
      const char* address;
      int line;
      const char *element, *via;
      bool on_list;
    } rows[] = {{"10.9.9.9", 1, "10.0.0.0/8", "", true},     {"10.1.9.9", 3, "10.1.0.0-10.1.255.255", "", false},
                {"10.1.2.3", 4, "10.1.2.3", "", true},       {"192.0.2.1", 5, "#ALL", "line 1, #office (line 1, 192.0.2.0/24)", true},
                {"2001:db8::2", 5, "#ALL", "line 2, 2001:db8::/32", true}, {"2001:db8::1", 6, "2001:db8::1", "", false}};
    for (const auto& row : rows) {
      const auto got = list.deciding(*Address::parse(row.address));
      CPPUNIT_ASSERT_MESSAGE(row.address, got && got->line == row.line && got->element == row.element && got->via == row.via && got->on_list == row.on_list);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.address, row.on_list, list.contains(*Address::parse(row.address)));
    }
    for (const char* const nobody : {"192.0.2.9", "11.0.0.1", "::1"}) CPPUNIT_ASSERT_MESSAGE(nobody, !list.deciding(*Address::parse(nobody)));
    CPPUNIT_ASSERT(!AddressList().deciding(*Address::parse("::1")));
  }

  void lists_are_the_same_if_their_addresses_are() {
    const auto with = [](const char* text) { return [text](std::string_view) { return std::optional<std::string>(text); }; };
    CPPUNIT_ASSERT(good("#a", with("10.0.0.1")) == good("#a", with("10.0.0.1 ; the same")));
    CPPUNIT_ASSERT(!(good("#a", with("10.0.0.1")) == good("#a", with("10.0.0.2"))));
    CPPUNIT_ASSERT(!(good("10.0.0.1") == good("10.0.0.1 ;")) && AddressList() == AddressList() && AddressList() == good(""));
  }

  // listeners.md A-3 to A-5, A-8 and cases 16 to 21
  void the_last_line_that_holds_the_address_decides() {
    const struct {
      const char *list, *address;
      bool want;
    } rows[] = {
        {"", "127.0.0.1", false},
        {"; nobody\n\n  ; at all", "127.0.0.1", false},
        {"127.0.0.0/24", "127.0.1.1", false},
        {"127.0.0.0/24", "127.0.0.255", true},
        {"127.0.0.10-127.0.0.20", "127.0.0.9", false},
        {"127.0.0.10-127.0.0.20", "127.0.0.10", true},
        {"127.0.0.10-127.0.0.20", "127.0.0.15", true},
        {"127.0.0.10-127.0.0.20", "127.0.0.20", true},
        {"127.0.0.10-127.0.0.20", "127.0.0.21", false},
        {"127.0.0.0/8\n!127.0.0.66", "127.0.0.66", false},
        {"127.0.0.0/8\n!127.0.0.66", "127.0.0.65", true},
        {"127.0.0.0/8\n!127.0.0.66", "127.0.0.67", true},
        {"!127.0.0.66\n127.0.0.0/8", "127.0.0.66", true},
        {"!127.0.0.66", "127.0.0.66", false},
        {"!127.0.0.66", "127.0.0.67", false},
        {"10.0.0.0/8\n!10.1.0.0/16\n10.1.2.0/24\n!10.1.2.3", "10.1.2.3", false},
        {"10.0.0.0/8\n!10.1.0.0/16\n10.1.2.0/24\n!10.1.2.3", "10.1.2.4", true},
        {"10.0.0.0/8\n!10.1.0.0/16\n10.1.2.0/24\n!10.1.2.3", "10.1.3.1", false},
        {"10.0.0.0/8\n!10.1.0.0/16\n10.1.2.0/24\n!10.1.2.3", "10.2.0.0", true},
        {"2001:db8::/32\n!2001:db8:1::/48", "2001:db8:1::1", false},
        {"2001:db8::/32\n!2001:db8:1::/48", "2001:db8:2::", true},
        {"2001:db8::1-2001:db8::a", "2001:db8::9", true},
        {"[2001:db8::1]", "2001:db8::1", true},
        {"[2001:db8::1] - [2001:db8::2]", "2001:db8::2", true},
        {"0.0.0.0/1", "127.255.255.255", true},
        {"::/1", "7fff::", true},
        {"::/1", "127.0.0.1", false},
        {"255.255.255.255\n0.0.0.0", "255.255.255.255", true},
        {"255.255.255.255\n!255.255.255.255", "255.255.255.255", false},
        {"::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\n!ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.list) + " / " + row.address, row.want, good(row.list).contains(*Address::parse(row.address)));
  }

  void blanks_comments_and_line_ends_do_not_matter() {
    const auto list = good(" \t192.0.2.1\t;first\r\n;x\r192.0.2.2 - 192.0.2.3\n! \t192.0.2.3;!192.0.2.1\r\n\r\n198.51.100.0 / 24");
    for (const char* const text : {"192.0.2.1", "192.0.2.2", "198.51.100.9"}) CPPUNIT_ASSERT_MESSAGE(text, list.contains(*Address::parse(text)));
    for (const char* const text : {"192.0.2.3", "192.0.2.4", "198.51.101.0"}) CPPUNIT_ASSERT_MESSAGE(text, !list.contains(*Address::parse(text)));
    // Lines are counted right whatever ends them.
    std::vector<AddressList::Mistake> mistakes;
    AddressList::compile("192.0.2.1\r\n192.0.2.2\r192.0.2.3\n\nx", mistakes);
    CPPUNIT_ASSERT_EQUAL(5, mistakes.at(0).line);
  }

  // A-9
  void mapped_addresses_mean_ipv4() {
    const auto list = good("::ffff:192.0.2.0/120\n::ffff:198.51.100.1\n::ffff:10.0.0.1-::ffff:10.0.0.9\n::ffff:203.0.113.0/128");
    for (const char* const text : {"192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7", "198.51.100.1", "10.0.0.5", "203.0.113.0"}) CPPUNIT_ASSERT_MESSAGE(text, list.contains(*Address::parse(text)));
    for (const char* const text : {"192.0.3.0", "203.0.113.1", "::c000:200"}) CPPUNIT_ASSERT_MESSAGE(text, !list.contains(*Address::parse(text)));
    CPPUNIT_ASSERT(good("::ffff:0.0.0.0/96").contains(*Address::parse("8.8.8.8")));
  }

  void whole_families_can_be_listed() {
    const auto list = good("0.0.0.0-255.255.255.255\n::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    for (const char* const text : {"0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}) CPPUNIT_ASSERT(list.contains(*Address::parse(text)));
  }

  // A-3, A-4, A-6 and cases 22, 23
  void mistakes_have_line_and_reason() {
    const struct {
      const char *line, *part;
    } rows[] = {
        {"127.0.0.5/24", "did you mean 127.0.0.0/24?"},
        {"2001:db8::1/64", "did you mean 2001:db8::/64?"},
        {"::ffff:192.0.2.1/120", "did you mean 192.0.2.0/24?"},
        {"10.0.0.0/0", "write 0.0.0.0-255.255.255.255"},
        {"::/0", "write ::-ffff:"},
        {"10.0.0.0/33", "1 to 32"},
        {"::1/129", "1 to 128"},
        {"10.0.0.0/", "1 to 32"},
        {"10.0.0.0/08", "1 to 32"},
        {"10.0.0.0/+8", "1 to 32"},
        {"10.0.0.0/8/8", "1 to 32"},
        {"::ffff:10.0.0.0/95", "96 to 128"},
        {"10.0.0.9-10.0.0.1", "rising order"},
        {"10.0.0.1-::1", "one family"},
        {"10.0.0.1-", "missing"},
        {"-10.0.0.1", "missing"},
        {"010.0.0.1", "leading zeros"},
        {"10.1", "four parts"},
        {"10.0.0.256", "0 to 255"},
        {"fe80::1%eth0", "scope"},
        {"mail.example.net", "host names"},
        {"a-b.example.net", "host names"},
        {"\xd9\xa1.0.0.1", "0 to 255"},
        {"!", "missing behind !"},
        {"! !10.0.0.1", "0 to 255"},
        {"#", "name of a list"},
        {"#a b", "name of a list"},
        {"#absent", "no list of this name"},
        {"#@*.example.net", "not looked up"},
        {"#@", "pattern is missing"},
        {"10.0.0.1, 10.0.0.2", "four parts"},
    };
    for (const auto& row : rows) {
      std::vector<AddressList::Mistake> mistakes;
      const auto list = AddressList::compile("192.0.2.1\n" + std::string(row.line) + "\n192.0.2.2", mistakes);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.line, std::size_t{1}, mistakes.size());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.line, 2, mistakes[0].line);
      CPPUNIT_ASSERT_MESSAGE(std::string(row.line) + ": " + mistakes[0].text, mistakes[0].text.find(row.part) != std::string::npos);
      CPPUNIT_ASSERT(!list.contains(*Address::parse("192.0.2.1")));
    }
  }

  void all_mistakes_are_reported_and_the_list_is_empty() {
    std::vector<AddressList::Mistake> mistakes;
    const auto list = AddressList::compile("1.2.3.4\nx\n\n10.1\n!y\n::1/200", mistakes);
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, mistakes.size());
    const int lines[] = {2, 4, 5, 6};
    for (std::size_t i = 0; i < 4; ++i) CPPUNIT_ASSERT_EQUAL(lines[i], mistakes[i].line);
    CPPUNIT_ASSERT_EQUAL(std::string("!y"), mistakes[2].element);
    CPPUNIT_ASSERT(list.empty() && list.text().empty());
  }

  // A-11
  void lists_can_name_lists() {
    const std::map<std::string, std::string, std::less<>> others{
        {"office", "192.0.2.0/24\n!192.0.2.9"}, {"all", "#office\n198.51.100.1"}, {"loop", "#pool"}, {"pool", "#loop"}, {"bad", "1.2.3.4\nx"}};
    const AddressList::Resolver resolver = [&](std::string_view name) -> std::optional<std::string> {
      const auto found = others.find(name);
      return found == others.end() ? std::nullopt : std::optional(found->second);
    };
    const auto list = good("#ALL\n192.0.2.9\n! # office\n10.0.0.1\n#office", resolver);
    for (const char* const text : {"198.51.100.1", "192.0.2.9", "10.0.0.1", "192.0.2.1"}) CPPUNIT_ASSERT_MESSAGE(text, list.contains(*Address::parse(text)));
    CPPUNIT_ASSERT(!good("192.0.2.0/24\n!#office", resolver).contains(*Address::parse("192.0.2.1")));
    CPPUNIT_ASSERT(good("192.0.2.0/24\n!#office", resolver).contains(*Address::parse("192.0.2.9")));
    for (const auto& [text, part] : {std::pair{"\n#loop", "circle"}, std::pair{"\n#bad", "in line 2 of that list"}, std::pair{"\n#none", "no list"}}) {
      std::vector<AddressList::Mistake> mistakes;
      AddressList::compile(text, mistakes, false, resolver);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(text, std::size_t{1}, mistakes.size());
      CPPUNIT_ASSERT_EQUAL(2, mistakes[0].line);
      CPPUNIT_ASSERT_MESSAGE(mistakes[0].text, mistakes[0].text.find(part) != std::string::npos);
    }
  }

  // A-12: the last line that has the address decides, patterns among them.
  void name_patterns_count_with_names() {
    const auto lists = [](std::string_view name) -> std::optional<std::string> {
      if (name == "friends") return "#@*.friend.example\n!192.0.2.9";
      if (name == "plain") return "198.51.100.0/24";
      return std::nullopt;
    };
    struct {
      const char *list, *address;
      std::vector<std::string> names;
      bool asks, with, without;
    } rows[] = {
        {"#@*.example.net", "192.0.2.1", {"mail.example.net"}, true, true, false},
        {"#@*.EXAMPLE.net.", "192.0.2.1", {"mail.example.net"}, true, true, false},
        {"#@*.example.net", "192.0.2.1", {"example.net"}, true, false, false},
        {"#@*.example.net", "192.0.2.1", {"other.example", "a.b.example.net"}, true, true, false},
        {"#@*.example.net", "192.0.2.1", {}, true, false, false},
        // What a later line says of the address itself needs no name.
        {"#@*.example.net\n192.0.2.0/24", "192.0.2.1", {}, false, true, true},
        {"#@*.example.net\n!192.0.2.0/24", "192.0.2.1", {"mail.example.net"}, false, false, false},
        {"192.0.2.0/24\n#@*.example.net", "192.0.2.1", {}, true, true, true},
        {"192.0.2.0/24\n!#@bad*", "192.0.2.1", {"bad.example"}, true, false, true},
        {"192.0.2.0/24\n!#@bad*", "192.0.2.1", {"good.example"}, true, true, true},
        {"192.0.2.0/24\n!192.0.2.1\n#@bad*\n!192.0.2.7", "192.0.2.1", {"bad"}, true, true, false},
        {"192.0.2.0/24\n!192.0.2.1\n192.0.2.1\n#@bad*", "192.0.2.1", {}, true, true, true},
        {"2001:db8::/32\n#@*.example.net", "192.0.2.1", {"a.example.net"}, true, true, false},
        // Named lists: with patterns of their own, and without.
        {"#friends", "192.0.2.1", {"a.friend.example"}, true, true, false},
        {"#friends", "192.0.2.9", {"a.friend.example"}, false, false, false},
        {"192.0.2.9\n!#friends", "192.0.2.9", {"a.friend.example"}, false, true, true},
        {"192.0.2.8\n!#friends", "192.0.2.8", {"a.friend.example"}, true, false, true},
        {"#@*.example.net\n#plain", "198.51.100.1", {}, false, true, true},
        {"#@*.example.net\n!#plain", "198.51.100.1", {"a.example.net"}, false, false, false},
        {"#plain\n192.0.2.1", "192.0.2.1", {}, false, true, true},
    };
    for (const auto& row : rows) {
      std::vector<AddressList::Mistake> mistakes;
      const auto list = AddressList::compile(row.list, mistakes, true, lists);
      const Address address = Address::parse(row.address).value();
      CPPUNIT_ASSERT_MESSAGE(row.list, mistakes.empty());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.list, row.asks, list.asks_names(address));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.list, row.with, list.contains(address, row.names));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.list, row.without, list.contains(address));
    }
    std::vector<AddressList::Mistake> mistakes;
    std::string many;
    for (int i = 0; i < 1001; ++i) many += "#@a\n";
    AddressList::compile(many, mistakes, true);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, mistakes.size());
    CPPUNIT_ASSERT_EQUAL(1001, mistakes[0].line);
    mistakes.clear();
    AddressList::compile("#@two words\n#@caf\xc3\xa9.example", mistakes, true);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, mistakes.size());
  }

  void patterns_of_names_are_matched_whole() {
    struct {
      const char *pattern, *name;
      bool want;
    } rows[] = {{"a.b", "a.b", true},   {"a.b", "A.B", true},   {"a.b", "a.bc", false}, {"a.b", "xa.b", false}, {"*", "", true},      {"*", "a.b", true},
                {"", "", true},         {"", "a", false},       {"*.b", ".b", true},    {"*.b", "b", false},    {"a*", "a", true},    {"*ab", "aab", true},
                {"*ab*", "xaabx", true}, {"a*b*c", "abbbc", true}, {"a*b*c", "abbb", false}, {"**", "x", true},  {"a**b", "ab", true}, {"*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false}};
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.pattern) + " " + row.name, row.want, net::matches_name(row.pattern, row.name));
  }

  // A-12, case 24
  void name_patterns_match_nobody() {
    std::vector<AddressList::Mistake> mistakes;
    const auto list = AddressList::compile("#@*.example.net\n192.0.2.1\n!#@mail.example.net", mistakes, true);
    CPPUNIT_ASSERT(mistakes.empty());
    CPPUNIT_ASSERT(list.contains(*Address::parse("192.0.2.1")) && !list.contains(*Address::parse("192.0.2.2")));
  }

  // A-7
  void text_is_kept_as_typed() {
    const std::string text = " ; mine\r\n!10.0.0.1\n\n10.0.0.0/8 ; all\n";
    const auto list = good(text);
    const AddressList copy = list;
    CPPUNIT_ASSERT_EQUAL(text, copy.text());
    CPPUNIT_ASSERT(!list.empty());
    CPPUNIT_ASSERT(good("!10.0.0.1\n;").empty() && AddressList().empty() && AddressList().text().empty());
  }

  void limits_hold() {
    std::vector<AddressList::Mistake> mistakes;
    AddressList::compile(std::string(1024 * 1024 + 1, '\n'), mistakes);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, mistakes.size());
    mistakes.clear();
    AddressList::compile(std::string(100'001, '\n'), mistakes);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, mistakes.size());
    CPPUNIT_ASSERT_EQUAL(100'001, mistakes[0].line);
    mistakes.clear();
    AddressList::compile(std::string(100'000, '\n'), mistakes);
    CPPUNIT_ASSERT(mistakes.empty());
    std::string rubbish;
    for (int i = 0; i < 100'000; ++i) rubbish += "x\n";
    AddressList::compile(rubbish, mistakes);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1001}, mistakes.size());
    CPPUNIT_ASSERT_EQUAL(std::string("and 99000 more mistakes in this list"), mistakes.back().text);
  }

  void the_same_as_walking_from_the_last_line() {
    std::mt19937 random(11);
    for (int round = 0; round < 200; ++round) {
      struct Line {
        std::uint32_t first, last;
        bool takes_out;
      };
      std::vector<Line> lines;
      std::string text;
      for (unsigned i = 0; i < 1 + random() % 40; ++i) {
        Line line{0x0a000000 + static_cast<std::uint32_t>(random() % 256), 0, random() % 3 == 0};
        line.last = line.first + static_cast<std::uint32_t>(random() % 40);
        text += (line.takes_out ? "!" : "") + Address::ipv4(line.first).to_string() + "-" + Address::ipv4(line.last).to_string() + "\n";
        lines.push_back(line);
      }
      const auto list = good(text);
      for (std::uint32_t address = 0x09fffff0; address < 0x0a000130; ++address) {
        const auto decides = std::find_if(lines.rbegin(), lines.rend(), [&](const Line& line) { return line.first <= address && address <= line.last; });
        CPPUNIT_ASSERT_EQUAL_MESSAGE(text + Address::ipv4(address).to_string(), decides != lines.rend() && !decides->takes_out, list.contains(Address::ipv4(address)));
      }
    }
  }

  // A-10
  void a_hundred_thousand_lines_can_be_asked() {
    // Short enough for 1 MiB: "1.2.3.4" and "!1.2.3.4", scattered so that nothing is in order.
    std::string text;
    for (std::uint32_t i = 0; i < 100'000; ++i) {
      const std::uint32_t scattered = i * 48'271 % 100'000;
      text += (i % 10 == 9 ? "!" : "") + std::to_string(1 + scattered % 9) + "." + std::to_string(scattered / 9 % 10) + "." + std::to_string(scattered / 90 % 100) + "." +
              std::to_string(scattered / 9000 % 12) + "\n";
    }
    // How long that takes, tests/bench/admission_bench.cc says.
    const auto list = good(text);
    unsigned hits = 0;
    for (std::uint32_t i = 0; i < 100'000; ++i) hits += list.contains(Address::ipv4(i * 40'503)) ? 1 : 0;
    CPPUNIT_ASSERT(hits < 100'000);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(AddressListTest);

}  // namespace
