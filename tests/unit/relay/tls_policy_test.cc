// SPDX-License-Identifier: Apache-2.0
// Which TLS a host must have, by which rule, and how it is counted.
#include "relay/tls_policy.h"

#include "base/files.h"
#include "net/fixed_resolver.h"
#include "net/run_coroutine.h"
#include "relay/tls_reports.h"

#include <boost/json/serialize.hpp>

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <stdlib.h>

#include <filesystem>

using namespace postern;
using relay::Dane;
using relay::TlsWish;
using Level = conf::Relay::TlsLevel;

namespace {

const std::string kDigest(32, 'd');

std::string tlsa(const char* kind, const std::string& data = kDigest) { return std::string{kind[0], kind[1], kind[2]} + data; }

class TlsPolicyTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(TlsPolicyTest);
  CPPUNIT_TEST(the_first_rule_that_speaks_decides);
  CPPUNIT_TEST(tlsa_records_count_where_all_is_validated);
  CPPUNIT_TEST(messages_say_what_they_want);
  CPPUNIT_TEST(sessions_are_counted_by_day_and_policy);
  CPPUNIT_TEST_SUITE_END();

  static Dane dane_of(Dane::State state) {
    Dane dane;
    dane.state = state;
    dane.base_domain = "mx.example.net";
    dane.published = 1;
    dane.reason = "no answer";
    if (state == Dane::State::usable) dane.records = {{3, 1, 1, kDigest}};
    return dane;
  }
  static relay::StsFound sts_of(const char* mode) {
    relay::StsFound found;
    if (*mode != '\0')
      found.policy = relay::KeptStsPolicy{"1", base::wall_now(), relay::parse_sts_policy("version: STSv1\nmode: " + std::string(mode) + "\nmx: mx.example.net\nmax_age: 100\n").value()};
    return found;
  }

