// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"
#include "directory/account_source.h"
#include "directory/client.h"
#include "directory/database.h"
#include "directory/handles.h"
#include "directory/password.h"
#include "directory/protocol.h"
#include "directory/server.h"
#include "directory/verifier.h"
#include "net/frame_server.h"
#include "net/frames.h"
#include "temporary_directory.h"

#include <cppunit/extensions/HelperMacros.h>

#include <dlfcn.h>
#include <openssl/evp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace {

std::mutex crypt_calls_mutex;
std::vector<std::string> crypt_calls;  // kind and cost of each hash that the process made

// What was hashed since the last call.
std::vector<std::string> hashes_made() {
  const std::lock_guard lock(crypt_calls_mutex);
  return std::exchange(crypt_calls, {});
}

}  // namespace

// Stands in front of libcrypt's, which does the work: kind and cost are what stands before the third dollar ("$y$j9T$").
extern "C" char* crypt_rn(const char* phrase, const char* setting, void* data, int size) {
  using Function = char* (*)(const char*, const char*, void*, int);
  static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "crypt_rn"));
  const std::string_view all(setting);
  std::size_t end = 0;
  for (int dollars = 0; end < all.size() && dollars < 3; ++end) dollars += all[end] == '$';
  {
    const std::lock_guard lock(crypt_calls_mutex);
    crypt_calls.emplace_back(all.substr(0, end));
  }
  return real(phrase, setting, data, size);
}

namespace {

using namespace postern;
using namespace postern::directory;
using namespace std::chrono_literals;
namespace asio = net::asio;

// A directory with one domain and two accounts, and a client of it, in one thread.
struct Site {
  test::TemporaryDirectory place;
  asio::io_context io{1};
  Generations generations = Generations::create().value();
  std::unique_ptr<Database> database;
  std::unique_ptr<Server> server;
  std::unique_ptr<Client> client;
  ServerSettings settings;
  ClientSettings client_settings;

  Site() {
    ::mkdirat(place.get(), "run", 0700);
    database = std::make_unique<Database>(Database::open(place.get()).value());
    database->add(Domain{"example.com", "discard;", {}}).value();
    add("user@example.com", "right", true);
    add("off@example.com", "right", false);
    settings.users = settings.administrators = {::getuid()};
    settings.logins.verify_threads = 1;
    settings.logins.upgrade_passwords = false;
    client_settings.time_limit = 2000ms;
  }
  ~Site() {
    client = nullptr;
    server = nullptr;
    io.restart();
    io.poll();
  }
  void add(const std::string& name, const std::string& password, bool enabled) {
    AccountRecord record;
    record.account.name = name;
    record.account.mailbox_directory = mailbox_directory_for(name);
    record.account.enabled = enabled;
    record.password_hash = hash_password(password).value();
    database->add(record).value();
    database->put_script(name, {std::string(kMainScript), "keep;", {}, {}}, nullptr).value();
    database->activate_script(name, std::string(kMainScript)).value();
  }
  void start() {
    server = std::make_unique<Server>(io, net::listen_unix(place.get(), "run/directory.sock", 0600).value(), *database, generations, settings);
    server->start();
  }
  void connect() { client = std::make_unique<Client>(io, place.get(), generations, client_settings); }

  template <class T>
  T run(net::Awaitable<T> work) {
    std::optional<T> result;
    std::exception_ptr failed;
    asio::co_spawn(io, std::move(work), [&](std::exception_ptr error, T value) {
      failed = error;
      result = std::move(value);
      io.stop();
    });
    io.restart();
    io.run_for(20s);
    if (failed) std::rethrow_exception(failed);
    CPPUNIT_ASSERT_MESSAGE("no result within 20 s", result.has_value());
    return std::move(*result);
  }
  LoginAnswer login(const std::string& name, const std::string& password) {
    return run(client->verify(name, password, "pop3", net::Address())).value();
  }
};

// Accounts elsewhere: those of outside.example, which answers later, as a server far away does.
class OtherSource final : public AccountSource {
 public:
  explicit OtherSource(asio::io_context& io) : io_(io) {}

  std::map<std::string, AccountRecord> accounts;
  std::string script_text, put_off;
  bool binds = true, writes_scripts = true, away = false;
  std::chrono::microseconds slowest{0};
  std::chrono::milliseconds good_for{50};
  std::vector<std::string> tried;  // entries whose password was tried

  [[nodiscard]] bool has(const std::string& domain) const override { return domain == "outside.example"; }
  [[nodiscard]] bool may_have_others() const override { return true; }
  [[nodiscard]] bool checks_passwords() const override { return binds; }
  [[nodiscard]] std::chrono::microseconds slowest_check() const override { return slowest; }
  void find_domain(std::string name, Then<FoundDomain> then) override {
    FoundDomain found{name == "other.example" || has(name), good_for, "o=" + name};
    if (has(name)) found.entry = "cn=" + name;
    if (has(name)) found.conversion_tags = {"outside"};
    later(then, std::move(found));
  }
  void domain_attribute(std::string name, std::string attribute, Then<std::optional<std::string>> then) override {
    later(then, attribute == "Department" ? std::optional("of " + name) : std::nullopt);
  }
  void find(std::string name, Then<Found> then) override {
    Found found;
    found.good_for = good_for;
    if (const auto at = accounts.find(name); at != accounts.end()) found.account = at->second;
    if (found.account) found.put_off = put_off;
    later(then, std::move(found));
  }
  void find_for_login(std::string name, Then<std::optional<LoginAccount>> then) override {
    const auto at = accounts.find(name);
    later(then, at == accounts.end() ? std::optional<LoginAccount>() : std::optional(LoginAccount{at->second, "entry of " + name}));
  }
  void check_password(std::string entry, std::string password, Then<bool> then) override {
    tried.push_back(entry);
    later(then, !entry.empty() && password == "right");
  }
  void script(std::string account, Then<std::optional<Script>> then) override {
    later(then, accounts.contains(account) ? std::optional(Script{script_text, true}) : std::optional<Script>());
  }
  bool keeps_scripts() const override { return writes_scripts; }
  void put_script(std::string, Script script, Then<bool> then) override {
    script_text = script.text;
    later(then, true);
  }
  void url(std::string, Then<std::optional<std::string>> then) override { later(then, std::optional<std::string>("found")); }

