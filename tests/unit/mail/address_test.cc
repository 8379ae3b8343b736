// SPDX-License-Identifier: Apache-2.0
#include "mail/address.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern::mail;

namespace {

class AddressTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(AddressTest);
  CPPUNIT_TEST(mailboxes_become_canonical);
  CPPUNIT_TEST(malformed_mailboxes_are_refused);
  CPPUNIT_TEST(lengths_are_limited);
  CPPUNIT_TEST(reverse_paths);
  CPPUNIT_TEST(forward_paths);
  CPPUNIT_TEST(utf8_is_noticed);
  CPPUNIT_TEST(canonical_form_reads_back_as_itself);
  CPPUNIT_TEST(sub_addresses);
  CPPUNIT_TEST(address_lists);
  CPPUNIT_TEST(groups);
  CPPUNIT_TEST(hostile_lists_end);
  CPPUNIT_TEST_SUITE_END();

  void mailboxes_become_canonical() {
    struct {
      std::string_view given, want;
    } rows[] = {
        {"user@example.com", "user@example.com"},
        {"User@EXAMPLE.Com", "User@example.com"},
        {"first.last@example.com", "first.last@example.com"},
        {"a+b=c/d{e}|f~g!h#i$j%k&l'm*n?o^p_q`r-s@example.com", "a+b=c/d{e}|f~g!h#i$j%k&l'm*n?o^p_q`r-s@example.com"},
        {"\"user\"@example.com", "user@example.com"},
        {"\"first.last\"@example.com", "first.last@example.com"},
        {"\"us\\er\"@example.com", "user@example.com"},
        {"\"first last\"@example.com", "\"first last\"@example.com"},
        {"\"a@b\"@example.com", "\"a@b\"@example.com"},
        {"\"a\\\"b\"@example.com", "\"a\\\"b\"@example.com"},
        {"\"a\\\\b\"@example.com", "\"a\\\\b\"@example.com"},
        {"\"a>b\"@example.com", "\"a>b\"@example.com"},
        {"\"\"@example.com", "\"\"@example.com"},
        {"\"a..b\"@example.com", "\"a..b\"@example.com"},
        {"\".a\"@example.com", "\".a\"@example.com"},
        {"user@[192.0.2.1]", "user@[192.0.2.1]"},
        {"user@[IPv6:2001:DB8:0:0:0:0:0:1]", "user@[IPv6:2001:db8::1]"},
        {"user@[ipv6:::1]", "user@[IPv6:::1]"},
        {"user@[IPv6:::ffff:192.0.2.1]", "user@[IPv6:::ffff:192.0.2.1]"},
        {"user@localhost", "user@localhost"},
        {"user@a_b.example.com", "user@a_b.example.com"},
        {"user@1.example", "user@1.example"},
        {"user@xn--BCHER-kva.example", "user@xn--bcher-kva.example"},
        {"user@b\xc3\xbc" "cher.example", "user@xn--bcher-kva.example"},
        {"user@B\xc3\x9c" "CHER.example", "user@xn--bcher-kva.example"},
        {"user@fa\xc3\x9f.example", "user@xn--fa-hia.example"},
        {"j\xc3\xb6rg@example.com", "j\xc3\xb6rg@example.com"},
        {"\xe4\xbc\x8a\xe6\x98\xad\xe5\x82\x91@\xe9\x83\xb5\xe4\xbb\xb6.\xe5\x95\x86\xe5\x8b\x99", "\xe4\xbc\x8a\xe6\x98\xad\xe5\x82\x91@xn--5nqv22n.xn--lhr59c"},
    };
    for (const auto& row : rows) {
      const auto got = parse_mailbox(row.given);
      CPPUNIT_ASSERT_MESSAGE(std::string(row.given) + ": " + (got ? "" : got.error().what), got.has_value());
      CPPUNIT_ASSERT_EQUAL(std::string(row.want), got->to_string());
    }
  }