  void the_first_rule_that_speaks_decides() {
    using S = Dane::State;
    constexpr auto N = TlsWish::none, R = TlsWish::required, NO = TlsWish::not_required;
    struct {
      const char* what;
      Level level;
      TlsWish wish;
      S dane;
      const char *sts, *host, *want;
      bool secure = false;
    } rows[] = {
        {"nothing said", Level::opportunistic, N, S::none, "", "mx.example.net", "opportunistic attempted"},
        {"off", Level::off, N, S::usable, "enforce", "mx.example.net", "off never"},
        {"verified", Level::verified, N, S::usable, "enforce", "mx.example.net", "route authenticated"},
        {"required", Level::required, N, S::none, "", "mx.example.net", "route encrypted"},
        {"DANE", Level::opportunistic, N, S::usable, "enforce", "other.example.net", "dane authenticated tlsa"},
        {"required and DANE", Level::required, N, S::usable, "", "mx.example.net", "dane authenticated tlsa"},
        {"unusable records", Level::opportunistic, N, S::unusable, "enforce", "mx.example.net", "dane encrypted"},
        {"nobody knows", Level::opportunistic, N, S::unknown, "", "mx.example.net", "later 4.4.3"},
        {"MTA-STS", Level::opportunistic, N, S::none, "enforce", "mx.example.net", "mta-sts authenticated"},
        {"MTA-STS, another host", Level::opportunistic, N, S::none, "enforce", "mx.evil.example", "later 4.7.5"},
        {"MTA-STS, testing", Level::opportunistic, N, S::none, "testing", "mx.evil.example", "mta-sts attempted testing"},
        {"required, and MTA-STS testing", Level::required, N, S::none, "testing", "mx.example.net", "mta-sts encrypted testing"},
        {"MTA-STS, none", Level::opportunistic, N, S::none, "none", "mx.evil.example", "opportunistic attempted"},
        {"TLS-Required: No", Level::opportunistic, NO, S::usable, "enforce", "mx.evil.example", "not-required attempted"},
        {"TLS-Required: No, but the route", Level::required, NO, S::usable, "", "mx.example.net", "route encrypted"},
        {"REQUIRETLS, DANE", Level::opportunistic, R, S::usable, "", "mx.example.net", "dane authenticated tlsa", true},
        {"REQUIRETLS, DNSSEC", Level::opportunistic, R, S::none, "", "mx.example.net", "requiretls authenticated", true},
        {"REQUIRETLS, unusable records", Level::opportunistic, R, S::unusable, "", "mx.example.net", "requiretls authenticated", true},
        {"REQUIRETLS, MTA-STS", Level::opportunistic, R, S::none, "enforce", "mx.example.net", "mta-sts authenticated"},
        {"REQUIRETLS, MTA-STS testing", Level::opportunistic, R, S::none, "testing", "mx.example.net", "requiretls authenticated"},
        {"REQUIRETLS, MTA-STS testing, another host", Level::opportunistic, R, S::none, "testing", "mx.evil.example", "never 5.7.30"},
        {"REQUIRETLS, nobody vouches", Level::opportunistic, R, S::none, "", "mx.example.net", "never 5.7.30"},
        {"REQUIRETLS, verified, nobody vouches", Level::verified, R, S::none, "", "mx.example.net", "never 5.7.30"},
        {"REQUIRETLS, off", Level::off, R, S::usable, "", "mx.example.net", "never 5.7.10", true},
    };
    for (const auto& row : rows) {
      relay::Route route;
      route.tls = row.level;
      const relay::TlsQuestion question{route, row.wish, "example.net", row.host, false, row.secure};
      const auto decision = relay::decide_tls(question, dane_of(row.dane), sts_of(row.sts));
      std::string shown;
      if (decision.refused) shown = (decision.refused->permanent ? "never " : "later ") + decision.refused->status;
      else
        shown = std::string(to_string(decision.policy.rule)) + " " + std::string(to_string(decision.policy.need)) + (decision.policy.server.tlsa.empty() ? "" : " tlsa") +
                (decision.policy.testing ? " testing" : "");
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.what, std::string(row.want), shown);
      if (!decision.refused) CPPUNIT_ASSERT_MESSAGE(row.what, !decision.policy.reason.empty() && !decision.policy.server.name.empty());
    }
    // A host that the route names needs nobody to vouch for it.
    relay::Route fixed;
    fixed.by_mx = false;
    const relay::TlsQuestion question{fixed, R, "smart.example", "smart.example", false, false};
    CPPUNIT_ASSERT(relay::decide_tls(question, {}, {}).policy.rule == relay::TlsPolicy::Rule::requiretls);
  }

  void tlsa_records_count_where_all_is_validated() {
    net::FixedResolver dns;
    const auto add = [&](const char* name, std::string record, bool secure = true) {
      const std::string place = "_25._tcp." + std::string(name);
      dns.add(place, net::dns::kTlsa, std::move(record));
      if (secure) dns.set_secure(place);
    };
    for (const char* name : {"good.example", "open.example", "weak.example", "bad.example", "bare.example", "target.example", "alias.example", "half.example", "silent.example"}) {
      if (std::string_view(name) != "alias.example" && std::string_view(name) != "half.example") dns.add_address(name, "192.0.2.1");
      if (std::string_view(name) != "open.example") dns.set_secure(name);
    }
    dns.add_alias("alias.example", "target.example");
    dns.add_address("elsewhere.test.example", "192.0.2.1");
    dns.add_alias("half.example", "elsewhere.test.example");
    dns.add_alias("unsigned.example", "target.example");
    add("good.example", tlsa("\3\1\1"));
    add("good.example", tlsa("\0\0\1"));
    add("open.example", tlsa("\3\1\1"));
    add("weak.example", tlsa("\3\1\1"), false);
    add("bad.example", tlsa("\1\1\1"));
    add("alias.example", tlsa("\3\1\1"));
    add("half.example", tlsa("\3\1\1"));
    add("unsigned.example", tlsa("\3\1\1"));
    dns.set_failing("_25._tcp.silent.example");
    const auto client = net::TlsClient::make("", "ECDHE+AESGCM").value();
    struct {
      const char *host, *want;
    } rows[] = {{"good.example", "TLSA 3 1 1 of _25._tcp.good.example"},
                {"open.example", "no TLSA records"},
                {"weak.example", "no TLSA records"},
                {"bad.example", "1 TLSA records, none usable, of _25._tcp.bad.example"},
                {"bare.example", "no TLSA records"},
                {"alias.example", "TLSA 3 1 1 of _25._tcp.alias.example"},
                {"half.example", "TLSA 3 1 1 of _25._tcp.half.example"},
                {"unsigned.example", "no TLSA records"},
                {"silent.example", "TLSA records of _25._tcp.silent.example: DNS: no answer"}};
    const auto look = [](net::FixedResolver& dns, const net::TlsClient& client, std::string host) -> net::Awaitable<Dane> {
      const auto addresses = co_await net::host_addresses(dns, host);
      co_return co_await relay::find_dane(dns, client, host, 25, *addresses);
    };
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL(std::string(row.want), net::run_coroutine(look(dns, *client, row.host)).explain(25));
    // The end of an alias comes first.
    add("target.example", tlsa("\3\0\1"));
    CPPUNIT_ASSERT_EQUAL(std::string("TLSA 3 0 1 of _25._tcp.target.example"), net::run_coroutine(look(dns, *client, "alias.example")).explain(25));
    // Nothing is asked where it could not count (RFC 7672 section 2.1.1).
    const auto& asked = dns.asked();
    CPPUNIT_ASSERT(std::find(asked.begin(), asked.end(), "_25._tcp.open.example TLSA") == asked.end());
  }

  void messages_say_what_they_want() {
    struct {
      bool parameter;
      const char *sender, *header;
      TlsWish want;
    } rows[] = {{false, "a@example.com", "Subject: x\r\n", TlsWish::none},
                {true, "a@example.com", "TLS-Required: No\r\n", TlsWish::required},
                {true, "", "Subject: x\r\n", TlsWish::none},
                {false, "a@example.com", "Subject: x\r\ntls-required:  no \r\n", TlsWish::not_required},
                {false, "a@example.com", "TLS-Required: Yes\r\n", TlsWish::none},
                {false, "a@example.com", "Subject: x\r\n\r\nTLS-Required: No\r\n", TlsWish::none}};
    for (const auto& row : rows) {
      mail::Envelope envelope;
      envelope.require_tls = row.parameter;
      envelope.reverse_path = row.sender;
      CPPUNIT_ASSERT_MESSAGE(row.header, row.want == relay::tls_wish(envelope, std::string(row.header) + "\r\ntext\r\n"));
    }
  }

  void sessions_are_counted_by_day_and_policy() {
    char pattern[] = "/tmp/postern_counts.XXXXXX";
    const std::string path = ::mkdtemp(pattern);
    const base::Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const relay::TlsSessionEnd good{"example.net", "sts", {"version: STSv1", "mode: enforce"}, {"*.example.net"}, "", "", "", ""};
    relay::TlsSessionEnd bad = good;
    bad.failure = "certificate-expired";
    bad.host = "mx.example.net";
    bad.address = "192.0.2.1";
    const std::string today = relay::report_day(base::wall_now());
    CPPUNIT_ASSERT(base::replace_file(base::system_files(), directory.get(), "2020-01-01.0", "old"));
    for (const unsigned child : {0U, 3U, 3U}) {
      relay::TlsReports reports(directory.get(), child, 7);
      reports.count(good);
      reports.count(good);
      reports.count(bad);
      reports.writing()();
      reports.writing()();
    }
    CPPUNIT_ASSERT(relay::counted_days(directory.get()) == std::vector<std::string>{today});
    CPPUNIT_ASSERT(base::replace_file(base::system_files(), directory.get(), today + ".5", "{}"));
    const auto counts = relay::read_counts(directory.get(), today);
    CPPUNIT_ASSERT(counts.domains() == std::vector<std::string>{"example.net"});
    const std::string report = boost::json::serialize(counts.report("example.net", "2026-11-22", "mail.example.com", "postmaster@example.com"));
    CPPUNIT_ASSERT_EQUAL(
        std::string(R"({"organization-name":"mail.example.com","date-range":{"start-datetime":"2026-11-22T00:00:00Z","end-datetime":"2026-11-22T23:59:59Z"},)"
                    R"("contact-info":"postmaster@example.com","report-id":"2026-11-22_example.net@mail.example.com","policies":[{"policy":{"policy-type":"sts",)"
                    R"("policy-domain":"example.net","policy-string":["version: STSv1","mode: enforce"],"mx-host":["*.example.net"]},"summary":)"
                    R"({"total-successful-session-count":6,"total-failure-session-count":3},"failure-details":[{"result-type":"certificate-expired",)"
                    R"("failed-session-count":3,"receiving-mx-hostname":"mx.example.net","receiving-ip":"192.0.2.1"}]}]})"),
        report);
    // Different failures without end are summed up only; days without counts have none.
    relay::TlsCounts many;
    for (std::size_t i = 0; i < relay::kReportedFailures + 10; ++i) {
      bad.host = std::to_string(i) + ".example.net";
      many.count(bad);
    }
    const auto again = relay::TlsCounts::parse(many.to_text()).value();
    CPPUNIT_ASSERT_EQUAL(many.to_text(), again.to_text());
    CPPUNIT_ASSERT(boost::json::serialize(again.report("example.net", today, "x", "y")).find("\"total-failure-session-count\":60") != std::string::npos);
    CPPUNIT_ASSERT(relay::TlsCounts::parse("{\"format\":2,\"policies\":[]}").error().kind == Kind::corrupt);
    relay::TlsReports(directory.get(), 1, 0).count(good);
    CPPUNIT_ASSERT(!relay::is_report_day("2026-1-22") && !relay::is_report_day("2026-11-22x") && relay::is_report_day("2026-11-22"));
    std::filesystem::remove_all(path);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(TlsPolicyTest);

}  // namespace