 private:
  template <class T>
  void later(Then<T> then, T answer) {
    asio::post(io_, [this, then = std::move(then), answer = std::move(answer)] {
      if (away) then(Error{Kind::temporary, "away"});
      else then(answer);
    });
  }
  asio::io_context& io_;
};

net::Awaitable<std::size_t> count_accepted(Client& client, int logins) {
  std::size_t busy = 0;
  int left = logins;
  asio::steady_timer all(co_await asio::this_coro::executor);
  all.expires_at(std::chrono::steady_clock::time_point::max());
  for (int i = 0; i < logins; ++i) {
    asio::co_spawn(co_await asio::this_coro::executor, client.verify("user@example.com", "right", "pop3", {}),
                   [&](std::exception_ptr, Result<LoginAnswer> answer) {
                     if (!answer) ++busy;
                     if (--left == 0) all.cancel();
                   });
  }
  boost::system::error_code ignored;
  co_await all.async_wait(asio::redirect_error(net::use_awaitable, ignored));
  co_return busy;
}

class ServerTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ServerTest);
  CPPUNIT_TEST(finds_domains_and_accounts);
  CPPUNIT_TEST(an_alias_costs_no_second_question);
  CPPUNIT_TEST(scripts_want_a_handle);
  CPPUNIT_TEST(verifies_passwords);
  CPPUNIT_TEST(the_same_wrong_password_again_is_told_from_a_new_one);
  CPPUNIT_TEST(unknown_accounts_cost_the_same_hash_as_wrong_passwords);
  CPPUNIT_TEST(exchanges_log_in);
  CPPUNIT_TEST(exchanges_tell_nobody_who_exists);
  CPPUNIT_TEST(made_up_secrets_look_like_those_there_are);
  CPPUNIT_TEST(exchanges_are_bounded_and_end);
  CPPUNIT_TEST(an_exchange_belongs_to_its_connection);
  CPPUNIT_TEST(a_login_brings_secrets_up_to_date);
  CPPUNIT_TEST(cheap_hashes_cost_the_same_as_others);
  CPPUNIT_TEST(answers_from_the_cache_until_the_generation_moves);
  CPPUNIT_TEST(the_cache_is_bounded);
  CPPUNIT_TEST(a_start_raises_the_generation);
  CPPUNIT_TEST(a_directory_that_is_away_is_temporary);
  CPPUNIT_TEST(a_silent_directory_is_temporary_after_the_time_limit);
  CPPUNIT_TEST(a_client_survives_a_new_directory);
  CPPUNIT_TEST(too_many_logins_are_temporary);
  CPPUNIT_TEST(a_bad_frame_ends_that_peer_only);
  CPPUNIT_TEST(strangers_are_turned_away);
  CPPUNIT_TEST(only_administrators_change);
  CPPUNIT_TEST(a_change_is_seen_by_the_next_question);
  CPPUNIT_TEST(a_new_password_ends_earlier_logins);
  CPPUNIT_TEST(changes_of_scripts_are_counted);
  CPPUNIT_TEST(full_mailboxes_are_remembered);
  CPPUNIT_TEST(connections_are_bounded);
  CPPUNIT_TEST(accounts_from_elsewhere_are_found_and_hold_for_their_time);
  CPPUNIT_TEST(attributes_of_domains);
  CPPUNIT_TEST(nothing_is_added_for_accounts_from_elsewhere);
  CPPUNIT_TEST(logins_of_accounts_from_elsewhere);
  CPPUNIT_TEST(scripts_of_accounts_from_elsewhere);
  CPPUNIT_TEST(what_becomes_of_accounts_from_elsewhere_is_seen_by_their_sessions);
  CPPUNIT_TEST(full_mailboxes_of_accounts_from_elsewhere_are_remembered);
  CPPUNIT_TEST_SUITE_END();

  void finds_domains_and_accounts() {
    Site site;
    site.start();
    site.connect();
    CPPUNIT_ASSERT(site.run(site.client->is_local_domain("EXAMPLE.com")).value());
    CPPUNIT_ASSERT(!site.run(site.client->is_local_domain("example.org")).value());
    CPPUNIT_ASSERT(!site.run(site.client->is_local_domain("../etc")).value());
    CPPUNIT_ASSERT_EQUAL(std::string("discard;"), site.run(site.client->domain("example.com")).value()->filter);
    const auto account = site.run(site.client->account("User@Example.com")).value();
    CPPUNIT_ASSERT(account != nullptr);
    CPPUNIT_ASSERT_EQUAL(std::string("example.com/user"), account->mailbox_directory);
    CPPUNIT_ASSERT_EQUAL(std::string("keep;"), account->filter);
    CPPUNIT_ASSERT(account->enabled);
    CPPUNIT_ASSERT(site.run(site.client->account("nobody@example.com")).value() == nullptr);
    CPPUNIT_ASSERT(site.run(site.client->account("no\r\nbody@example.com")).value() == nullptr);
    CPPUNIT_ASSERT(site.run(site.client->account("\xff@example.com")).value() == nullptr);
  }

  void an_alias_costs_no_second_question() {
    Site site;
    std::vector<std::string> members;
    for (int i = 0; i < 10000; ++i) members.push_back("member-number-" + std::to_string(i) + "@example.net");
    site.database->add(Alias{Alias::Kind::group, "team@example.com", members, "user@example.com", "", {}}).value();
    site.database->add(Alias{Alias::Kind::alias, "@example.com", {"user@example.com"}, "", "", {}}).value();
    site.start();
    site.connect();
    CPPUNIT_ASSERT(site.run(site.client->account("TEAM@example.com")).value() == nullptr);
    const auto team = site.run(site.client->alias("team@example.com")).value();
    CPPUNIT_ASSERT(team != nullptr && team->kind == Alias::Kind::group);
    CPPUNIT_ASSERT(team->members == members);
    CPPUNIT_ASSERT_EQUAL(std::string("user@example.com"), team->owner);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, site.client->asked());
    CPPUNIT_ASSERT(site.run(site.client->alias("user@example.com")).value() == nullptr);
    CPPUNIT_ASSERT(site.run(site.client->account("user@example.com")).value() != nullptr);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, site.client->asked());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.run(site.client->alias("@EXAMPLE.com")).value()->members.size());
    CPPUNIT_ASSERT(site.run(site.client->alias("@example.org")).value() == nullptr);
    CPPUNIT_ASSERT(site.run(site.client->alias("nobody@example.com")).value() == nullptr);
  }

  void scripts_want_a_handle() {
    Site site;
    site.start();
    site.connect();
    CPPUNIT_ASSERT(site.run(site.client->scripts("made up")).value().outcome == ScriptOutcome::logged_out);
    CPPUNIT_ASSERT(site.run(site.client->put_script("", "one", "keep;")).value() == ScriptOutcome::logged_out);
    CPPUNIT_ASSERT(site.run(site.client->put_script("user@example.com", "a/b", "keep;")).value() == ScriptOutcome::bad_name);
    CPPUNIT_ASSERT(site.run(site.client->script("user@example.com", "filter")).value().outcome == ScriptOutcome::logged_out);
    // One is good on the connection on which it was issued, and as long as that lives.
    Handles handles;
    struct Peer final : net::FramePeer {
      [[nodiscard]] uid_t user() const override { return 0; }
      [[nodiscard]] bool administrator() const override { return false; }
      [[nodiscard]] bool closed() const override { return false; }
      void send(const boost::json::object&) override {}
    };
    const auto mine = std::make_shared<Peer>(), other = std::make_shared<Peer>();
    const std::string handle = handles.issue(mine, "user@example.com");
    CPPUNIT_ASSERT(handle.size() >= 26);
    CPPUNIT_ASSERT_EQUAL(std::string("user@example.com"), handles.account(mine, handle).value());
    CPPUNIT_ASSERT(!handles.account(other, handle));
    CPPUNIT_ASSERT(!handles.account(nullptr, handle));
    const std::string another = handles.issue(mine, "user@example.com"), stranger = handles.issue(mine, "other@example.com");
    CPPUNIT_ASSERT(another != handle);
    handles.forget("user@example.com");
    CPPUNIT_ASSERT(!handles.account(mine, handle) && !handles.account(mine, another) && handles.account(mine, stranger));
    handles.forget("user@example.com");
    CPPUNIT_ASSERT(handles.account(mine, handles.issue(mine, "user@example.com")));
  }

  void verifies_passwords() {
    Site site;
    site.start();
    site.connect();
    const struct { const char *name, *password, *reason; } rows[] = {
        {"user@example.com", "right", ""},           {"USER@Example.com", "right", ""},        {"user@example.com", "wrong", "password"},
        {"user@example.com", "", "password"},        {"user@example.com", "\xff\xfe", "password"}, {"nobody@example.com", "right", "unknown"},
        {"user", "right", "unknown"},                {"", "right", "unknown"},                 {"\xff", "right", "unknown"},
        {"off@example.com", "right", "disabled"},    {"off@example.com", "wrong", "password"},
    };
    for (const auto& row : rows) {
      const LoginAnswer answer = site.login(row.name, row.password);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::string(row.reason), answer.reason);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, *row.reason == '\0', answer.accepted);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, answer.accepted, answer.account != nullptr);
    }
    CPPUNIT_ASSERT_EQUAL(std::string("password"), site.login("user@example.com", std::string(5000, 'x')).reason);
    CPPUNIT_ASSERT_EQUAL(std::string("password"), site.login("user@example.com", std::string("right\0", 6)).reason);
  }

  void the_same_wrong_password_again_is_told_from_a_new_one() {
    Site site;
    site.start();
    site.connect();
    const auto reason = [&](const std::string& name, const std::string& password) { return site.login(name, password).reason; };
    for (const auto& [name, why] : {std::pair("user@example.com", "password"), std::pair("nobody@example.com", "unknown"), std::pair("off@example.com", "password")}) {
      const std::string first = why, again = first + std::string(kAgain);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, first, reason(name, "one"));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, again, reason(name, "one"));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, again, plain_login(site, plain(name, "one")).login.reason);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, first, reason(name, "two"));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, again, reason(name, "one"));
    }
    // Four are remembered.
    for (const char* const password : {"three", "four", "five", "one"}) CPPUNIT_ASSERT_EQUAL_MESSAGE(password, std::string("password"), reason("user@example.com", password));
    // One that was wrong may have become right.
    CPPUNIT_ASSERT_EQUAL(std::string("disabled"), reason("off@example.com", "right"));
    AccountRecord record = site.database->account("off@example.com").value().value();
    record.account.enabled = true;
    site.database->change(record).value();
    CPPUNIT_ASSERT(site.login("off@example.com", "right").accepted);
  }

  void unknown_accounts_cost_the_same_hash_as_wrong_passwords() {
    Site site;
    site.start();
    site.connect();
    // What is asked of libcrypt is what a login costs: as many hashes, of the same kind with the same cost.
    const auto hashes_of_login = [&](const char* name) {
      hashes_made();
      CPPUNIT_ASSERT_MESSAGE(name, !site.login(name, "wrong").accepted);
      return hashes_made();
    };
    const std::vector<std::string> known = hashes_of_login("user@example.com");
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, known.size());
    CPPUNIT_ASSERT(known.front().starts_with("$y$"));
    for (const char* const name : {"nobody@example.com", "no body", "", "off@example.com"})
      CPPUNIT_ASSERT_MESSAGE(name, known == hashes_of_login(name));
  }

  static SaslRequest sasl(std::string mechanism, std::string service = "smtp") {
    SaslRequest request;
    request.mechanism = std::move(mechanism);
    request.service = std::move(service);
    request.facts.password_allowed = true;
    return request;
  }
  static std::string plain(const std::string& name, const std::string& password, const std::string& authorization = {}) {
    return authorization + std::string(1, '\0') + name + std::string(1, '\0') + password;
  }
  static SaslStep plain_login(Site& site, const std::string& message, const std::string& service = "smtp") {
    const auto exchange = site.client->begin_sasl(sasl("PLAIN", service));
    return site.run(exchange->step(message));
  }
  // A client of SCRAM-SHA-256 that knows `password`: what it answers to the server's first message (RFC 5802 section 3).
  static std::string scram_answer(const std::string& first, const std::string& said, const std::string& password) {
    const auto field = [&](const std::string& name) {
      const auto at = said.find(name) + name.size();
      return said.substr(at, said.find(',', at) - at);
    };
    const unsigned rounds = static_cast<unsigned>(std::stoul(field(",i=")));
    std::string salted(32, '\0');
    const std::string salt = base::from_base64(field(",s=")).value();
    PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), reinterpret_cast<const unsigned char*>(salt.data()), static_cast<int>(salt.size()),
                      static_cast<int>(rounds), EVP_sha256(), 32, reinterpret_cast<unsigned char*>(salted.data()));
    std::string key = hmac_sha256(salted, "Client Key");
    unsigned char stored[32];
    EVP_Digest(key.data(), key.size(), stored, nullptr, EVP_sha256(), nullptr);
    const std::string last = "c=biws,r=" + said.substr(2, said.find(',') - 2);
    const std::string signature = hmac_sha256({reinterpret_cast<char*>(stored), 32}, first + "," + said + "," + last);
    for (std::size_t i = 0; i < 32; ++i) key[i] = static_cast<char>(key[i] ^ signature[i]);
    return last + ",p=" + base::to_base64(key);
  }
  static SaslStep scram_login(Site& site, const std::string& name, const std::string& password) {
    const auto exchange = site.client->begin_sasl(sasl("SCRAM-SHA-256"));
    const std::string first = "n=" + name + ",r=abcdefghijkl";
    SaslStep step = site.run(exchange->step("n,," + first));
    CPPUNIT_ASSERT(step.kind == SaslStep::Kind::challenge);
    step = site.run(exchange->step(scram_answer(first, step.data, password)));
    if (step.kind != SaslStep::Kind::challenge) return step;
    CPPUNIT_ASSERT(step.data.starts_with("v="));
    return site.run(exchange->step(std::string()));
  }
  static void give_scram(Site& site, const std::string& name, const std::string& password) {
    AccountRecord record = site.database->account(name).value().value();
    const PasswordSecrets secrets = make_password_secrets(password, 4096).value();
    record.scram_sha1 = secrets.scram_sha1;
    record.scram_sha256 = secrets.scram_sha256;
    site.database->change(record).value();
  }

  void exchanges_log_in() {
    Site site;
    site.settings.logins.scram_iterations = 4096;
    site.start();
    site.connect();
    const struct { std::string name, password, authorization, reason; } rows[] = {
        {"user@example.com", "right", "", ""},        {"USER@Example.com", "right", "", ""},   {"user@example.com", "right", "User@Example.com", ""},
        {"user@example.com", "wrong", "", "password"}, {"nobody@example.com", "right", "", "unknown"}, {"off@example.com", "right", "", "disabled"},
        {"user@example.com", "right", "off@example.com", "authorization"},
    };
    for (const auto& row : rows) {
      const SaslStep step = plain_login(site, plain(row.name, row.password, row.authorization));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.reason, step.login.reason);
      CPPUNIT_ASSERT_MESSAGE(row.name, step.kind == (row.reason.empty() ? SaslStep::Kind::accepted : SaslStep::Kind::refused));
      if (step.login.accepted) CPPUNIT_ASSERT_EQUAL(std::string("user@example.com"), step.login.account->name);
    }
    CPPUNIT_ASSERT(plain_login(site, plain("user@example.com", "right")).login.handle.empty());
    CPPUNIT_ASSERT(!plain_login(site, plain("user@example.com", "right"), "sieve").login.handle.empty());
    CPPUNIT_ASSERT(plain_login(site, "nonsense").kind == SaslStep::Kind::malformed);
    give_scram(site, "user@example.com", "right");
    give_scram(site, "off@example.com", "right");
    CPPUNIT_ASSERT(scram_login(site, "user@example.com", "right").login.account->name == "user@example.com");
    CPPUNIT_ASSERT_EQUAL(std::string("proof"), scram_login(site, "user@example.com", "wrong").login.reason);
    CPPUNIT_ASSERT_EQUAL(std::string("disabled"), scram_login(site, "off@example.com", "right").login.reason);
    // Disabled between the proof and the empty answer to the last message.
    const auto slow = site.client->begin_sasl(sasl("SCRAM-SHA-256"));
    const std::string first = "n=user@example.com,r=abcdefghijkl";
    const SaslStep asked = site.run(slow->step("n,," + first));
    CPPUNIT_ASSERT(site.run(slow->step(scram_answer(first, asked.data, "right"))).data.starts_with("v="));
    AccountRecord record = site.database->account("user@example.com").value().value();
    record.account.enabled = false;
    site.database->change(record).value();
    CPPUNIT_ASSERT_EQUAL(std::string("disabled"), site.run(slow->step(std::string())).login.reason);
    record.account.enabled = true;
    site.database->change(record).value();
    SaslRequest external = sasl("EXTERNAL");
    external.facts.certificate_addresses = {"stranger@example.net", "User@Example.com"};
    CPPUNIT_ASSERT(site.run(site.client->begin_sasl(external)->step(std::string())).login.account->name == "user@example.com");
    CPPUNIT_ASSERT_EQUAL(std::string("certificate"), site.run(site.client->begin_sasl(external)->step("off@example.com")).login.reason);
    SaslRequest clear = sasl("PLAIN");
    clear.facts.password_allowed = false;
    CPPUNIT_ASSERT(site.run(site.client->begin_sasl(clear)->step(plain("user@example.com", "right"))).kind == SaslStep::Kind::malformed);
  }

  void exchanges_tell_nobody_who_exists() {
    Site site;
    site.settings.logins.scram_iterations = 4096;
    site.start();
    site.connect();
    give_scram(site, "user@example.com", "right");
    // Nothing is hashed for SCRAM, and all that is said of an account that is not there could be said of one that is.
    for (const char* const name : {"user@example.com", "nobody@example.com", "off@example.com", "no body"}) {
      hashes_made();
      const auto exchange = site.client->begin_sasl(sasl("SCRAM-SHA-256"));
      const std::string said = site.run(exchange->step("n,,n=" + std::string(name) + ",r=abcdefghijkl")).data;
      const auto again = site.client->begin_sasl(sasl("SCRAM-SHA-256"));
      const std::string said_again = site.run(again->step("n,,n=" + std::string(name) + ",r=abcdefghijkl")).data;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, said.substr(said.find(",s=")), said_again.substr(said_again.find(",s=")));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(said, std::size_t{24 + 3 + 7}, said.substr(said.find(",s=")).size());
      CPPUNIT_ASSERT_MESSAGE(said, said.ends_with(",i=4096"));
      const SaslStep refused = scram_login(site, name, "wrong");
      CPPUNIT_ASSERT_MESSAGE(name, refused.kind == SaslStep::Kind::refused && refused.data.empty());
      CPPUNIT_ASSERT_MESSAGE(name, hashes_made().empty());
    }
    for (const char* const name : {"user@example.com", "nobody@example.com", "off@example.com", "no body"}) {
      hashes_made();
      CPPUNIT_ASSERT(plain_login(site, plain(name, "wrong")).kind == SaslStep::Kind::refused);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::size_t{1}, hashes_made().size());
    }
  }

  // As after scram_iterations was changed, or with secrets of another server.
  void made_up_secrets_look_like_those_there_are() {
    Site site;
    site.settings.logins.scram_iterations = 10000;
    site.start();
    site.connect();
    const auto give = [&](const std::string& name, const std::string& salt) {
      AccountRecord record = site.database->account(name).value().value();
      record.scram_sha256 = to_text(ScramDigest::sha256, make_scram_secret(ScramDigest::sha256, "right", salt, 5000).value());
      site.database->change(record).value();
    };
    give("user@example.com", "twenty bytes of salt");
    const auto said = [&](const std::string& name) {
      const auto exchange = site.client->begin_sasl(sasl("SCRAM-SHA-256"));
      const std::string said = site.run(exchange->step("n,,n=" + name + ",r=abcdefghijkl")).data;
      return said.substr(said.find(",s="));
    };
    const std::string existing = said("user@example.com");
    CPPUNIT_ASSERT_MESSAGE(existing, existing.ends_with(",i=5000"));
    // off@ has no secret.
    for (const char* const name : {"nobody@example.com", "off@example.com", "no body"}) {
      const std::string made_up = said(name);
      CPPUNIT_ASSERT_MESSAGE(made_up, made_up.ends_with(",i=5000"));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(made_up, existing.size(), made_up.size());
      CPPUNIT_ASSERT_EQUAL(made_up, said(name));
    }
  }

  void exchanges_are_bounded_and_end() {
    Site site;
    site.settings.logins.exchanges = 2;
    site.start();
    site.connect();
    auto one = site.client->begin_sasl(sasl("PLAIN"));
    const auto two = site.client->begin_sasl(sasl("PLAIN")), three = site.client->begin_sasl(sasl("PLAIN"));
    CPPUNIT_ASSERT(site.run(one->step({})).kind == SaslStep::Kind::challenge);
    CPPUNIT_ASSERT(site.run(two->step({})).kind == SaslStep::Kind::challenge);
    CPPUNIT_ASSERT(site.run(three->step({})).kind == SaslStep::Kind::temporary);
    one = nullptr;
    CPPUNIT_ASSERT_MESSAGE("one less", site.run(three->step({})).kind == SaslStep::Kind::challenge);
    CPPUNIT_ASSERT(site.run(two->step(plain("user@example.com", "right"))).kind == SaslStep::Kind::accepted);
    Site hurried;
    hurried.settings.logins.exchange_time = std::chrono::seconds(0);
    hurried.start();
    hurried.connect();
    const auto late = hurried.client->begin_sasl(sasl("PLAIN"));
    CPPUNIT_ASSERT(hurried.run(late->step({})).kind == SaslStep::Kind::challenge);
    CPPUNIT_ASSERT(hurried.run(late->step(plain("user@example.com", "right"))).kind == SaslStep::Kind::temporary);
  }

  void an_exchange_belongs_to_its_connection() {
    Site site;
    site.start();
    site.connect();
    const auto exchange = site.client->begin_sasl(sasl("PLAIN"));
    CPPUNIT_ASSERT(site.run(exchange->step({})).kind == SaslStep::Kind::challenge);
    const auto stranger = net::connect_unix(site.place.get(), "run/directory.sock").value();
    const std::string question = net::frame({{"id", 1}, {"ask", "sasl-step"}, {"exchange", 1}, {"response_hex", net::to_hex(plain("user@example.com", "right"))}});
    CPPUNIT_ASSERT_EQUAL(static_cast<ssize_t>(question.size()), ::send(stranger.get(), question.data(), question.size(), MSG_NOSIGNAL));
    site.io.restart();
    site.io.run_for(50ms);
    char answer[1000];
    const ssize_t got = ::recv(stranger.get(), answer, sizeof answer, MSG_DONTWAIT);
    CPPUNIT_ASSERT(got > 0 && std::string_view(answer, static_cast<std::size_t>(got)).find("temporary") != std::string_view::npos);
    CPPUNIT_ASSERT(site.run(exchange->step(plain("user@example.com", "right"))).kind == SaslStep::Kind::accepted);
    // Of one that is gone with its directory nothing is left.
    const auto lost = site.client->begin_sasl(sasl("PLAIN"));
    CPPUNIT_ASSERT(site.run(lost->step({})).kind == SaslStep::Kind::challenge);
    site.server = nullptr;
    site.start();
    CPPUNIT_ASSERT(site.run(lost->step(plain("user@example.com", "right"))).kind == SaslStep::Kind::temporary);
  }

  void a_login_brings_secrets_up_to_date() {
    Site site;
    site.settings.logins.upgrade_passwords = true;
    site.settings.logins.scram_iterations = 4096;
    site.start();
    site.connect();
    AccountRecord old = site.database->account("user@example.com").value().value();
    old.password_hash = "{SSHA}+rvziNkZ1S+q3I9Y4L7TlBR47kZOYUNsMTIzNA==";
    site.database->change(old).value();
    const auto generation = site.generations.directory();
    CPPUNIT_ASSERT(!site.login("user@example.com", "wrong").accepted);
    CPPUNIT_ASSERT(site.login("user@example.com", "secret").accepted);
    const auto record = [&] { return site.database->account("user@example.com").value().value(); };
    for (int i = 0; i < 200 && record().scram_sha256.empty(); ++i) {
      site.io.restart();
      site.io.run_for(20ms);
    }
    CPPUNIT_ASSERT(is_present_hash(record().password_hash) && password_matches("secret", record().password_hash));
    CPPUNIT_ASSERT(read_scram_secret(ScramDigest::sha1, record().scram_sha1).has_value());
    CPPUNIT_ASSERT_EQUAL_MESSAGE("nobody has to ask again", generation, site.generations.directory());
    CPPUNIT_ASSERT(scram_login(site, "user@example.com", "secret").login.accepted);
    // What is up to date stays as it is.
    const AccountRecord kept = record();
    CPPUNIT_ASSERT(site.login("user@example.com", "secret").accepted);
    site.io.restart();
    site.io.run_for(50ms);
    CPPUNIT_ASSERT(kept == record());
  }

  void cheap_hashes_cost_the_same_as_others() {
    Site site;
    site.start();
    site.connect();
    AccountRecord record = site.database->account("user@example.com").value().value();
    // What other servers leave behind: beside it one of the default kind is made, as for an account that is not there.
    record.password_hash = "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA";
    site.database->change(record).value();
    hashes_made();
    CPPUNIT_ASSERT(!site.login("nobody@example.com", "wrong").accepted);
    const auto usual = hashes_made();
    CPPUNIT_ASSERT(!site.login("user@example.com", "wrong").accepted);
    const auto made = hashes_made();
    CPPUNIT_ASSERT(made.size() == 2 && made[0].starts_with("$5$") && made[1] == usual.at(0));
    record.password_hash = "{PLAIN}right";
    site.database->change(record).value();
    for (const char* const name : {"user@example.com", "nobody@example.com"}) {
      hashes_made();
      CPPUNIT_ASSERT(!site.login(name, "wrong").accepted);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::size_t{1}, hashes_made().size());
      // Text that SASLprep changes is tried in both forms, whoever it is said to be.
      CPPUNIT_ASSERT(!site.login(name, "\xe2\x85\xa8").accepted);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::size_t{2}, hashes_made().size());
    }
  }

  void answers_from_the_cache_until_the_generation_moves() {
    Site site;
    site.start();
    site.connect();
    for (int i = 0; i < 5; ++i) {
      CPPUNIT_ASSERT(site.run(site.client->account("user@example.com")).value() != nullptr);
      CPPUNIT_ASSERT(site.run(site.client->account("nobody@example.com")).value() == nullptr);
      CPPUNIT_ASSERT(site.run(site.client->is_local_domain("example.com")).value());
    }
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, site.client->asked());
    // A change behind the server's back is not seen until the generation says so.
    site.add("nobody@example.com", "x", true);
    CPPUNIT_ASSERT(site.run(site.client->account("nobody@example.com")).value() == nullptr);
    site.generations.raise_directory();
    CPPUNIT_ASSERT(site.run(site.client->account("nobody@example.com")).value() != nullptr);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{4}, site.client->asked());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.client->cached());
  }

  void the_cache_is_bounded() {
    Site site;
    site.client_settings.cache_entries = 10;
    site.start();
    site.connect();
    for (int i = 0; i < 50; ++i) site.run(site.client->account("u" + std::to_string(i) + "@example.com")).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{10}, site.client->cached());
    // The last ones are there, the first ones are not.
    const auto before = site.client->asked();
    site.run(site.client->account("u49@example.com")).value();
    CPPUNIT_ASSERT_EQUAL(before, site.client->asked());
    site.run(site.client->account("u0@example.com")).value();
    CPPUNIT_ASSERT_EQUAL(before + 1, site.client->asked());
  }

  void a_start_raises_the_generation() {
    Site site;
    const auto before = site.generations.directory();
    site.start();
    CPPUNIT_ASSERT(site.generations.directory() > before);
  }

  void a_directory_that_is_away_is_temporary() {
    Site site;
    site.connect();
    CPPUNIT_ASSERT(site.run(site.client->account("user@example.com")).error().kind == Kind::temporary);
    CPPUNIT_ASSERT(site.run(site.client->is_local_domain("example.com")).error().kind == Kind::temporary);
    CPPUNIT_ASSERT(site.run(site.client->verify("user@example.com", "right", "pop3", {})).error().kind == Kind::temporary);
  }

  void a_silent_directory_is_temporary_after_the_time_limit() {
    Site site;
    const auto listening = net::listen_unix(site.place.get(), "run/directory.sock", 0600).value();
    site.client_settings.time_limit = 100ms;
    site.connect();
    const auto start = std::chrono::steady_clock::now();
    CPPUNIT_ASSERT(site.run(site.client->account("user@example.com")).error().kind == Kind::temporary);
    const auto took = std::chrono::steady_clock::now() - start;
    CPPUNIT_ASSERT(took >= 90ms && took < 5s);
  }

  void a_client_survives_a_new_directory() {
    Site site;
    site.start();
    site.connect();
    CPPUNIT_ASSERT(site.run(site.client->account("user@example.com")).value() != nullptr);
    site.server = nullptr;
    site.start();
    CPPUNIT_ASSERT(site.run(site.client->account("user@example.com")).value() != nullptr);
    CPPUNIT_ASSERT(site.run(site.client->account("off@example.com")).value() != nullptr);
  }

  void too_many_logins_are_temporary() {
    Site site;
    site.settings.logins.verify_queue = 2;
    site.start();
    site.connect();
    // One at work, two waiting; the rest is told to come again.
    const std::size_t busy = site.run(count_accepted(*site.client, 20));
    CPPUNIT_ASSERT_MESSAGE(std::to_string(busy), busy >= 1 && busy <= 18);
    CPPUNIT_ASSERT(site.login("user@example.com", "right").accepted);
  }

  void a_bad_frame_ends_that_peer_only() {
    Site site;
    site.start();
    site.connect();
    CPPUNIT_ASSERT(site.run(site.client->account("user@example.com")).value() != nullptr);
    const std::string rows[] = {
        std::string("\xff\xff\xff\xff", 4),
        std::string("\0\0\0\2[]", 6),
        std::string("\0\0\0\3{}}", 7),
        std::string("\0\0\0\2{}", 6),                                       // no question
        net::frame({{"id", "x"}, {"ask", "account"}}),
        net::frame({{"id", 1}, {"ask", "account"}}),                        // no name
        net::frame({{"id", 1}, {"ask", "verify"}, {"name", "x"}}),          // no password
        net::frame({{"id", 1}, {"ask", "verify"}, {"name", "x"}, {"password_hex", "0"}}),
    };
    for (const std::string& bytes : rows) {
      const auto peer = net::connect_unix(site.place.get(), "run/directory.sock").value();
      CPPUNIT_ASSERT_EQUAL(static_cast<ssize_t>(bytes.size()), ::send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
      site.io.restart();
      site.io.run_for(50ms);
      char byte;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(bytes, ssize_t{0}, ::recv(peer.get(), &byte, 1, MSG_DONTWAIT));
    }
    CPPUNIT_ASSERT(site.run(site.client->account("off@example.com")).value() != nullptr);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.server->connections());
  }

  void strangers_are_turned_away() {
    Site site;
    site.settings.users = site.settings.administrators = {::getuid() + 1};
    site.start();
    site.connect();
    CPPUNIT_ASSERT(site.run(site.client->account("user@example.com")).error().kind == Kind::temporary);
  }

  void only_administrators_change() {
    Site site;
    site.settings.administrators = {};
    site.start();
    const auto peer = net::connect_unix(site.place.get(), "run/directory.sock").value();
    const std::string bytes = net::frame({{"id", 1}, {"ask", "domain-add"}, {"name", "example.org"}});
    CPPUNIT_ASSERT(::send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0);
    site.io.restart();
    site.io.run_for(50ms);
    net::FrameReader reader;
    char piece[4096];
    const ssize_t got = ::recv(peer.get(), piece, sizeof piece, MSG_DONTWAIT);
    CPPUNIT_ASSERT(got > 0);
    reader.feed(std::string_view(piece, static_cast<std::size_t>(got)));
    CPPUNIT_ASSERT(error_in(reader.next().value())->kind == Kind::denied);
    CPPUNIT_ASSERT(!site.database->domain("example.org").value());
  }

  void a_change_is_seen_by_the_next_question() {
    Site site;
    site.start();
    site.connect();
    CPPUNIT_ASSERT(!site.run(site.client->is_local_domain("example.org")).value());
    const auto peer = net::connect_unix(site.place.get(), "run/directory.sock").value();
    const std::string bytes = net::frame({{"id", 1}, {"ask", "domain-add"}, {"name", "example.org"}});
    CPPUNIT_ASSERT(::send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0);
    site.io.restart();
    site.io.run_for(100ms);
    CPPUNIT_ASSERT(site.run(site.client->is_local_domain("example.org")).value());
  }

  void a_new_password_ends_earlier_logins() {
    Site site;
    site.start();
    site.connect();
    const std::string handle = plain_login(site, plain("user@example.com", "right"), "sieve").login.handle;
    const auto peer = net::connect_unix(site.place.get(), "run/directory.sock").value();
    const auto change = [&](boost::json::object request) {
      const std::string bytes = net::frame(request);
      CPPUNIT_ASSERT(::send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0);
      site.io.restart();
      site.io.run_for(100ms);
    };
    change({{"id", 1}, {"ask", "account-change"}, {"name", "User@Example.com"}, {"description", "x"}});
    CPPUNIT_ASSERT(site.run(site.client->scripts(handle)).value().outcome == ScriptOutcome::done);
    // A handle is for who may use the service, and ends with its session.
    change({{"id", 3}, {"ask", "account-change"}, {"name", "user@example.com"}, {"services", boost::json::array{"pop3"}}});
    CPPUNIT_ASSERT(site.run(site.client->scripts(handle)).value().outcome == ScriptOutcome::logged_out);
    change({{"id", 4}, {"ask", "account-change"}, {"name", "user@example.com"}, {"services", boost::json::array()}});
    CPPUNIT_ASSERT(site.run(site.client->scripts(handle)).value().outcome == ScriptOutcome::done);
    const std::string second = plain_login(site, plain("user@example.com", "right"), "sieve").login.handle;
    site.client->end_login(second);
    CPPUNIT_ASSERT(site.run(site.client->scripts(second)).value().outcome == ScriptOutcome::logged_out);
    const auto before = site.run(site.client->account("user@example.com")).value();
    CPPUNIT_ASSERT(!login_over(*before, before.get(), "sieve") && login_over(*before, nullptr, "sieve"));
    change({{"id", 2}, {"ask", "account-change"}, {"name", "User@Example.com"}, {"password_hash", "{PLAIN}another"}});
    CPPUNIT_ASSERT(site.run(site.client->scripts(handle)).value().outcome == ScriptOutcome::logged_out);
    const auto after = site.run(site.client->account("user@example.com")).value();
    CPPUNIT_ASSERT(login_over(*before, after.get(), "sieve"));
  }

  void changes_of_scripts_are_counted() {
    Site site;
    site.settings.limits.script_changes = 2;
    site.start();
    site.connect();
    const std::string handle = plain_login(site, plain("user@example.com", "right"), "sieve").login.handle;
    CPPUNIT_ASSERT(site.run(site.client->put_script(handle, "one", "keep;")).value() == ScriptOutcome::done);
    CPPUNIT_ASSERT(site.run(site.client->activate_script(handle, "one")).value() == ScriptOutcome::done);
    CPPUNIT_ASSERT(site.run(site.client->rename_script(handle, "one", "two")).value() == ScriptOutcome::too_often);
    CPPUNIT_ASSERT(site.run(site.client->remove_script(handle, "one")).value() == ScriptOutcome::too_often);
    // To read is no change.
    CPPUNIT_ASSERT(site.run(site.client->script(handle, "one")).value().outcome == ScriptOutcome::done);
  }

  void full_mailboxes_are_remembered() {
    Site site;
    site.start();
    site.connect();
    const auto until = [&] { return site.run(site.client->account("user@example.com")).value()->full_until; };
    CPPUNIT_ASSERT(until() == base::WallTime{});
    const base::WallTime end = base::from_microseconds(base::to_microseconds(base::wall_now() + 1h));
    CPPUNIT_ASSERT(site.run(site.client->note_quota("user@example.com", end)));
    CPPUNIT_ASSERT(until() == end);
    CPPUNIT_ASSERT(site.run(site.client->note_quota("user@example.com", base::WallTime{})));
    CPPUNIT_ASSERT(until() == base::WallTime{});
  }

  void connections_are_bounded() {
    Site site;
    site.settings.administrators = {};
    site.settings.connections = 3;
    site.start();
    std::vector<base::Descriptor> peers;
    for (int i = 0; i < 6; ++i) peers.push_back(net::connect_unix(site.place.get(), "run/directory.sock").value());
    site.io.restart();
    site.io.run_for(50ms);
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, site.server->connections());
    peers.clear();
    site.io.restart();
    site.io.run_for(50ms);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.server->connections());
  }

  struct SiteWithElsewhere : Site {
    OtherSource elsewhere{io};
    SiteWithElsewhere() {
      settings.source = &elsewhere;
      AccountRecord record;
      record.account.name = "anna@outside.example";
      record.account.mailbox_directory = mailbox_directory_for(record.account.name);
      elsewhere.accounts.emplace(record.account.name, record);
      start();
      connect();
    }
    ~SiteWithElsewhere() {
      client = nullptr;
      server = nullptr;
      io.restart();
      io.poll();
    }
  };

  void accounts_from_elsewhere_are_found_and_hold_for_their_time() {
    SiteWithElsewhere site;
    CPPUNIT_ASSERT(site.run(site.client->is_local_domain("outside.example")).value());
    CPPUNIT_ASSERT(site.run(site.client->is_local_domain("other.example")).value());
    CPPUNIT_ASSERT(!site.run(site.client->is_local_domain("third.example")).value());
    CPPUNIT_ASSERT_EQUAL(std::string("discard;"), site.run(site.client->domain("example.com")).value()->filter);
    site.elsewhere.good_for = std::chrono::hours(1);
    CPPUNIT_ASSERT(site.run(site.client->account("Anna@outside.example")).value());
    const auto asked = site.client->asked();
    CPPUNIT_ASSERT(site.run(site.client->account("anna@outside.example")).value());
    CPPUNIT_ASSERT_EQUAL(asked, site.client->asked());
    // No generation moves, and yet it is asked again.
    site.elsewhere.good_for = 0ms;
    CPPUNIT_ASSERT(!site.run(site.client->account("nobody@outside.example")).value());
    CPPUNIT_ASSERT(!site.run(site.client->account("nobody@outside.example")).value());
    CPPUNIT_ASSERT_EQUAL(asked + 2, site.client->asked());
    site.elsewhere.away = true;
    CPPUNIT_ASSERT(site.run(site.client->account("bert@outside.example")).error().kind == Kind::temporary);
    CPPUNIT_ASSERT(site.run(site.client->account("user@example.com")).value());
    site.elsewhere.away = false;
    CPPUNIT_ASSERT_EQUAL(std::string("found"), site.run(site.client->ldap_url("ldap:///x?y")).value().value_or(""));
  }

  // Nobody would look there.
  void nothing_is_added_for_accounts_from_elsewhere() {
    SiteWithElsewhere site;
    const auto peer = net::connect_unix(site.place.get(), "run/directory.sock").value();
    net::FrameReader reader;
    const auto ask = [&](boost::json::object request) {
      request["id"] = 1;
      const std::string bytes = net::frame(request);
      CPPUNIT_ASSERT(::send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0);
      site.io.restart();
      site.io.run_for(10ms);
      char piece[4096];
      const ssize_t got = ::recv(peer.get(), piece, sizeof piece, MSG_DONTWAIT);
      CPPUNIT_ASSERT(got > 0);
      reader.feed(std::string_view(piece, static_cast<std::size_t>(got)));
      return reader.next().value();
    };
    const std::string reason = "the accounts of outside.example are in an LDAP directory, and are looked after there", hash = hash_password("x").value();
    for (const char* const what : {"account-add", "account-change", "account-filter", "alias-add", "alias-change", "script-put", "script-rename", "script-activate"}) {
      const auto error = error_in(ask({{"ask", what}, {"name", "Bert@outside.example"}, {"password_hash", hash}, {"filter", ""}, {"script", "a"}, {"text", ""}, {"new_name", "b"},
                                       {"members", boost::json::array{"user@example.com"}}}));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(what, "bert@outside.example: " + reason, error ? error->what : std::string());
      CPPUNIT_ASSERT(error->kind == Kind::denied);
    }
    for (const char* const text : {"alias a@outside.example\n  member user@example.com\n", "account user@example.com\naccount bert@outside.example\n"}) {
      const auto answer = ask({{"ask", "directory-load"}, {"text", text}, {"replace", true}});
      CPPUNIT_ASSERT_MESSAGE(text, error_in(answer) && error_in(answer)->what.ends_with("@outside.example: " + reason));
    }
    CPPUNIT_ASSERT(!site.database->account("bert@outside.example").value());
    // The domain itself may have a filter here, and whoever asks for it learns about its accounts.
    CPPUNIT_ASSERT(!error_in(ask({{"ask", "directory-load"}, {"text", "domain outside.example\n"}})));
    for (const char* const text : {"outside.example", "other.example"})
      CPPUNIT_ASSERT(text_in(ask({{"ask", "domain"}, {"name", text}}), "elsewhere").value_or("").starts_with("the accounts of " + std::string(text)));
    CPPUNIT_ASSERT(!text_in(ask({{"ask", "domain"}, {"name", "example.com"}}), "elsewhere"));
    CPPUNIT_ASSERT_EQUAL(std::string("there is no account bert@outside.example"), error_in(ask({{"ask", "account-remove"}, {"name", "bert@outside.example"}}))->what);
  }

  void attributes_of_domains() {
    SiteWithElsewhere site;
    const auto value = [&](const char* domain, const char* name) { return site.run(site.client->domain_attribute(domain, name)).value().value_or("none"); };
    Domain domain = site.database->domain("example.com").value().value();
    domain.attributes = {{"department", "Sales"}};
    domain.conversion_tags = {"here"};
    site.database->change(domain).value();
    CPPUNIT_ASSERT(site.run(site.client->domain("example.com")).value()->conversion_tags == std::vector<std::string>{"here"});
    CPPUNIT_ASSERT(site.run(site.client->domain("outside.example")).value()->conversion_tags == std::vector<std::string>{"outside"});
    const struct { const char *domain, *name, *want; } rows[] = {
        {"Example.COM", "_domain_name_", "example.com"}, {"example.com", "_Canonical_Name_", "example.com"}, {"example.com", "Department", "Sales"},
        {"example.com", "other", "none"}, {"example.com", "_base_dn_", "none"}, {"example.com", "_domain_dn_", "none"}, {"none.example", "_domain_name_", "none"},
        {"outside.example", "_domain_name_", "outside.example"}, {"outside.example", "_BASE_DN_", "o=outside.example"}, {"outside.example", "_domain_dn_", "cn=outside.example"},
        {"outside.example", "Department", "of outside.example"}, {"outside.example", "other", "none"}, {"outside.example", "a b", "none"},
        {"other.example", "_base_dn_", "o=other.example"}, {"other.example", "_domain_dn_", "none"}, {"other.example", "Department", "none"}};
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.domain) + " " + row.name, std::string(row.want), value(row.domain, row.name));
    site.elsewhere.away = true;
    CPPUNIT_ASSERT(!site.run(site.client->domain_attribute("outside.example", "Department")));
  }

  void logins_of_accounts_from_elsewhere() {
    SiteWithElsewhere site;
    CPPUNIT_ASSERT(site.login("anna@outside.example", "right").accepted);
    CPPUNIT_ASSERT_EQUAL(std::string("password"), site.login("anna@outside.example", "wrong").reason);
    // As late as a check of ours, whatever a server far away says how soon.
    for (const auto slowest : {0ms, 60ms}) {
      site.elsewhere.slowest = slowest;
      const auto begin = std::chrono::steady_clock::now();
      CPPUNIT_ASSERT_EQUAL(std::string(slowest == 0ms ? "unknown" : "unknown again"), site.login("nobody@outside.example", "right").reason);
      CPPUNIT_ASSERT(std::chrono::steady_clock::now() - begin >= 50ms + slowest);
    }
    site.elsewhere.slowest = 0ms;
    // Nobody's password is tried in the same way.
    CPPUNIT_ASSERT(site.elsewhere.tried == (std::vector<std::string>{"entry of anna@outside.example", "entry of anna@outside.example", "", ""}));
    CPPUNIT_ASSERT(site.login("user@example.com", "right").accepted);
    AccountRecord& record = site.elsewhere.accounts.at("anna@outside.example");
    const auto secrets = make_password_secrets("right", 4096).value();
    record.password_hash = secrets.hash;
    record.scram_sha256 = secrets.scram_sha256;
    site.elsewhere.binds = false;
    CPPUNIT_ASSERT(site.login("anna@outside.example", "right").accepted);
    CPPUNIT_ASSERT_EQUAL(std::string("password again"), site.login("anna@outside.example", "wrong").reason);
    CPPUNIT_ASSERT(scram_login(site, "anna@outside.example", "right").login.accepted);
    CPPUNIT_ASSERT_EQUAL(std::string("proof"), scram_login(site, "anna@outside.example", "wrong").login.reason);
    CPPUNIT_ASSERT_EQUAL(std::string("proof"), scram_login(site, "nobody@outside.example", "right").login.reason);
    record.account.enabled = false;
    CPPUNIT_ASSERT_EQUAL(std::string("disabled"), site.login("anna@outside.example", "right").reason);
    site.elsewhere.away = true;
    CPPUNIT_ASSERT(!site.run(site.client->verify("anna@outside.example", "right", "pop3", {})));
    const auto exchange = site.client->begin_sasl(sasl("SCRAM-SHA-256"));
    const SaslStep step = site.run(exchange->step("n,,n=anna@outside.example,r=abcdefgh"));
    CPPUNIT_ASSERT(step.kind == SaslStep::Kind::temporary);
    // For the log: who it was, and why it can't be said.
    CPPUNIT_ASSERT_EQUAL(std::string("anna@outside.example"), step.login_name);
    CPPUNIT_ASSERT_EQUAL(std::string("directory: away"), step.login.reason);
  }

  void what_becomes_of_accounts_from_elsewhere_is_seen_by_their_sessions() {
    SiteWithElsewhere site;
    site.elsewhere.good_for = 0ms;
    const std::string name = "anna@outside.example";
    Account& account = site.elsewhere.accounts.at(name).account;
    account.password_mark = "one";
    const auto then = site.run(site.client->account(name)).value();
    const auto over = [&] { return site.run(site.client->login_is_over(then, "smtp")); };
    CPPUNIT_ASSERT_EQUAL(std::string("one"), then->password_mark);
    CPPUNIT_ASSERT(!over().value());
    account.password_mark = "other";
    CPPUNIT_ASSERT(over().value());
    account.password_mark = "one";
    // Its mail waits, which says nothing about a login; the login is over because it is disabled.
    site.elsewhere.put_off = "mailUserStatus is inactive";
    CPPUNIT_ASSERT(site.run(site.client->account(name)).error().kind == Kind::temporary);
    CPPUNIT_ASSERT(!over().value());
    account.enabled = false;
    CPPUNIT_ASSERT(over().value());
    CPPUNIT_ASSERT(site.run(site.client->account(name)).error().what.find("mailUserStatus is inactive") != std::string::npos);
    site.elsewhere.away = true;
    CPPUNIT_ASSERT(over().error().kind == Kind::temporary);
    site.elsewhere.away = false;
    site.elsewhere.accounts.clear();
    CPPUNIT_ASSERT(over().value());
  }

  void full_mailboxes_of_accounts_from_elsewhere_are_remembered() {
    SiteWithElsewhere site;
    site.elsewhere.good_for = std::chrono::hours(1);
    const std::string name = "anna@outside.example";
    const auto full_until = [&] { return site.run(site.client->account(name)).value()->full_until; };
    CPPUNIT_ASSERT(full_until() == base::WallTime{});
    const base::WallTime later = base::from_microseconds(base::to_microseconds(base::wall_now() + std::chrono::hours(1)));
    CPPUNIT_ASSERT(site.run(site.client->note_quota(name, later)));
    CPPUNIT_ASSERT(full_until() == later);
    CPPUNIT_ASSERT(site.run(site.client->note_quota(name, {})));
    CPPUNIT_ASSERT(full_until() == base::WallTime{});
    // What the entry itself says holds longer.
    site.elsewhere.accounts.at(name).account.full_until = later + std::chrono::hours(1);
    CPPUNIT_ASSERT(site.run(site.client->note_quota(name, later)));
    CPPUNIT_ASSERT(full_until() == later + std::chrono::hours(1));
  }

  void scripts_of_accounts_from_elsewhere() {
    SiteWithElsewhere site;
    const std::string handle = site.run(site.client->verify("anna@outside.example", "right", "sieve", {})).value().handle;
    CPPUNIT_ASSERT(site.run(site.client->scripts(handle)).value().scripts.empty());
    CPPUNIT_ASSERT(site.run(site.client->put_script(handle, "mine", "keep;")).value() == ScriptOutcome::denied);
    CPPUNIT_ASSERT(site.run(site.client->have_space(handle, "filter", 1u << 30)).value() == ScriptOutcome::too_large);
    site.elsewhere.writes_scripts = false;
    for (const auto& outcome : {site.run(site.client->have_space(handle, "filter", 100)), site.run(site.client->put_script(handle, "filter", "keep;"))})
      CPPUNIT_ASSERT(outcome.value() == ScriptOutcome::denied);
    site.elsewhere.writes_scripts = true;
    CPPUNIT_ASSERT(site.run(site.client->put_script(handle, "filter", "keep;")).value() == ScriptOutcome::done);
    const auto list = site.run(site.client->scripts(handle)).value();
    CPPUNIT_ASSERT(list.scripts.size() == 1 && list.scripts[0].active && list.scripts[0].name == "filter");
    CPPUNIT_ASSERT_EQUAL(std::string("keep;"), site.run(site.client->script(handle, "filter")).value().text);
    CPPUNIT_ASSERT(site.run(site.client->script(handle, "other")).value().outcome == ScriptOutcome::not_found);
    CPPUNIT_ASSERT(site.run(site.client->rename_script(handle, "filter", "other")).value() == ScriptOutcome::denied);
    CPPUNIT_ASSERT(site.run(site.client->remove_script(handle, "filter")).value() == ScriptOutcome::active);
    CPPUNIT_ASSERT_EQUAL(std::string("keep;"), site.run(site.client->script_of("anna@outside.example", "filter")).value().value_or(""));
    CPPUNIT_ASSERT(!site.run(site.client->script_of("anna@outside.example", "other")).value());
    site.elsewhere.accounts.clear();
    CPPUNIT_ASSERT(site.run(site.client->scripts(handle)).value().outcome == ScriptOutcome::logged_out);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ServerTest);

}  // namespace
