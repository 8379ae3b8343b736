// SPDX-License-Identifier: Apache-2.0
// The resolver child and its clients in one thread, with a stand-in for libunbound.
#include "base/files.h"
#include "net/resolver_client.h"
#include "resolver/server.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

using namespace postern;
using namespace std::chrono_literals;
namespace asio = net::asio;

namespace {

// Answers when it is told to.
class Held final : public resolver::Source {
 public:
  void ask(const net::DnsQuestion& question, Done done) override {
    asked.push_back(question.name + " " + net::dns_type_name(question.type));
    waiting.emplace_back(question, std::move(done));
  }
  void answer(Result<net::DnsAnswer> with) {
    auto all = std::exchange(waiting, {});
    for (auto& [question, done] : all) {
      if (with) {
        with->type = question.type;
        with->canonical_name = question.name;
      }
      done(with);
    }
  }
  std::vector<std::string> asked;
  std::vector<std::pair<net::DnsQuestion, Done>> waiting;
};

struct Site {
  std::filesystem::path place;
  base::Descriptor directory;
  asio::io_context io{1};
  Held source;
  resolver::ServerSettings settings;
  std::unique_ptr<resolver::Server> server;
  std::unique_ptr<net::ResolverClient> client;

  Site() {
    char name[] = "/tmp/postern-resolver-XXXXXX";
    CPPUNIT_ASSERT(::mkdtemp(name) != nullptr);
    place = name;
    std::filesystem::create_directory(place / "run");
    directory = base::Descriptor(::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    settings.frames.process = "resolver";
    settings.frames.users = {::getuid()};
    settings.frames.question_bytes = resolver::kQuestionBytes;
  }
  ~Site() {
    client = nullptr;
    server = nullptr;
    io.restart();
    io.poll();
    std::filesystem::remove_all(place);
  }
  void start() {
    server = std::make_unique<resolver::Server>(io, net::listen_unix(directory.get(), "run/resolver.sock", 0600).value(), source, settings);
    server->start();
  }
  void connect(net::ResolverClientSettings with = {}) { client = std::make_unique<net::ResolverClient>(io, directory.get(), with); }

  // Asks, and lets everything run that can without an answer.
  struct Asked {
    std::optional<Result<net::DnsAnswer>> answer;
  };
  std::shared_ptr<Asked> ask(const std::string& name, std::uint16_t type = net::dns::kA) {
    auto asked = std::make_shared<Asked>();
    asio::co_spawn(io, client->query(name, type), [asked](std::exception_ptr, Result<net::DnsAnswer> answer) { asked->answer = std::move(answer); });
    return asked;
  }
  // Runs until `done` says so.
  template <class Condition>
  void run_until(Condition done) {
    io.restart();
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (!done() && std::chrono::steady_clock::now() < until) io.run_one_for(100ms);
    CPPUNIT_ASSERT(done());
  }
  Result<net::DnsAnswer> wait(const std::shared_ptr<Asked>& asked) {
    run_until([&] { return asked->answer.has_value(); });
    return *asked->answer;
  }
};

net::DnsAnswer records(std::vector<std::string> with) {
  net::DnsAnswer answer;
  answer.records = std::move(with);
  answer.secure = true;
  answer.time_to_live = 77s;
  return answer;
}

class ResolverServerTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ResolverServerTest);
  CPPUNIT_TEST(an_answer_comes_as_it_was_given);
  CPPUNIT_TEST(absence_and_trouble_are_told_apart);
  CPPUNIT_TEST(names_that_cannot_be_are_not_asked);
  CPPUNIT_TEST(one_process_asks_the_same_once);
  CPPUNIT_TEST(two_processes_share_a_question);
  CPPUNIT_TEST(a_silent_source_costs_the_time_limit_only);
  CPPUNIT_TEST(questions_under_way_are_bounded);
  CPPUNIT_TEST(one_process_cannot_have_them_all);
  CPPUNIT_TEST(long_answers_are_cut);
  CPPUNIT_TEST(orders_to_a_server_are_no_records);
  CPPUNIT_TEST(a_question_survives_its_resolver);
  CPPUNIT_TEST(a_resolver_that_is_away_is_trouble);
  CPPUNIT_TEST_SUITE_END();

