// SPDX-License-Identifier: Apache-2.0
// SPF by the situations of RFC 7208, each against a DNS of a few records in memory.
#include "authentication/spf.h"
#include "authentication/spf_record.h"
#include "net/fixed_resolver.h"
#include "net/run_coroutine.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using namespace postern;
using authentication::MacroFacts;
using authentication::Outcome;
using authentication::SpfAnswer;
using authentication::SpfQuestion;

SpfAnswer check(net::FixedResolver& dns, std::string_view client, std::string sender, std::string helo = "mail.example.com") {
  SpfQuestion question;
  question.client = net::Address::parse(client).value();
  question.helo = std::move(helo);
  question.sender = std::move(sender);
  question.receiver = "mx.example.org";
  question.until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  return net::run_coroutine(authentication::check_spf(dns, std::move(question)));
}

std::string outcome(net::FixedResolver& dns, std::string_view client, std::string sender, std::string helo = "mail.example.com") {
  return std::string(to_string(check(dns, client, std::move(sender), std::move(helo)).outcome));
}

// One record for example.com.
std::string by(std::string_view record, std::string_view client = "192.0.2.1") {
  net::FixedResolver dns;
  dns.add_text("example.com", record);
  return outcome(dns, client, "user@example.com");
}

class SpfTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SpfTest);
  CPPUNIT_TEST(records_that_are_no_records_are_permerror);
  CPPUNIT_TEST(networks_match_by_their_prefix);
  CPPUNIT_TEST(which_identity_is_checked);
  CPPUNIT_TEST(hosts_match_by_their_addresses);
  CPPUNIT_TEST(include_matches_on_pass_only);
  CPPUNIT_TEST(redirect_takes_the_other_domains_answer);
  CPPUNIT_TEST(names_of_the_client_count_if_they_lead_back);
  CPPUNIT_TEST(questions_are_limited);
  CPPUNIT_TEST(a_silent_dns_is_temperror);
  CPPUNIT_TEST(macros_stand_for_what_the_rfc_says);
  CPPUNIT_TEST(macros_in_terms);
  CPPUNIT_TEST(fail_is_explained);
  CPPUNIT_TEST_SUITE_END();

  void records_that_are_no_records_are_permerror() {
    const struct {
      const char* record;
      const char* want;
    } rows[] = {
        {"v=spf1 -all", "fail"}, {"v=spf1 ~all", "softfail"}, {"v=spf1 ?all", "neutral"}, {"v=spf1 +all", "pass"}, {"V=SPF1 ALL", "pass"}, {"v=spf1", "neutral"},
        {"v=spf10 -all", "none"}, {"v=spf1-all", "none"}, {"spf1 -all", "none"}, {"v=spf1  -all ", "fail"}, {"v=spf1 unknown=1 -all", "fail"},
        // A mistake anywhere counts, even behind what would have matched.
        {"v=spf1 ip4:192.0.2.1 nothing", "permerror"}, {"v=spf1 all:example.com", "permerror"}, {"v=spf1 -all/8", "permerror"}, {"v=spf1 ip4", "permerror"},
        {"v=spf1 ip4:192.0.2.1/33", "permerror"}, {"v=spf1 ip4:192.0.2.1/08", "permerror"}, {"v=spf1 ip4:2001:db8::1", "permerror"}, {"v=spf1 ip6:192.0.2.1", "permerror"},
        {"v=spf1 ip6:2001:db8::1/129", "permerror"}, {"v=spf1 ip6:[2001:db8::1]", "permerror"}, {"v=spf1 ip4:192.0.2.1/", "permerror"},
        {"v=spf1 a:", "permerror"}, {"v=spf1 a:example.com/33", "permerror"}, {"v=spf1 a:example.com//129", "permerror"}, {"v=spf1 a:example.com:8080", "permerror"},
        {"v=spf1 a:example", "permerror"}, {"v=spf1 a:example.123", "permerror"}, {"v=spf1 a:example.-x", "permerror"}, {"v=spf1 a/24/64", "permerror"},
        {"v=spf1 include", "permerror"}, {"v=spf1 exists:", "permerror"}, {"v=spf1 ptr:", "permerror"}, {"v=spf1 ptr/8", "permerror"},
        {"v=spf1 redirect=a.example redirect=b.example", "permerror"}, {"v=spf1 exp=a.example exp=a.example", "permerror"}, {"v=spf1 redirect=", "permerror"},
        {"v=spf1 =x", "permerror"}, {"v=spf1 1x=y", "permerror"}, {"v=spf1 x=%", "permerror"}, {"v=spf1 x=%{d}%%%_%-", "neutral"}, {"v=spf1 x=%{z}", "permerror"},
        {"v=spf1 exists:%{d0}.example.com", "permerror"}, {"v=spf1 exists:%{c}.example.com", "permerror"}, {"v=spf1 exists:%{d", "permerror"}, {"v=spf1 exists:%{dx}.a.example", "permerror"},
        {"v=spf1 \x01 -all", "permerror"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.record, std::string(row.want), by(row.record));
    net::FixedResolver dns;
    dns.add_text("example.com", "v=spf1 -all");
    dns.add_text("example.com", "something else");
    CPPUNIT_ASSERT_EQUAL(std::string("fail"), outcome(dns, "192.0.2.1", "user@example.com"));
    dns.add_text("example.com", "v=spf1 +all");
    CPPUNIT_ASSERT_EQUAL(std::string("permerror"), outcome(dns, "192.0.2.1", "user@example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("none"), outcome(dns, "192.0.2.1", "user@example.org"));
  }

  void networks_match_by_their_prefix() {
    const struct {
      const char *record, *client, *want;
    } rows[] = {
        {"v=spf1 ip4:192.0.2.1 -all", "192.0.2.1", "pass"}, {"v=spf1 ip4:192.0.2.1 -all", "192.0.2.2", "fail"}, {"v=spf1 ip4:192.0.2.0/24 -all", "192.0.2.200", "pass"},
        {"v=spf1 ip4:192.0.2.0/24 -all", "192.0.3.1", "fail"}, {"v=spf1 ip4:0.0.0.0/0 -all", "198.51.100.7", "pass"}, {"v=spf1 ip4:0.0.0.0/0 -all", "2001:db8::1", "fail"},
        {"v=spf1 ip6:2001:db8::/32 -all", "2001:db8:1::1", "pass"}, {"v=spf1 ip6:2001:db8::/32 -all", "2001:db9::1", "fail"}, {"v=spf1 ip6:::/0 -all", "192.0.2.1", "fail"},
        {"v=spf1 ip6:::ffff:192.0.2.0/120 -all", "192.0.2.9", "pass"}, {"v=spf1 ip6:::ffff:192.0.2.0/120 -all", "192.0.3.9", "fail"},
        {"v=spf1 -ip4:192.0.2.1 ip4:192.0.2.0/24 -all", "192.0.2.1", "fail"}, {"v=spf1 ?ip4:192.0.2.1 -all", "192.0.2.1", "neutral"}, {"v=spf1 ~ip4:192.0.2.1 -all", "::ffff:192.0.2.1", "softfail"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.record) + " " + row.client, std::string(row.want), by(row.record, row.client));
  }

  void which_identity_is_checked() {
    net::FixedResolver dns;
    dns.add_text("example.com", "v=spf1 ip4:192.0.2.1 -all");
    dns.add_text("mail.example.com", "v=spf1 ip4:192.0.2.2 -all");
    dns.add_text("x.example.com", "v=spf1 exists:%{l}.%{o}.users.example.com -all");
    dns.add_address("postmaster.x.example.com.users.example.com", "127.0.0.2");
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.1", "user@example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("fail"), outcome(dns, "192.0.2.1", ""));
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.2", ""));
    CPPUNIT_ASSERT(check(dns, "192.0.2.2", "").of_helo);
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.2", "@x.example.com"));  // no local part: postmaster
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.2", "", "x.example.com"));
    for (const char* const helo : {"[192.0.2.1]", "localhost", "", "a..example.com", "-"}) CPPUNIT_ASSERT_EQUAL_MESSAGE(helo, std::string("none"), outcome(dns, "192.0.2.1", "", helo));
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.1", "user@EXAMPLE.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("none"), outcome(dns, "192.0.2.1", "user@" + std::string(64, 'a') + ".example.com"));
  }

  void hosts_match_by_their_addresses() {
    net::FixedResolver dns;
    dns.add_text("example.com", "v=spf1 a mx:mail.example.com -all");
    dns.add_address("example.com", "192.0.2.1");
    dns.add_address("example.com", "2001:db8::1");
    dns.add_mail_exchanger("mail.example.com", 10, "mx1.example.com");
    dns.add_mail_exchanger("mail.example.com", 20, "mx2.example.com");
    dns.add_address("mx2.example.com", "192.0.2.20");
    dns.add_text("wide.example.com", "v=spf1 a:example.com/24//48 -all");
    dns.add_text("null.example.com", "v=spf1 mx -all");
    dns.add_mail_exchanger("null.example.com", 0, ".");
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.1", "u@example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "2001:db8::1", "u@example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.20", "u@example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("fail"), outcome(dns, "192.0.2.3", "u@example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.3", "u@wide.example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "2001:db8:0:9::9", "u@wide.example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("fail"), outcome(dns, "192.0.3.3", "u@wide.example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("fail"), outcome(dns, "192.0.3.3", "u@null.example.com"));
    // exists asks for A, whatever the client's family.
    dns.add_text("e.example.com", "v=spf1 exists:%{ir}.%{v}._spf.%{d2} -all");
    dns.add_address("3.2.0.192.in-addr._spf.example.com", "127.0.0.2");
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.3", "u@e.example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("fail"), outcome(dns, "192.0.2.4", "u@e.example.com"));
  }

  void include_matches_on_pass_only() {
    const struct {
      const char *inner, *want;
    } rows[] = {{"v=spf1 +all", "pass"}, {"v=spf1 -all", "softfail"}, {"v=spf1 ~all", "softfail"}, {"v=spf1 ?all", "softfail"},
                {"v=spf1 oops", "permerror"}, {"nothing", "permerror"}, {"v=spf1 a:%{d}", "softfail"}};
    for (const auto& row : rows) {
      net::FixedResolver dns;
      dns.add_text("example.com", "v=spf1 include:inner.example.com ~all");
      dns.add_text("inner.example.com", row.inner);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.inner, std::string(row.want), outcome(dns, "192.0.2.1", "u@example.com"));
    }
    net::FixedResolver dns;
    dns.add_text("example.com", "v=spf1 include:inner.example.com a:%{d}.x.example.com -all");
    dns.add_text("inner.example.com", "v=spf1 -all");
    dns.add_address("example.com.x.example.com", "192.0.2.1");  // %{d} is the outer domain again
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.1", "u@example.com"));
  }

  void redirect_takes_the_other_domains_answer() {
    net::FixedResolver dns;
    dns.add_text("example.com", "v=spf1 ip4:192.0.2.1 redirect=%{l}.example.org exp=here.example.com");
    dns.add_text("user.example.org", "v=spf1 ip4:192.0.2.2 -all exp=there.example.com");
    dns.add_text("here.example.com", "here");
    dns.add_text("there.example.com", "there");
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.1", "user@example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.2", "user@example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("there"), check(dns, "192.0.2.3", "user@example.com").explanation);
    CPPUNIT_ASSERT_EQUAL(std::string("permerror"), outcome(dns, "192.0.2.3", "nobody@example.com"));  // leads to no record
    CPPUNIT_ASSERT_EQUAL(std::string("fail"), by("v=spf1 redirect=other.example -all"));              // not asked behind "all"
    CPPUNIT_ASSERT_EQUAL(std::string("permerror"), by("v=spf1 redirect=example.com"));                // in a circle
    CPPUNIT_ASSERT_EQUAL(std::string("permerror"), by("v=spf1 include:example.com -all"));
  }

  void names_of_the_client_count_if_they_lead_back() {
    net::FixedResolver dns;
    dns.add_text("example.com", "v=spf1 ptr -all");
    dns.add_text("macro.example.com", "v=spf1 exists:%{p}.seen.example.com -all");
    dns.add_name("192.0.2.1", "host.example.com");
    dns.add_address("host.example.com", "192.0.2.1");
    dns.add_name("192.0.2.2", "host.example.com");  // does not lead back
    dns.add_name("192.0.2.3", "notexample.com");
    dns.add_address("notexample.com", "192.0.2.3");
    dns.add_address("host.example.com.seen.example.com", "127.0.0.2");
    dns.add_address("unknown.seen.example.com", "127.0.0.2");
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.1", "u@example.com"));
    for (const char* const client : {"192.0.2.2", "192.0.2.3", "192.0.2.4"}) CPPUNIT_ASSERT_EQUAL_MESSAGE(client, std::string("fail"), outcome(dns, client, "u@example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.1", "u@macro.example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.2", "u@macro.example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("fail"), outcome(dns, "192.0.2.3", "u@macro.example.com"));
  }

  void questions_are_limited() {
    const auto chain = [](int count) {
      net::FixedResolver dns;
      for (int i = 0; i < count; ++i) dns.add_text("d" + std::to_string(i) + ".example.com", "v=spf1 include:d" + std::to_string(i + 1) + ".example.com ?all");
      dns.add_text("d" + std::to_string(count) + ".example.com", "v=spf1 +all");
      return outcome(dns, "192.0.2.1", "u@d0.example.com");
    };
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), chain(10));
    CPPUNIT_ASSERT_EQUAL(std::string("permerror"), chain(11));
    const auto hosts = [](unsigned count) {
      net::FixedResolver dns;
      dns.add_text("example.com", "v=spf1 mx -all");
      for (unsigned i = 0; i < count; ++i) dns.add_mail_exchanger("example.com", 10, "m" + std::to_string(i) + ".example.com");
      dns.add_address("m9.example.com", "192.0.2.1");
      return outcome(dns, "192.0.2.1", "u@example.com");
    };
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), hosts(10));
    CPPUNIT_ASSERT_EQUAL(std::string("permerror"), hosts(11));
    // Terms without an answer: two are allowed. Hosts of an MX record are none.
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), by("v=spf1 a:no1.example.com a:no2.example.com ip4:192.0.2.1 -all"));
    CPPUNIT_ASSERT_EQUAL(std::string("permerror"), by("v=spf1 a:no1.example.com mx:no2.example.com exists:no3.example.com ip4:192.0.2.1 -all"));
  }

  void a_silent_dns_is_temperror() {
    net::FixedResolver dns;
    dns.add_text("example.com", "v=spf1 a:silent.example.com ip4:192.0.2.1 -all");
    dns.add_text("first.example.com", "v=spf1 ip4:192.0.2.1 a:silent.example.com -all");
    dns.set_failing("silent.example.com");
    CPPUNIT_ASSERT_EQUAL(std::string("temperror"), outcome(dns, "192.0.2.1", "u@example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.1", "u@first.example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("temperror"), outcome(dns, "192.0.2.1", "u@silent.example.com"));
    SpfQuestion late;
    late.client = net::Address::parse("192.0.2.1").value();
    late.sender = "u@first.example.com";
    CPPUNIT_ASSERT(net::run_coroutine(authentication::check_spf(dns, late)).outcome == Outcome::temperror);  // its time was over before it began
  }

  // The examples of RFC 7208 section 7.4, among others.
  void macros_stand_for_what_the_rfc_says() {
    MacroFacts facts;
    facts.client = net::Address::parse("192.0.2.3").value();
    facts.sender = "strong-bad@email.example.com";
    facts.helo = "mail.example.org";
    facts.domain = "email.example.com";
    facts.validated = "unknown";
    facts.receiver = "mx.example.net";
    facts.now = 1234567890;
    const struct {
      const char *text, *want;
    } rows[] = {
        {"%{s}", "strong-bad@email.example.com"}, {"%{o}", "email.example.com"}, {"%{d}", "email.example.com"}, {"%{d4}", "email.example.com"}, {"%{d3}", "email.example.com"},
        {"%{d2}", "example.com"}, {"%{d1}", "com"}, {"%{dr}", "com.example.email"}, {"%{d2r}", "example.email"}, {"%{l}", "strong-bad"}, {"%{l-}", "strong.bad"}, {"%{lr}", "strong-bad"},
        {"%{lr-}", "bad.strong"}, {"%{l1r-}", "strong"}, {"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"}, {"%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
        {"%{h}", "mail.example.org"}, {"%{S}", "strong-bad%40email.example.com"}, {"%{p}", "unknown"}, {"%%%_%-", "% %20"}, {"%{d99}", "email.example.com"},
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, std::string(row.want), authentication::expand_macros(row.text, facts, false).value());
    CPPUNIT_ASSERT_EQUAL(std::string("192.0.2.3 mx.example.net 1234567890"), authentication::expand_macros("%{c} %{r} %{t}", facts, true).value());
    facts.client = net::Address::parse("2001:db8::cb01").value();
    CPPUNIT_ASSERT_EQUAL(std::string("1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6"), authentication::expand_macros("%{ir}.%{v}", facts, false).value());
    // A name too long loses labels on its left.
    facts.sender = std::string(60, 'a') + "." + std::string(60, 'b') + "." + std::string(60, 'c') + "." + std::string(60, 'd') + "@example.com";
    const auto name = authentication::expand_domain("%{l}.%{o}.example.org", facts);
    CPPUNIT_ASSERT(name && name->starts_with("bbb") && name->size() <= 253);
  }

  void macros_in_terms() {
    net::FixedResolver dns;
    dns.add_text("example.com", "v=spf1 a:%{l}.people.example.com -all");
    dns.add_address("jane.people.example.com", "192.0.2.1");
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), outcome(dns, "192.0.2.1", "jane@example.com"));
    CPPUNIT_ASSERT_EQUAL(std::string("fail"), outcome(dns, "192.0.2.1", "john@example.com"));
  }

  void fail_is_explained() {
    net::FixedResolver dns;
    dns.add_text("example.com", "v=spf1 -all exp=why.%{d}");
    dns.add_text("why.example.com", "%{i} may not send for %{d}, says %{r}%_here");
    dns.add_text("two.example.com", "v=spf1 -all exp=both.example.com");
    dns.add_text("both.example.com", "one");
    dns.add_text("both.example.com", "two");
    dns.add_text("bad.example.com", "v=spf1 -all exp=macro.example.com");
    dns.add_text("macro.example.com", "100%");
    dns.add_text("outer.example.com", "v=spf1 include:example.com -all");
    CPPUNIT_ASSERT_EQUAL(std::string("192.0.2.1 may not send for example.com, says mx.example.org here"), check(dns, "192.0.2.1", "u@example.com").explanation);
    for (const char* const sender : {"u@two.example.com", "u@bad.example.com", "u@outer.example.com"}) {
      const SpfAnswer answer = check(dns, "192.0.2.1", sender);
      CPPUNIT_ASSERT_MESSAGE(sender, answer.outcome == Outcome::fail && answer.explanation.empty());
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SpfTest);

}  // namespace