  void malformed_mailboxes_are_refused() {
    using namespace std::string_view_literals;
    const std::string_view rows[] = {
        "", "@", "user", "user@", "@example.com", ".user@example.com", "user.@example.com", "us..er@example.com", "us er@example.com",
        "user@example.com ", " user@example.com", "user@@example.com", "user@exam ple.com", "user@example.com.", "user@.example.com",
        "user@example..com", "user@-a.example", "user@a-.example", "user@exam!ple.com", "user@example.com>", "<user@example.com>",
        "\"user@example.com", "\"user\"x@example.com", "x\"user\"@example.com", "\"us\ter\"@example.com", "\"us\ner\"@example.com",
        "\"us\0er\"@example.com"sv, "us\0er@example.com"sv, "user@exa\0mple.com"sv, "\"us\\\ner\"@example.com", "us\x7f" "er@example.com",
        "user@[192.0.2]", "user@[192.0.2.256]", "user@[192.0.2.01]", "user@[192.0.2.1", "user@192.0.2.1]", "user@[IPv6:2001:db8]", "user@[2001:db8::1]",
        "user@[IPv6:192.0.2.1]", "user@[x:y]", "user@[]", "user@[192.0.2.1].example", "(c)user@example.com", "user@example.com(c)",
        "us\xff" "er@example.com", "us\xc3@example.com", "user@b\xff" "cher.example", "user@b\xc3\xbc" "cher..example", "user@\xe2\x80\x8b.example",
        "\"a\\\xc3\xa4\"@example.com", "us,er@example.com", "us;er@example.com", "us:er@example.com", "a@b@example.com",
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_MESSAGE(std::string(row), !parse_mailbox(row));
  }

  void lengths_are_limited() {
    const auto good = [](const std::string& text) { return parse_mailbox(text).has_value(); };
    CPPUNIT_ASSERT(good(std::string(64, 'a') + "@example.com"));
    CPPUNIT_ASSERT(good(std::string(256, 'a') + "@example.com"));
    CPPUNIT_ASSERT(!good(std::string(257, 'a') + "@example.com"));
    CPPUNIT_ASSERT(!good('"' + std::string(257, ' ') + "\"@example.com"));
    CPPUNIT_ASSERT(good("a@" + std::string(63, 'a') + ".example"));
    CPPUNIT_ASSERT(!good("a@" + std::string(64, 'a') + ".example"));
    std::string domain;
    while (domain.size() < 252) domain += "ab.";
    domain.resize(252);
    CPPUNIT_ASSERT(good("a@" + domain + "abc"));    // 255
    CPPUNIT_ASSERT(!good("a@" + domain + "abcd"));  // 256
  }

  void reverse_paths() {
    struct {
      std::string_view given, want, rest;
      bool null;
    } rows[] = {
        {"<>", "", "", true},
        {"<> SIZE=5", "", " SIZE=5", true},
        {"<a@example.com>", "a@example.com", "", false},
        {"<a@Example.Com> BODY=8BITMIME", "a@example.com", " BODY=8BITMIME", false},
        {"<\"a> b\"@example.com> X", "\"a> b\"@example.com", " X", false},
        {"<@one.example:a@example.com>", "a@example.com", "", false},
        {"<@one.example,@[192.0.2.1]:a@example.com>", "a@example.com", "", false},
        {"<postmaster@example.com>", "postmaster@example.com", "", false},
    };
    for (const auto& row : rows) {
      const auto got = parse_reverse_path(row.given);
      CPPUNIT_ASSERT_MESSAGE(std::string(row.given), got.has_value());
      CPPUNIT_ASSERT_EQUAL(std::string(row.want), got->path.to_string());
      CPPUNIT_ASSERT_EQUAL(std::string(row.rest), std::string(got->rest));
      CPPUNIT_ASSERT_EQUAL(row.null, got->path.null);
    }
    std::string route = "<";
    for (int i = 0; i < 40; ++i) route += i == 0 ? "@a.example" : ",@a.example";
    const std::string many = route + ":a@example.com>";
    const std::string_view bad[] = {"", "<", "<a@example.com", "a@example.com", " <a@example.com>", "< a@example.com>", "<a@example.com >", "<postmaster>",
                                    "<@one.example>", "<@one.example:>", "<@one.example a@b.example>", "<@:a@b.example>", "<one.example:a@b.example>",
                                    "<@one.example,:a@b.example>", "<<a@b.example>>", "<a@b.example,c@d.example>", many};
    for (const auto& row : bad) CPPUNIT_ASSERT_MESSAGE(std::string(row), !parse_reverse_path(row));
  }

  void forward_paths() {
    const auto postmaster = parse_forward_path("<PostMaster> NOTIFY=NEVER");
    CPPUNIT_ASSERT(postmaster.has_value() && postmaster->path.postmaster);
    CPPUNIT_ASSERT_EQUAL(std::string("postmaster"), postmaster->path.to_string());
    CPPUNIT_ASSERT_EQUAL(std::string(" NOTIFY=NEVER"), std::string(postmaster->rest));
    CPPUNIT_ASSERT(!parse_forward_path("<>"));
    CPPUNIT_ASSERT(!parse_forward_path("<root>"));
    const auto full = parse_forward_path("<Postmaster@Example.com>");
    CPPUNIT_ASSERT(full.has_value() && !full->path.postmaster);
    CPPUNIT_ASSERT_EQUAL(std::string("Postmaster@example.com"), full->path.to_string());
  }

  void utf8_is_noticed() {
    struct {
      std::string_view given;
      bool given_with, needs;
    } rows[] = {{"a@example.com", false, false},
                {"j\xc3\xb6rg@example.com", true, true},
                {"\"j\xc3\xb6rg\"@example.com", true, true},
                {"a@b\xc3\xbc" "cher.example", true, false}};
    for (const auto& row : rows) {
      const auto got = parse_mailbox(row.given);
      CPPUNIT_ASSERT_MESSAGE(std::string(row.given), got.has_value());
      CPPUNIT_ASSERT_EQUAL(row.given_with, got->given_with_utf8);
      CPPUNIT_ASSERT_EQUAL(row.needs, got->needs_smtputf8);
    }
  }

  void canonical_form_reads_back_as_itself() {
    for (const std::string_view given : {"\"a b\\\"c\\\\d\"@EXAMPLE.com", "\"x\"@[ipv6:0:0:0:0:0:0:0:1]", "a@b\xc3\xbc" "cher.example", "\"\"@x.example"}) {
      const auto once = parse_mailbox(given);
      CPPUNIT_ASSERT(once.has_value());
      const auto twice = parse_mailbox(once->to_string());
      CPPUNIT_ASSERT(twice.has_value());
      CPPUNIT_ASSERT_EQUAL(once->to_string(), twice->to_string());
      CPPUNIT_ASSERT_EQUAL(once->local_part, twice->local_part);
    }
  }

  void sub_addresses() {
    struct {
      std::string_view local, delimiters, user;
      const char* detail;
    } rows[] = {{"ken+sieve", "+", "ken", "sieve"}, {"ken", "+", "ken", nullptr},       {"ken+", "+", "ken", ""},    {"ken+a+b", "+", "ken", "a+b"},
                {"ken-a+b", "+-", "ken", "a+b"},    {"ken+a", "", "ken+a", nullptr},    {"+a", "+", "+a", nullptr},  {"+a+b", "+", "+a", "b"},
                {"", "+", "", nullptr}};
    for (const auto& row : rows) {
      const auto got = split_sub_address(row.local, row.delimiters);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.local), std::string(row.user), std::string(got.user));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.local), row.detail != nullptr, got.detail.has_value());
      if (row.detail != nullptr) CPPUNIT_ASSERT_EQUAL(std::string(row.detail), std::string(*got.detail));
    }
  }

  // Shown as "address" or "!raw", with '|' between.
  static std::string shown(const AddressList& list) {
    std::string out;
    for (const auto& entry : list.addresses) {
      if (!out.empty()) out += '|';
      out += entry.valid ? entry.address() : "!" + entry.raw;
    }
    return out;
  }

  void address_lists() {
    struct {
      std::string_view given, want;
    } rows[] = {
        {"", ""},
        {"a@b.example", "a@b.example"},
        {"a@b.example, c@d.example", "a@b.example|c@d.example"},
        {"a@b.example,,c@d.example,", "a@b.example|c@d.example"},
        {"Ann <a@b.example>", "a@b.example"},
        {"\"Doe, Jane\" <j@b.example>, x@y.example", "j@b.example|x@y.example"},
        {"Giant; \"Big\" Box <sysservices@example.net>", "!Giant; \"Big\" Box <sysservices@example.net>"},
        {"Mr. J. Q. Public <q@b.example>", "q@b.example"},
        {"a@b.example (Ann (the one), \\) really)", "a@b.example"},
        {"(c) a (c) @ (c) b (c) . example (c)", "a@b.example"},
        {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "pete@silly.test"},
        {"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example", "mary@example.net|jdoe@test.example"},
        {"<@a.example,@b.example:c@d.example>", "c@d.example"},
        {"\"first last\"@b.example", "first last@b.example"},
        {"\"a\\\"b\"@b.example", "a\"b@b.example"},
        {"first . last@b.example", "first.last@b.example"},
        {"a@[192.0.2.1]", "a@[192.0.2.1]"},
        {"a..b@c.example", "a..b@c.example"},
        {"=?utf-8?q?x=40y=2Cz?= <a@b.example>", "a@b.example"},
        {"user", "!user"},
        {"user, a@b.example", "!user|a@b.example"},
        {"Ann <a@b.example", "!Ann <a@b.example"},
        {"Ann <a@b.example> trailing, c@d.example", "!Ann <a@b.example> trailing|c@d.example"},
        {"@b.example", "!@b.example"},
        {"a@", "!a@"},
        {"<>", "!<>"},
        {"\"unclosed <a@b.example>, c@d.example", "!\"unclosed <a@b.example>|c@d.example"},
        {"a@b@c.example", "!a@b@c.example"},
        {"J\xc3\xb6rg <j\xc3\xb6rg@b.example>", "j\xc3\xb6rg@b.example"},
        {"a@b.example\r\n c@d.example", "!a@b.example\r\n c@d.example"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.given), std::string(row.want), shown(parse_address_list(row.given)));
    CPPUNIT_ASSERT_EQUAL(std::string("Doe, Jane"), parse_address_list("\"Doe, Jane\" <j@b.example>").addresses[0].display_name);
  }

  void groups() {
    struct {
      std::string_view given, want;
      bool grouped;
    } rows[] = {{"A Group:Ed Jones <joe@where.test>,John <jdoe@one.test>;", "joe@where.test|jdoe@one.test", true},
                {"Undisclosed recipients:;", "", true},
                {"x@y.example, G: a@b.example; , c@d.example", "x@y.example|a@b.example|c@d.example", true},
                {"G:a@b.example;H:c@d.example;", "a@b.example|c@d.example", true},
                {"G: a@b.example", "a@b.example", true},
                {"a@b.example", "a@b.example", false}};
    for (const auto& row : rows) {
      const auto got = parse_address_list(row.given);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.given), std::string(row.want), shown(got));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.given), row.grouped, got.grouped);
    }
  }

  void hostile_lists_end() {
    const auto repeated = [](std::string_view piece) {
      std::string text;
      while (text.size() < 1000000) text += piece;
      return text;
    };
    AddressListLimits wide;
    wide.addresses = 10000000;
    for (const std::string_view piece : {"(", "()", "\"", "<", ",", "a@[,", "<@a,", "\\\",", "a,", "G:", ".", "a@", "\"\"", "a (", "<@a.example,@"})
      CPPUNIT_ASSERT_NO_THROW(parse_address_list(repeated(piece), wide));
    CPPUNIT_ASSERT(parse_address_list(repeated("a@b.example,")).cut);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2000}, parse_address_list(repeated("a@b.example,")).addresses.size());
    CPPUNIT_ASSERT(parse_address_list(repeated("(")).cut);
    // An encoded word, or a script, may bring line ends; what is written into a header must have none.
    for (const std::string_view text : {"\"a\r\nBcc: b\"@a.example", "x <\"a\\\nb\"@a.example>", "a@[1.2\x1b.3.4]", "\"a\x7f\"@a.example"})
      CPPUNIT_ASSERT(!parse_address_list(text).addresses.at(0).valid);
    CPPUNIT_ASSERT(parse_address_list("\"a b\"@a.example, \"x\r\n\ty\" <b@a.example>").addresses.at(1).valid);
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(AddressTest);

}  // namespace
