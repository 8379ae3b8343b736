// SPDX-License-Identifier: Apache-2.0
// What the resolver makes of name servers that hand no signatures on, with stand-ins for libunbound.
#include "resolver/validation.h"

#include <cppunit/extensions/HelperMacros.h>

#include <map>
#include <optional>

using namespace postern;
using namespace std::chrono_literals;
namespace asio = net::asio;

namespace {

// What the sources of one test say, by "NAME TYPE"; nothing: they are silent.
struct World {
  std::map<std::string, std::optional<Kind>> validating, plain;  // without an error: an answer
  unsigned validating_made = 0, plain_made = 0;
  std::vector<std::string> asked;
};

class Played final : public resolver::Source {
 public:
  Played(asio::io_context& io, World& world, bool validating) : io_(io), world_(world), validating_(validating) {
    ++(validating ? world.validating_made : world.plain_made);
  }
  void ask(const net::DnsQuestion& question, Done done) override {
    const std::string what = question.name + " " + std::to_string(question.type);
    world_.asked.push_back((validating_ ? "validating " : "plain ") + what);
    const auto& says = validating_ ? world_.validating : world_.plain;
    const auto found = says.find(what);
    if (found == says.end()) return;
    Result<net::DnsAnswer> answer = net::DnsAnswer();
    if (found->second) answer = Error{*found->second, "because"};
    else answer->secure = validating_;
    asio::post(io_, [answer, done = std::move(done)] { done(answer); });
  }

 private:
  asio::io_context& io_;
  World& world_;
  bool validating_;
};

constexpr const char* kKey = ". 48";
constexpr const char* kAuthority = ". 6";
constexpr const char* kHost = "host.example 1";

struct Site {
  asio::io_context io{1};
  World world;
  resolver::ValidationSettings settings{".", 50ms, 5ms, 5ms, 5ms};
  std::unique_ptr<resolver::Validation> validation;
  std::optional<Result<net::DnsAnswer>> answer;

