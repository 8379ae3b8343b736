// SPDX-License-Identifier: Apache-2.0
// MTA-STS: what policies say, how they are fetched from a web server that answers from a script, and how long they are kept.
#include "relay/mta_sts.h"

#include "base/files.h"
#include "net/fixed_resolver.h"
#include "net/run_coroutine.h"
#include "relay/sts_policies.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <stdlib.h>

#include <filesystem>

using namespace postern;
using namespace std::chrono_literals;
using relay::StsFetched;
using relay::StsPolicy;

namespace {

const std::string kPolicy = "version: STSv1\nmode: enforce\nmx: mx.example.net\nmx: *.mail.example.net\nmax_age: 86400\n";

StsFetched fetched(const std::string& text) {
  StsFetched result;
  result.policy = relay::parse_sts_policy(text).value();
  return result;
}

// A directory of its own, open.
struct Place {
  Place() : path(::mkdtemp(pattern)), directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}
  ~Place() { std::filesystem::remove_all(path); }
  char pattern[32] = "/tmp/postern_sts.XXXXXX";
  std::string path;
  base::Descriptor directory;
};

class MtaStsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(MtaStsTest);
  CPPUNIT_TEST(policies_are_read_or_refused);
  CPPUNIT_TEST(patterns_stand_for_one_label);
  CPPUNIT_TEST(one_record_names_the_policy);
  CPPUNIT_TEST(kept_policies_read_back);
  CPPUNIT_TEST(only_a_plain_answer_is_a_policy);
  CPPUNIT_TEST(a_policy_is_fetched_once_and_kept);
  CPPUNIT_TEST(what_can_not_be_had_changes_nothing);
  CPPUNIT_TEST(what_expires_is_gone);
  CPPUNIT_TEST_SUITE_END();

  void policies_are_read_or_refused() {
    struct {
      std::string text, want;  // want: mode and hosts, or a piece of the error
    } rows[] = {{kPolicy, "enforce mx.example.net *.mail.example.net 86400"},
                {"version: STSv1\r\nmode: testing\r\nmx:MX.Example.NET\r\nmax_age:5\r\n", "testing mx.example.net 5"},
                {"mode: none\nmax_age: 0\nversion: STSv1", "none 0"},
                {"version: STSv1\nmode: none\nmode: enforce\nmax_age: 99999999\nnew_field: x\n\n", "none 31557600"},
                {"version: STSv2\nmode: none\nmax_age: 1\n", "expected version"},
                {"mode: none\nmax_age: 1\n", "expected version"},
                {"version: STSv1\nmode: maybe\nmx: a.b\nmax_age: 1\n", "expected mode"},
                {"version: STSv1\nmode: enforce\nmax_age: 1\n", "names no host"},
                {"version: STSv1\nmode: enforce\nmx: a.b\nmax_age: -1\n", "expected max_age"},
                {"version: STSv1\nmode: enforce\nmx: a.b\nmax_age: 99999999999\n", "expected max_age"},
                {"version: STSv1\nmode: enforce\nmx: a.b\n", "expected max_age"},
                {"version: STSv1\nmode: enforce\nmx: *.*.b\nmax_age: 1\n", "no host or pattern"},
                {"version: STSv1\nmode: enforce\nmx: a..b\nmax_age: 1\n", "no host or pattern"},
                {"version: STSv1\nmode: enforce\nmx: a/b\nmax_age: 1\n", "no host or pattern"},
                {"<html>", "without a colon"},
                {"", "expected version"},
                {std::string(relay::kStsPolicyBytes + 1, '\n'), "too long"}};
    for (const auto& row : rows) {
      const auto policy = relay::parse_sts_policy(row.text);
      if (!policy) {
        CPPUNIT_ASSERT_MESSAGE(row.text + policy.error().what, policy.error().what.find(row.want) != std::string::npos);
        continue;
      }
      std::string shown(to_string(policy->mode));
      for (const auto& host : policy->hosts) shown += " " + host;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.text, row.want, shown + " " + std::to_string(policy->max_age.count()));
      CPPUNIT_ASSERT(relay::parse_sts_policy(policy->to_text()).value() == *policy);
    }
    std::string many = kPolicy;
    for (std::size_t i = 0; i < relay::kStsHosts; ++i) many += "mx: a.b\n";
    CPPUNIT_ASSERT(!relay::parse_sts_policy(many));
  }

  // RFC 8461 section 4.1.
  void patterns_stand_for_one_label() {
    const auto policy = relay::parse_sts_policy(kPolicy).value();
    struct {
      const char* host;
      bool covered;
    } rows[] = {{"mx.example.net", true}, {"a.mail.example.net", true}, {"a.b.mail.example.net", false}, {"mail.example.net", false}, {"mx.example.org", false}, {"", false}};
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.host, row.covered, policy.covers(row.host));
  }

  void one_record_names_the_policy() {
    struct {
      std::vector<std::string> texts;
      const char* want;
    } rows[] = {{{"v=STSv1; id=20260101T00;"}, "20260101T00"}, {{"v=spf1 -all", "v=STSv1;id=1"}, "1"}, {{"v=STSv1; x=y; id=2"}, "2"}, {{"v=STSv1; id=1;", "v=STSv1; id=2;"}, ""},
                {{"v=STSv2; id=1;"}, ""}, {{"v=STSv1"}, ""}, {{"v=STSv1; id=;"}, ""}, {{"v=STSv1; id=a-b;"}, ""}, {{"v=STSv1; id=1; id=2"}, ""},
                {{"v=STSv1; id=" + std::string(33, '1')}, ""}, {{}, ""}};
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL(std::string(row.want), relay::sts_id(row.texts).value_or(""));
    CPPUNIT_ASSERT(relay::may_have_sts_policy("example.net") && !relay::may_have_sts_policy("net") && !relay::may_have_sts_policy("../x.net") &&
                   !relay::may_have_sts_policy("a/b.net") && !relay::may_have_sts_policy(".net"));
  }

  void kept_policies_read_back() {
    const relay::KeptStsPolicy kept{"7", base::WallTime(1'795'000'000s), relay::parse_sts_policy(kPolicy).value()};
    const std::string bytes = to_bytes(kept);
    CPPUNIT_ASSERT(relay::kept_sts_policy_from(bytes).value() == kept);
    CPPUNIT_ASSERT(kept.until() == base::WallTime(1'795'086'400s));
    for (const std::string& bad : {std::string(), bytes.substr(1), "postern-mta-sts 2" + bytes.substr(17), bytes.substr(0, 40), bytes.substr(0, bytes.size() - 30)})
      CPPUNIT_ASSERT_MESSAGE(bad, relay::kept_sts_policy_from(bad).error().kind == Kind::corrupt);
  }

  // RFC 8461 section 3.3.
  void only_a_plain_answer_is_a_policy() {
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n", length = "Content-Length: " + std::to_string(kPolicy.size()) + "\r\n\r\n";
    struct {
      const char* what;
      std::string answer, trouble;
    } rows[] = {{"whole", head + length + kPolicy, ""},
                {"until the end", head + "\r\n" + kPolicy, ""},
                {"in chunks", head + "Transfer-Encoding: chunked\r\n\r\n5\r\n" + kPolicy.substr(0, 5) + "\r\n" + "51\r\n" + kPolicy.substr(5) + "\r\n0\r\n\r\n", ""},
                {"cut", head + length + kPolicy.substr(1), "sts-policy-fetch-error"},
                {"another page", "HTTP/1.1 302 Found\r\nLocation: https://example.net/\r\nContent-Length: 0\r\n\r\n", "sts-policy-fetch-error"},
                {"not there", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "sts-policy-fetch-error"},
                {"a page", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" + length + kPolicy, "sts-policy-invalid"},
                {"no policy", head + "Content-Length: 2\r\n\r\nhi", "sts-policy-invalid"},
                {"no HTTP", "220 mail.example.net ESMTP\r\n", "sts-policy-fetch-error"},
                {"nothing", "", "sts-policy-fetch-error"},
                {"too large", head + "Content-Length: 100000\r\n\r\n" + std::string(100000, '\n'), "sts-policy-fetch-error"},
                {"endless", head + "\r\n" + std::string(200000, '\n'), "sts-policy-fetch-error"},
                {"a long header", "HTTP/1.1 200 OK\r\nX: " + std::string(100000, 'x') + "\r\n" + length + kPolicy, "sts-policy-fetch-error"}};
    for (const auto& row : rows)
      for (const std::size_t size : {std::size_t{7}, std::size_t{100000}}) {
        std::vector<std::string> pieces;
        for (std::size_t at = 0; at < row.answer.size(); at += size) pieces.push_back(row.answer.substr(at, size));
        net::ScriptedStream stream(std::move(pieces));
        const auto result = net::run_coroutine(relay::fetch_sts_policy(stream, "mta-sts.example.net"));
        CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.what) + ": " + result.reason, row.trouble, result.trouble);
        CPPUNIT_ASSERT_EQUAL(row.trouble.empty(), result.policy.has_value());
        CPPUNIT_ASSERT(stream.written().starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.example.net\r\n"));
      }
  }

  struct Web {
    std::string text = kPolicy;  // empty: nothing can be had
    unsigned asked = 0;
  };
  static relay::StsPolicies::Fetch from(Web& web) {
    return [&web](std::string) -> net::Awaitable<StsFetched> {
      ++web.asked;
      if (web.text.empty()) co_return StsFetched{std::nullopt, "sts-policy-fetch-error", "down"};
      co_return fetched(web.text);
    };
  }
  // Asks once, in a process of its own.
  static relay::StsFound ask(net::Resolver& dns, Web& web, int directory, unsigned times = 1) {
    net::asio::io_context io(1);
    relay::StsPolicies policies(io, dns, from(web), &base::system_files(), directory);
    relay::StsFound found;
    const auto run = [](relay::StsPolicies& policies, unsigned times, relay::StsFound& found) -> net::Awaitable<void> {
      co_await policies.clean();
      for (unsigned i = 0; i < times; ++i) found = co_await policies.find("example.net");
    };
    net::asio::co_spawn(io, run(policies, times, found), net::asio::detached);
    io.run();
    return found;
  }

  void a_policy_is_fetched_once_and_kept() {
    Place place;
    Web web;
    net::FixedResolver dns;
    CPPUNIT_ASSERT(!ask(dns, web, place.directory.get()).policy && web.asked == 0);
    dns.add_text("_mta-sts.example.net", "v=STSv1; id=1;");
    auto found = ask(dns, web, place.directory.get(), 3);
    CPPUNIT_ASSERT(found.policy && found.policy->id == "1" && found.policy->policy.covers("mx.example.net"));
    CPPUNIT_ASSERT_EQUAL(1U, web.asked);
    // The next process reads it from the disk; so it does when DNS is silent (RFC 8461 section 5.1).
    CPPUNIT_ASSERT(ask(dns, web, place.directory.get()).policy && web.asked == 1);
    dns.set_failing("_mta-sts.example.net");
    CPPUNIT_ASSERT(ask(dns, web, place.directory.get()).policy && web.asked == 1);
    // Another id is another policy.
    net::FixedResolver later;
    later.add_text("_mta-sts.example.net", "v=STSv1; id=2;");
    web.text = "version: STSv1\nmode: none\nmax_age: 86400\n";
    found = ask(later, web, place.directory.get());
    CPPUNIT_ASSERT(found.policy && found.policy->id == "2" && found.policy->policy.mode == StsPolicy::Mode::none && web.asked == 2);
    // Without a disk it lives as long as the process.
    CPPUNIT_ASSERT(ask(later, web, -1, 2).policy && web.asked == 3);
  }

  void what_can_not_be_had_changes_nothing() {
    Place place;
    Web web;
    web.text.clear();
    net::FixedResolver dns;
    dns.add_text("_mta-sts.example.net", "v=STSv1; id=1;");
    auto found = ask(dns, web, place.directory.get(), 5);
    CPPUNIT_ASSERT(!found.policy && found.trouble == "sts-policy-fetch-error");
    // Not tried again at each question.
    CPPUNIT_ASSERT_EQUAL(1U, web.asked);
    web.text = kPolicy;
    CPPUNIT_ASSERT(ask(dns, web, place.directory.get()).policy);
    web.text.clear();
    net::FixedResolver later;
    later.add_text("_mta-sts.example.net", "v=STSv1; id=2;");
    found = ask(later, web, place.directory.get());
    CPPUNIT_ASSERT(found.policy && found.policy->id == "1" && !found.trouble.empty());
  }

  void what_expires_is_gone() {
    Place place;
    Web web;
    net::FixedResolver dns;
    const auto keep = [&](base::WallTime when) {
      const relay::KeptStsPolicy kept{"1", when, relay::parse_sts_policy(kPolicy).value()};
      CPPUNIT_ASSERT(base::replace_file(base::system_files(), place.directory.get(), "example.net", to_bytes(kept)));
    };
    keep(base::wall_now() - 25h);
    CPPUNIT_ASSERT(!ask(dns, web, place.directory.get()).policy);
    CPPUNIT_ASSERT(base::list_directory(place.directory.get(), 10)->empty());
    // One that is older than half of its time holds, and is fetched anew beside.
    dns.add_text("_mta-sts.example.net", "v=STSv1; id=1;");
    keep(base::wall_now() - 13h);
    CPPUNIT_ASSERT(ask(dns, web, place.directory.get()).policy && web.asked == 1);
    const auto renewed = relay::kept_sts_policy_from(base::read_file(place.directory.get(), "example.net", 10000).value());
    CPPUNIT_ASSERT(renewed && renewed->fetched > base::wall_now() - 1h);
    // What is damaged is no policy.
    CPPUNIT_ASSERT(base::replace_file(base::system_files(), place.directory.get(), "example.net", "x"));
    web.text.clear();
    CPPUNIT_ASSERT(!ask(dns, web, place.directory.get()).policy);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(MtaStsTest);

}  // namespace
