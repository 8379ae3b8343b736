// SPDX-License-Identifier: Apache-2.0
#include "authentication/dmarc.h"
#include "net/fixed_resolver.h"
#include "net/run_coroutine.h"

#include <cppunit/extensions/HelperMacros.h>

namespace {

using namespace postern;
using namespace postern::authentication;

const PublicSuffixes& suffixes() {
  static const PublicSuffixes list;
  return list;
}

SpfAnswer spf(Outcome outcome, std::string domain) {
  SpfAnswer answer;
  answer.outcome = outcome;
  answer.domain = std::move(domain);
  return answer;
}

class DmarcTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(DmarcTest);
  CPPUNIT_TEST(organisations_follow_the_public_suffix_list);
  CPPUNIT_TEST(records);
  CPPUNIT_TEST(the_author_is_one_domain);
  CPPUNIT_TEST(alignment_and_policies);
  CPPUNIT_TEST(what_is_not_known_fails_nobody);
  CPPUNIT_TEST(a_second_author_hides_nobody);
  CPPUNIT_TEST_SUITE_END();

  void organisations_follow_the_public_suffix_list() {
    CPPUNIT_ASSERT(suffixes().has_list());
    for (const auto& [name, want] : {std::pair{"a.b.example.com", "example.com"}, {"example.com", "example.com"}, {"mail.example.co.uk", "example.co.uk"}, {"co.uk", "co.uk"}, {"com", "com"}})
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::string(want), suffixes().organisation_of(name));
  }

  void records() {
    for (const char* const text : {"v=DMARC1;p=none", " v = DMARC1 ; p=none", "v=DMARC1;"}) CPPUNIT_ASSERT_MESSAGE(text, is_dmarc_record(text));
    for (const char* const text : {"", "v=DMARC1", "v=dmarc1; p=none", "p=none; v=DMARC1", "v=DMARC2; p=none", "v=spf1 -all"}) CPPUNIT_ASSERT_MESSAGE(text, !is_dmarc_record(text));
    const auto record = parse_dmarc_record("v=DMARC1; p=Reject; sp=quarantine; adkim=s; aspf=s; pct=25; rua=mailto:a@example.com; x=y");
    CPPUNIT_ASSERT(record && record->policy == Policy::reject && record->subdomain_policy == Policy::quarantine && record->strict_dkim && record->strict_spf && record->percent == 25);
    const auto plain = parse_dmarc_record("v=DMARC1; p=none; pct=101; adkim=x");
    CPPUNIT_ASSERT(plain && plain->percent == 100 && !plain->strict_dkim && !plain->subdomain_policy);
    // Without a policy that can be read it asks for reports at most.
    const auto reports = parse_dmarc_record("v=DMARC1; p=refuse; rua=mailto:a@example.com");
    CPPUNIT_ASSERT(reports && reports->policy == Policy::none);
    for (const char* const text : {"v=DMARC1; p=refuse", "v=DMARC1; rua=x", "v=DMARC1; p=none; p=reject", "v=DMARC1; p", "v=DMARC1; p=reject; sp=x"})
      CPPUNIT_ASSERT_MESSAGE(text, !parse_dmarc_record(text));
  }

  void the_author_is_one_domain() {
    const auto domain = [](const std::string& text) {
      const auto header = mail::parse_header(text);
      const auto found = author_domain(header);
      return found ? *found : "-" + found.error().what;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("example.com"), domain("From: A <a@Example.com>\r\n\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("example.com"), domain("From: a@example.com, \"x@evil.example\" <b@example.com>\r\n\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("xn--bcher-kva.example"), domain("From: a@b\xc3\xbc" "cher.example\r\n\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("-several From fields"), domain("From: a@example.com\r\nfrom: b@example.com\r\n\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("-From has addresses of several domains"), domain("From: a@example.com, b@example.org\r\n\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("-no From field"), domain("To: a@example.com\r\n\r\n"));
    for (const char* const from : {"From: \r\n\r\n", "From: a@[192.0.2.1]\r\n\r\n", "From: undisclosed:;\r\n\r\n", "From: a@localhost\r\n\r\n"})
      CPPUNIT_ASSERT_EQUAL_MESSAGE(from, std::string("-no domain in From"), domain(from));
  }

  void alignment_and_policies() {
    net::FixedResolver dns;
    dns.add_text("_dmarc.example.com", "v=DMARC1; p=reject; sp=quarantine");
    dns.add_text("_dmarc.strict.example.com", "v=DMARC1; p=reject; adkim=s; aspf=s; pct=30");
    dns.add_text("_dmarc.two.example.org", "v=DMARC1; p=reject");
    dns.add_text("_dmarc.two.example.org", "v=DMARC1; p=none");
    const struct {
      const char *author, *spf, *signer;
      unsigned lot;
      Outcome want;
      Policy wanted;
    } rows[] = {
        {"example.com", "example.com", "", 0, Outcome::pass, Policy::none},
        {"example.com", "bounces.example.com", "", 0, Outcome::pass, Policy::none},
        {"example.com", "", "lists.example.com", 0, Outcome::pass, Policy::none},
        {"mail.example.com", "", "example.com", 0, Outcome::pass, Policy::none},
        {"example.com", "example.org", "example.net", 0, Outcome::fail, Policy::reject},
        {"example.com", "", "notexample.com", 99, Outcome::fail, Policy::reject},
        {"mail.example.com", "", "", 0, Outcome::fail, Policy::quarantine},  // sp= of the organisation
        {"strict.example.com", "", "example.com", 0, Outcome::fail, Policy::reject},
        {"strict.example.com", "a.strict.example.com", "", 29, Outcome::fail, Policy::reject},
        {"strict.example.com", "", "", 30, Outcome::fail, Policy::quarantine},  // not drawn by pct=: the weaker policy
        {"strict.example.com", "", "strict.example.com", 0, Outcome::pass, Policy::none},
        {"example.net", "", "", 0, Outcome::none, Policy::none},
        {"two.example.org", "", "", 0, Outcome::none, Policy::none},  // two records are none
    };
    for (const auto& row : rows) {
      Authenticated known;
      if (*row.spf != '\0') known.spf = spf(Outcome::pass, row.spf);
      if (*row.signer != '\0') known.signers = {row.signer};
      const DmarcAnswer answer = net::run_coroutine(check_dmarc(dns, suffixes(), std::string(row.author), known, row.lot));
      const std::string name = std::string(row.author) + " " + row.spf + " " + row.signer;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::string(to_string(row.want)), std::string(to_string(answer.outcome)));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::string(to_string(row.wanted)), std::string(to_string(answer.wanted)));
    }
    Authenticated failed;
    failed.spf = spf(Outcome::softfail, "example.com");
    CPPUNIT_ASSERT(net::run_coroutine(check_dmarc(dns, suffixes(), std::string("example.com"), failed, 0)).outcome == Outcome::fail);
  }

  void what_is_not_known_fails_nobody() {
    net::FixedResolver dns;
    dns.add_text("_dmarc.example.com", "v=DMARC1; p=reject");
    dns.add_text("_dmarc.bad.example.org", "v=DMARC1; p");
    dns.set_failing("_dmarc.silent.example.org");
    const auto outcome = [&](Result<std::string> author, Authenticated known) { return net::run_coroutine(check_dmarc(dns, suffixes(), std::move(author), std::move(known), 0)); };
    Authenticated uncertain;
    uncertain.uncertain = true;
    CPPUNIT_ASSERT(outcome(std::string("example.com"), uncertain).outcome == Outcome::temperror);
    Authenticated silent;
    silent.spf = spf(Outcome::temperror, "example.com");
    CPPUNIT_ASSERT(outcome(std::string("example.com"), silent).outcome == Outcome::temperror);
    CPPUNIT_ASSERT(outcome(std::string("silent.example.org"), {}).outcome == Outcome::temperror);
    CPPUNIT_ASSERT(outcome(std::string("bad.example.org"), {}).outcome == Outcome::permerror);
    CPPUNIT_ASSERT(outcome(Error{Kind::not_found, "no From field"}, {}).outcome == Outcome::none);
    CPPUNIT_ASSERT(outcome(Error{Kind::invalid, "several From fields"}, {}).outcome == Outcome::permerror);
    CPPUNIT_ASSERT(outcome(std::string("example.com"), uncertain).wanted == Policy::none);
  }

  void a_second_author_hides_nobody() {
    net::FixedResolver dns;
    dns.add_text("_dmarc.example.com", "v=DMARC1; p=reject");
    dns.add_text("_dmarc.example.org", "v=DMARC1; p=quarantine");
    dns.add_text("_dmarc.example.net", "v=DMARC1; p=none");
    const struct {
      const char *from, *signer;
      Outcome want;
      Policy wanted;
      const char* domain;
    } rows[] = {
        {"From: a@example.com\r\n", "example.com", Outcome::pass, Policy::none, "example.com"},
        {"From: a@example.com, b@evil.example\r\n", "evil.example", Outcome::fail, Policy::reject, "example.com"},
        {"From: b@evil.example\r\nFrom: a@example.com\r\n", "evil.example", Outcome::fail, Policy::reject, "example.com"},
        {"From: a@example.org, c@example.net, b@example.com, d@example.org\r\n", "example.net", Outcome::fail, Policy::reject, "example.com"},
        {"From: a@example.org, c@example.net, b@example.com\r\n", "example.com", Outcome::fail, Policy::quarantine, "example.org"},
        {"From: a@example.com, c@nowhere.example\r\n", "example.com", Outcome::permerror, Policy::none, ""},
        {"From: \r\nFrom: \r\n", "", Outcome::permerror, Policy::none, ""},
        {"To: a@example.com\r\n", "", Outcome::none, Policy::none, ""},
    };
    for (const auto& row : rows) {
      const std::string text = std::string(row.from) + "\r\n";
      const auto header = mail::parse_header(text);
      Authenticated known;
      known.signers = {row.signer};
      const DmarcAnswer answer = net::run_coroutine(check_dmarc(dns, suffixes(), header, known, 0));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.from, std::string(to_string(row.want)), std::string(to_string(answer.outcome)));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.from, std::string(to_string(row.wanted)), std::string(to_string(answer.wanted)));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.from, std::string(row.domain), answer.domain);
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(DmarcTest);

}  // namespace