  ~Site() {
    validation = nullptr;
    io.restart();
    io.poll();
  }
  void start() {
    validation = std::make_unique<resolver::Validation>(
        io, std::make_unique<Played>(io, world, true),
        [this](bool validating) -> Result<std::unique_ptr<resolver::Source>> { return std::unique_ptr<resolver::Source>(std::make_unique<Played>(io, world, validating)); }, settings);
  }
  void ask() {
    answer.reset();
    validation->ask({"host.example", net::dns::kA}, [this](Result<net::DnsAnswer> given) { answer = std::move(given); });
  }
  template <class Condition>
  void run_until(Condition done) {
    io.restart();
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (!done() && std::chrono::steady_clock::now() < until) io.run_one_for(100ms);
    CPPUNIT_ASSERT(done());
  }
  const Result<net::DnsAnswer>& ask_and_wait() {
    ask();
    run_until([&] { return answer.has_value(); });
    return *answer;
  }
};

class ValidationTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ValidationTest);
  CPPUNIT_TEST(with_signatures_answers_are_validated);
  CPPUNIT_TEST(without_signatures_nothing_is_secure);
  CPPUNIT_TEST(who_refuses_to_speak_of_keys_hands_no_signatures_on);
  CPPUNIT_TEST(silence_says_nothing);
  CPPUNIT_TEST(signatures_that_come_back_count_again);
  CPPUNIT_TEST(one_forged_answer_stays_refused);
  CPPUNIT_TEST(signatures_that_go_are_missed);
  CPPUNIT_TEST(the_zone_of_a_trust_anchor);
  CPPUNIT_TEST_SUITE_END();

  void with_signatures_answers_are_validated() {
    Site site;
    site.world.validating = {{kKey, {}}, {kHost, {}}};
    site.start();
    CPPUNIT_ASSERT(site.ask_and_wait()->secure);
    CPPUNIT_ASSERT(site.validation->validates());
    CPPUNIT_ASSERT_EQUAL(0U, site.world.plain_made);
    // The question waited for the verdict.
    CPPUNIT_ASSERT((site.world.asked == std::vector<std::string>{"validating . 48", "validating host.example 1"}));
  }

  void without_signatures_nothing_is_secure() {
    Site site;
    site.world.validating = {{kKey, Kind::corrupt}, {kHost, Kind::corrupt}};
    site.world.plain = {{kHost, {}}};
    site.start();
    const auto& answer = site.ask_and_wait();
    CPPUNIT_ASSERT(answer && !answer->secure);
    CPPUNIT_ASSERT(!site.validation->validates());
  }

  void who_refuses_to_speak_of_keys_hands_no_signatures_on() {
    Site site;
    site.world.validating = {{kKey, Kind::temporary}, {kHost, Kind::temporary}};
    site.world.plain = {{kAuthority, Kind::not_found}, {kHost, {}}};
    site.start();
    // One such trial may be bad luck.
    CPPUNIT_ASSERT(!site.ask_and_wait());
    site.run_until([&] { return !site.validation->validates(); });
    CPPUNIT_ASSERT(site.ask_and_wait().has_value());
  }

  void silence_says_nothing() {
    Site site;
    site.world.validating = {{kHost, {}}};
    site.start();
    // Without any verdict the question goes on after a while.
    CPPUNIT_ASSERT(site.ask_and_wait()->secure);
    CPPUNIT_ASSERT(site.validation->validates());
    Site away;
    away.world.validating = {{kKey, Kind::temporary}, {kHost, Kind::temporary}};
    away.world.plain = {{kAuthority, Kind::temporary}};
    away.start();
    away.run_until([&] { return away.world.plain_made > 4; });
    CPPUNIT_ASSERT(away.validation->validates());
    away.world.validating[kKey].reset();
    away.world.validating[kHost].reset();
    CPPUNIT_ASSERT(away.ask_and_wait()->secure);
  }

  void signatures_that_come_back_count_again() {
    Site site;
    site.world.validating = {{kKey, Kind::corrupt}};
    site.world.plain = {{kHost, {}}};
    site.start();
    CPPUNIT_ASSERT(!site.ask_and_wait()->secure);
    site.world.validating = {{kKey, {}}, {kHost, {}}};
    site.run_until([&] { return site.validation->validates(); });
    CPPUNIT_ASSERT(site.ask_and_wait()->secure);
    // By a source that was made for the trial: the first one has cached that it can't.
    CPPUNIT_ASSERT(site.world.validating_made > 1);
  }

  void one_forged_answer_stays_refused() {
    Site site;
    site.world.validating = {{kKey, {}}, {kHost, Kind::corrupt}};
    site.world.plain = {{kHost, {}}};
    site.start();
    CPPUNIT_ASSERT(site.ask_and_wait().error().kind == Kind::corrupt);
    site.run_until([&] { return site.world.validating_made == 2; });
    CPPUNIT_ASSERT(site.ask_and_wait().error().kind == Kind::corrupt);
    CPPUNIT_ASSERT(site.validation->validates());
    CPPUNIT_ASSERT_EQUAL(0U, site.world.plain_made);
  }

  void signatures_that_go_are_missed() {
    Site site;
    site.world.validating = {{kKey, {}}, {kHost, {}}};
    site.world.plain = {{kHost, {}}};
    site.start();
    CPPUNIT_ASSERT(site.ask_and_wait()->secure);
    site.world.validating = {{kKey, Kind::corrupt}, {kHost, Kind::corrupt}};
    CPPUNIT_ASSERT(!site.ask_and_wait());
    site.run_until([&] { return !site.validation->validates(); });
    CPPUNIT_ASSERT(site.ask_and_wait().has_value());
  }

  void the_zone_of_a_trust_anchor() {
    const std::pair<const char*, const char*> rows[] = {
        {".\t\t172800\tIN\tDNSKEY 257 3 8 AwEAAa=\n", "."}, {"; autotrust\n;;id: . 1\n.\t172800\tIN\tDS 20326 8 2 E06D\n", "."},
        {"\n$TTL 5\nSigned.Example. IN DNSKEY 257 3 13 AAAA\nother.example. IN DNSKEY 1\n", "signed.example"}, {" continued\n", nullptr}, {"", nullptr}, {"a..b IN DS 1\n", nullptr}};
    for (const auto& [file, want] : rows) {
      const auto found = resolver::anchor_in(file);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(file, std::string(want == nullptr ? "nothing" : want), found.value_or("nothing"));
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ValidationTest);

}  // namespace
