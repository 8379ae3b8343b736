// SPDX-License-Identifier: Apache-2.0
#include "policy/login.h"

#include "base/base64.h"
#include "base/log.h"
#include "base/text.h"
#include "directory/password.h"

namespace postern::policy {
namespace {

// What a client calls itself may be anything.
constexpr std::size_t kShownBytes = 320;

void log_failed(const LoginFacts& login, std::string_view name, std::string_view reason) {
  base::log_event(base::Severity::notice, "login-failed",
                  {{"service", login.service}, {"name", base::printable(name, kShownBytes)}, {"client", login.client.to_string()},
                   {"mechanism", login.mechanism}, {"reason", reason}, {"session", login.id}});
}

// Sends a challenge and reads the response. Nothing: `result` says how the exchange ended. All must live until it returns.
net::Awaitable<std::optional<std::string>> challenge(LineExchange& result, std::string line, net::Input& input, const WriteLine& write) {
  using End = LineExchange::End;
  const auto written = co_await write(std::move(line));
  if (!written) {
    result.error = written.error();
    co_return std::nullopt;
  }
  std::string said;
  const auto read = co_await input.read_line(said, kSaslLineBytes);
  if (!read) {
    result.error = read.error();
    co_return std::nullopt;
  }
  switch (*read) {
    case net::Input::Line::complete: break;
    case net::Input::Line::end: result.end = End::closed; co_return std::nullopt;
    case net::Input::Line::too_long:
      directory::wipe(said);
      result.end = End::too_long;
      co_return std::nullopt;
    case net::Input::Line::garbage: result.end = End::garbage; co_return std::nullopt;
  }
  if (said == "*") {
    result.end = End::cancelled;
    co_return std::nullopt;
  }
  auto response = base::from_base64(said);
  directory::wipe(said);
  if (!response) result.end = End::not_base64;
  co_return response;
}

}  // namespace

net::Awaitable<LoginOutcome> judge_login(LoginFacts login, std::string name, Result<directory::LoginAnswer> answer, const AskLoginAccess& ask,
                                         net::SessionWatch& watch) {
  LoginOutcome outcome;
  if (!answer) {
    log_failed(login, name, answer.error().what);
    co_return outcome;
  }
  if (!answer->accepted) {
    log_failed(login, name, answer->reason);
    if (!answer->reason.ends_with(directory::kAgain)) watch.note_failed_login();
    outcome.kind = LoginOutcome::Kind::refused;
    co_return outcome;
  }
  login.account = answer->account->name;
  const LoginDecision decision = co_await ask(login);
  log_decision(login, decision);
  outcome.delay = decision.delay;
  if (!decision.accepted) {
    log_failed(login, login.account, "LOGIN_ACCESS");
    if (decision.temporary) co_return outcome;
    watch.note_failed_login();
    outcome.kind = LoginOutcome::Kind::refused;
    co_return outcome;
  }
  base::log_event(base::Severity::info, "login",
                  {{"service", login.service}, {"account", login.account}, {"client", login.client.to_string()}, {"tls", login.tls},
                   {"mechanism", login.mechanism}, {"session", login.id}});
  outcome.kind = LoginOutcome::Kind::accepted;
  outcome.account = answer->account;
  outcome.handle = answer->handle;
  co_return outcome;
}

net::Awaitable<LoginOutcome> judge_login(LoginFacts login, directory::SaslStep step, const AskLoginAccess& ask, net::SessionWatch& watch) {
  Result<directory::LoginAnswer> answer(std::move(step.login));
  if (step.kind == directory::SaslStep::Kind::temporary) answer = Error{Kind::temporary, answer->reason};
  co_return co_await judge_login(std::move(login), std::move(step.login_name), std::move(answer), ask, watch);
}

LoginFacts login_facts(std::string session, std::string service, net::Address client, const net::TlsFacts* tls, bool secure) {
  LoginFacts login;
  login.id = std::move(session);
  login.service = std::move(service);
  login.client = client;
  if (tls != nullptr) {
    login.tls = tls->protocol;
    login.certificate = tls->peer_subject;
  } else if (secure) {
    login.tls = "ext";
  }
  return login;
}

net::Awaitable<LineExchange> exchange_lines(directory::SaslExchange& exchange, std::optional<std::string> initial, net::Input& input,
                                            std::string prompt, WriteLine write) {
  using End = LineExchange::End;
  LineExchange result;
  std::optional<std::string> response;
  if (initial) {
    response = *initial == "=" ? std::optional<std::string>(std::string()) : base::from_base64(*initial);
    directory::wipe(*initial);
    if (!response) {
      result.end = End::not_base64;
      co_return result;
    }
  }
  for (;;) {
    // RFC 4954 section 4: AUTH is the last command of a group; and nobody can know what to answer before it was asked.
    if (input.has_buffered()) {
      result.end = End::early;
      co_return result;
    }
    result.step = co_await exchange.step(std::move(response));
    if (response) directory::wipe(*response);
    // Only SCRAM begins a message so, and it is its last.
    if (result.step.kind == directory::SaslStep::Kind::challenge && result.step.data.starts_with("v=")) {
      result.last_words = std::move(result.step.data);
      result.step = co_await exchange.step(std::string());
    }
    if (result.step.kind != directory::SaslStep::Kind::challenge) {
      result.end = End::answered;
      co_return result;
    }
    response = co_await challenge(result, prompt + base::to_base64(result.step.data) + "\r\n", input, write);
    if (!response) co_return result;
  }
}

net::Awaitable<LineExchange> say_last_words(std::string last_words, net::Input& input, std::string prompt, WriteLine write) {
  LineExchange result;
  const auto response = co_await challenge(result, prompt + base::to_base64(last_words) + "\r\n", input, write);
  if (response) result.end = response->empty() ? LineExchange::End::answered : LineExchange::End::not_base64;
  co_return result;
}

}  // namespace postern::policy
