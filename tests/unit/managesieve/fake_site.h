// SPDX-License-Identifier: Apache-2.0
#pragma once
// A site in memory for ManageSieve sessions: accounts with scripts, and a way to run one session from a script of client bytes.
#include "recording_watch.h"
#include "directory/fixed.h"
#include "managesieve/session.h"
#include "net/stream.h"

#include <optional>
#include <string>
#include <vector>

namespace postern::test {

class FakeSite final : public managesieve::Services {
 public:
  FakeSite() {
    configuration_ = std::make_shared<conf::Configuration>();
    configuration_->host_name = "sieve.example.com";
    configuration_->managesieve.failure_delay = std::chrono::seconds(0);
    std::vector<net::AddressList::Mistake> mistakes;
    configuration_->secure_login.except_from = net::AddressList::compile("127.0.0.0/8\n::1\n", mistakes);
    accounts.add_account("user@example.com", "pass word");
    accounts.add_account("off@example.com", "pass word");
    accounts.disable("off@example.com");
  }
  std::shared_ptr<const conf::Configuration> configuration() override { return configuration_; }
  directory::Lookups& directory() override { return accounts; }
  net::Awaitable<policy::LoginDecision> login_access(policy::LoginFacts login) override {
    logins.push_back(std::move(login));
    co_return login_decision;
  }
  net::Awaitable<Result<managesieve::ScriptReport>> check(std::string source, managesieve::OwnScripts own) override {
    ++checks;
    if (busy) co_return Error{Kind::temporary, "busy"};
    sieve::CompileOptions options;
    options.abilities = can;
    co_return managesieve::check_script(source, options, own);
  }
  std::uint32_t abilities() override { return can; }
  std::size_t redirects() override { return 4; }

  conf::Configuration& settings() { return *configuration_; }
  // Limits of scripts, for the session and the directory alike.
  void limit_scripts(unsigned scripts, std::size_t bytes) {
    configuration_->directory.scripts = scripts;
    configuration_->directory.script_bytes = bytes;
    directory::Limits limits;
    limits.scripts = scripts;
    limits.script_bytes = bytes;
    accounts.set_limits(limits);
  }

  // Runs a session on what the client sends; what it got. `after_tls`: what it sends behind the handshake, if there is one.
  std::string talk(std::vector<std::string> pieces, std::string_view client = "127.0.0.1", std::vector<std::string> after_tls = {}) {
    net::asio::io_context io(1);
    net::ScriptedStream stream(std::move(pieces));
    net::TlsFacts facts;
    facts.protocol = "TLSv1.3";
    facts.cipher = "TLS_AES_256_GCM_SHA384";
    if (handshake_failure) stream.script_tls(*handshake_failure);
    else if (watch.tls) stream.script_tls(std::move(facts), std::move(after_tls));
    info.remote = {net::Address::parse(client).value(), 40000};
    info.id = "test";
    net::asio::co_spawn(io, managesieve::run_session(stream, *this, info, watch), net::asio::detached);
    io.run();
    return stream.written();
  }
  // What the greeting is, and the answer to CAPABILITY before login.
  static bool is_end_of_answer(std::string_view line) { return line.starts_with("OK") || line.starts_with("NO") || line.starts_with("BYE"); }
  // `text` without the first answer.
  static std::string without_answer(const std::string& text) {
    for (std::size_t at = 0; at < text.size();) {
      const auto end = std::min(text.find("\r\n", at), text.size() - 2) + 2;
      if (is_end_of_answer(std::string_view(text).substr(at))) return text.substr(end);
      at = end;
    }
    return {};
  }
  // A session whose greeting is cut off.
  std::string answers(std::vector<std::string> pieces, std::string_view client = "127.0.0.1") { return without_answer(talk(std::move(pieces), client)); }
  // The same with the login in front, and the answer to it cut off.
  std::string answers_in(std::vector<std::string> pieces) {
    pieces.insert(pieces.begin(), "AUTHENTICATE \"PLAIN\" \"" + std::string(kPlain) + "\"\r\n");
    const std::string got = answers(std::move(pieces));
    if (!got.starts_with("OK \"welcome\"\r\n")) return "no login: " + got;
    return without_answer(got);
  }
  // NUL user@example.com NUL pass word
  static constexpr std::string_view kPlain = "AHVzZXJAZXhhbXBsZS5jb20AcGFzcyB3b3Jk";

  directory::FixedDirectory accounts;
  policy::LoginDecision login_decision;    // what LOGIN_ACCESS says
  std::vector<policy::LoginFacts> logins;  // what it was asked
  std::uint32_t can = 0;
  bool busy = false;
  unsigned checks = 0;
  managesieve::SessionInfo info;
  std::optional<Error> handshake_failure;
  RecordingWatch watch;

 private:
  std::shared_ptr<conf::Configuration> configuration_;
};

}  // namespace postern::test