  void an_answer_comes_as_it_was_given() {
    Site site;
    site.start();
    site.connect();
    const auto asked = site.ask("Host.Example.", net::dns::kTxt);
    site.run_until([&] { return !site.source.waiting.empty(); });
    CPPUNIT_ASSERT_EQUAL(std::string("host.example TXT"), site.source.asked.at(0));
    site.source.answer(records({std::string("\0\xff\x80", 3), ""}));
    const auto answer = site.wait(asked);
    CPPUNIT_ASSERT(answer && answer->secure && !answer->cut && answer->time_to_live == 77s && answer->canonical_name == "host.example");
    CPPUNIT_ASSERT((answer->records == std::vector<std::string>{std::string("\0\xff\x80", 3), ""}));
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.server->under_way());
  }

  void absence_and_trouble_are_told_apart() {
    struct { Kind kind, want; } rows[] = {{Kind::not_found, Kind::not_found}, {Kind::temporary, Kind::temporary}, {Kind::corrupt, Kind::temporary}};
    for (const auto& row : rows) {
      Site site;
      site.start();
      site.connect();
      const auto asked = site.ask("host.example");
      site.run_until([&] { return !site.source.waiting.empty(); });
      site.source.answer(Error{row.kind, "because"});
      const auto answer = site.wait(asked);
      CPPUNIT_ASSERT(!answer && answer.error().kind == row.want);
      CPPUNIT_ASSERT(answer.error().what.find("because") != std::string::npos);
    }
  }

  void names_that_cannot_be_are_not_asked() {
    Site site;
    site.start();
    site.connect();
    for (const char* const name : {"", "a..b", "two words", "caf\xc3\xa9.example"}) CPPUNIT_ASSERT(site.wait(site.ask(name)).error().kind == Kind::not_found);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, site.client->asked());
  }

  void one_process_asks_the_same_once() {
    Site site;
    site.start();
    site.connect();
    const auto first = site.ask("host.example"), second = site.ask("HOST.example"), other = site.ask("host.example", net::dns::kMx);
    site.run_until([&] { return site.source.waiting.size() == 2; });
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, site.client->asked());
    site.source.answer(records({"abcd"}));
    CPPUNIT_ASSERT(site.wait(first) && site.wait(second) && site.wait(other));
    // It is no cache: answered, it is asked anew.
    const auto again = site.ask("host.example");
    site.run_until([&] { return site.source.waiting.size() == 1; });
    site.source.answer(records({"abcd"}));
    CPPUNIT_ASSERT(site.wait(again));
  }

  void two_processes_share_a_question() {
    Site site;
    site.start();
    site.connect();
    net::ResolverClient other(site.io, site.directory.get());
    const auto first = site.ask("host.example");
    auto second = std::make_shared<Site::Asked>();
    asio::co_spawn(site.io, other.query("host.example", net::dns::kA), [second](std::exception_ptr, Result<net::DnsAnswer> answer) { second->answer = std::move(answer); });
    // Behind it on the same connection: when this one has arrived, that one has.
    auto marker = std::make_shared<Site::Asked>();
    asio::co_spawn(site.io, other.query("marker.example", net::dns::kA), [marker](std::exception_ptr, Result<net::DnsAnswer> answer) { marker->answer = std::move(answer); });
    site.run_until([&] { return site.source.waiting.size() == 2; });
    site.source.answer(records({"abcd"}));
    CPPUNIT_ASSERT(site.wait(first) && site.wait(second) && site.wait(marker));
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.source.asked.size());
  }

  void a_silent_source_costs_the_time_limit_only() {
    Site site;
    site.settings.time_limit = 50ms;
    site.start();
    site.connect();
    const auto answer = site.wait(site.ask("silent.example"));
    CPPUNIT_ASSERT(!answer && answer.error().kind == Kind::temporary);
    // Still under way, and counted; asking again does not ask the source again.
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.server->under_way());
    CPPUNIT_ASSERT(!site.wait(site.ask("silent.example")));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.source.asked.size());
    const auto other = site.ask("other.example");
    site.run_until([&] { return site.source.waiting.size() == 2; });
    site.source.answer(records({"abcd"}));
    CPPUNIT_ASSERT(site.wait(other));
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.server->under_way());
  }

  void questions_under_way_are_bounded() {
    Site site;
    site.settings.questions = 3;
    site.settings.time_limit = 60s;
    site.start();
    site.connect({.time_limit = 60s});
    std::vector<std::shared_ptr<Site::Asked>> asked;
    for (int i = 0; i < 4; ++i) asked.push_back(site.ask("h" + std::to_string(i) + ".example"));
    const auto refused = site.wait(asked[3]);
    CPPUNIT_ASSERT(!refused && refused.error().kind == Kind::temporary);
    // The same question as one under way is none more.
    const auto same = site.ask("h0.example");
    site.source.answer(records({"abcd"}));
    for (const auto& one : {asked[0], asked[1], asked[2], same}) CPPUNIT_ASSERT(site.wait(one));
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, site.source.asked.size());
  }

  void one_process_cannot_have_them_all() {
    Site site;
    site.settings.questions_per_process = 2;
    site.start();
    site.connect();
    std::vector<std::shared_ptr<Site::Asked>> asked;
    for (int i = 0; i < 3; ++i) asked.push_back(site.ask("h" + std::to_string(i) + ".example"));
    CPPUNIT_ASSERT(!site.wait(asked[2]));
    net::ResolverClient other(site.io, site.directory.get());
    auto second = std::make_shared<Site::Asked>();
    asio::co_spawn(site.io, other.query("h9.example", net::dns::kA), [second](std::exception_ptr, Result<net::DnsAnswer> answer) { second->answer = std::move(answer); });
    site.run_until([&] { return site.source.waiting.size() == 3; });
    site.source.answer(records({"abcd"}));
    CPPUNIT_ASSERT(site.wait(second) && site.wait(asked[0]) && site.wait(asked[1]));
    // Answered questions count no more.
    const auto again = site.ask("h5.example");
    site.run_until([&] { return !site.source.waiting.empty(); });
    site.source.answer(records({"abcd"}));
    CPPUNIT_ASSERT(site.wait(again));
  }

  void long_answers_are_cut() {
    Site site;
    site.settings.answer_bytes = 1000;
    site.start();
    site.connect();
    struct {
      std::vector<std::size_t> sizes;
      std::size_t want;
    } rows[] = {{{400, 600}, 2}, {{400, 601}, 1}, {{5000}, 1}, {{5000, 1}, 1}, {{1000, 0, 1}, 2}};
    for (const auto& row : rows) {
      const auto asked = site.ask("host.example");
      site.run_until([&] { return !site.source.waiting.empty(); });
      net::DnsAnswer answer = records({});
      for (const std::size_t size : row.sizes) answer.records.emplace_back(size, 'x');
      site.source.answer(answer);
      const auto got = site.wait(asked);
      CPPUNIT_ASSERT_EQUAL(row.want, got->records.size());
      CPPUNIT_ASSERT_EQUAL(row.want < row.sizes.size(), got->cut);
    }
  }

  void orders_to_a_server_are_no_records() {
    Site site;
    site.start();
    site.connect();
    for (const std::uint16_t type : {std::uint16_t{41}, std::uint16_t{251}, std::uint16_t{252}, std::uint16_t{255}})
      CPPUNIT_ASSERT(site.wait(site.ask("host.example", type)).error().kind == Kind::temporary);
    CPPUNIT_ASSERT(site.source.asked.empty());
  }

  void a_question_survives_its_resolver() {
    Site site;
    site.start();
    site.connect();
    const auto asked = site.ask("host.example");
    site.run_until([&] { return !site.source.waiting.empty(); });
    site.source.waiting.clear();
    site.server = nullptr;
    site.start();
    site.run_until([&] { return !site.source.waiting.empty(); });
    site.source.answer(records({"abcd"}));
    CPPUNIT_ASSERT(site.wait(asked));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, site.client->asked());
  }

  void a_resolver_that_is_away_is_trouble() {
    Site site;
    site.connect();
    const auto answer = site.wait(site.ask("host.example"));
    CPPUNIT_ASSERT(!answer && answer.error().kind == Kind::temporary);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ResolverServerTest);

}  // namespace
