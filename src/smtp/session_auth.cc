// SPDX-License-Identifier: Apache-2.0
// AUTH (RFC 4954).
#include "base/text.h"
#include "smtp/engine.h"

#include <algorithm>

namespace postern::smtp {

bool Session::may_log_in() const {
  // Nobody who reads our EHLO says AUTH then: L-14; access-control.md 2.2, $W.
  return authentication_ != policy::Channel::Authentication::none && !blacklisted_ && !info_.restricted && !lmtp();
}

bool Session::password_allowed() const {
  return !cipher().empty() || !configuration_->secure_login.required || configuration_->secure_login.except_from.contains(info_.remote.address);
}

std::vector<std::string_view> Session::mechanisms() const {
  if (!may_log_in() || !password_allowed()) return {};
  return directory::sasl_mechanisms(directory::sasl_facts(stream_.tls(), true), configuration_->sasl);
}

net::Awaitable<Session::Next> Session::on_auth(std::string_view argument) {
  // L-14: the server does not hang up on a blacklisted peer by itself.
  if (blacklisted_) {
    reply(503, "5.5.1", "AUTH is not available to you");
    co_return Next::command;
  }
  if (info_.restricted) co_return foreign_command(503, "5.5.1", "AUTH is not available to you");
  if (!may_log_in()) co_return foreign_command(502, "5.5.1", "AUTH is not available");
  if (!hello_ || !hello_->extended) co_return bad_command(503, "5.5.1", "say EHLO first");
  if (account_) co_return bad_command(503, "5.5.1", "you have logged in already");
  if (transaction_) co_return bad_command(503, "5.5.1", "a message is under way");
  if (!password_allowed()) co_return bad_command(538, "5.7.11", "encryption is required to log in: say STARTTLS first");

  const auto space = std::min(argument.find(' '), argument.size());
  const std::string mechanism = base::upper(argument.substr(0, space));
  const std::string_view rest = base::trim(argument.substr(space));
  if (mechanism.empty() || rest.find(' ') != std::string_view::npos) co_return bad_command(501, "5.5.4", "expected AUTH mechanism [initial-response]");
  const auto offered = mechanisms();
  if (std::find(offered.begin(), offered.end(), mechanism) == offered.end()) co_return bad_command(504, "5.5.4", "mechanism not available");
  if (!count_idle_command()) co_return Next::close;

  watch_.describe("AUTH");
  policy::LoginFacts login = policy::login_facts(info_.id, info_.initial_channel == "tcp_submit" ? "submission" : "smtp", info_.remote.address,
                                                 stream_.tls(), !cipher().empty());
  login.mechanism = mechanism;
  directory::SaslRequest request;
  request.mechanism = mechanism;
  request.service = login.service;
  request.client = login.client;
  request.facts = directory::sasl_facts(stream_.tls(), true);
  const policy::Access access = services_.access();
  const std::unique_ptr<directory::SaslExchange> exchange = access.directory().begin_sasl(std::move(request));
  std::optional<std::string> initial;
  if (!rest.empty()) initial = std::string(rest);
  const policy::WriteLine write = [this](std::string line) { return say_challenge(std::move(line)); };
  policy::LineExchange done = co_await policy::exchange_lines(*exchange, std::move(initial), input_, "334 ", write);
  co_return co_await finish_auth(std::move(login), std::move(done));
}

net::Awaitable<Result<void>> Session::say_challenge(std::string line) {
  stream_.add(line);
  stream_.set_time_limit(patience());
  auto sent = co_await stream_.flush();
  co_return sent;
}

std::optional<Session::Next> Session::broken_auth(const policy::LineExchange& exchange) {
  using End = policy::LineExchange::End;
  switch (exchange.end) {
    case End::answered: return std::nullopt;
    case End::cancelled: return idle_command(501, "5.7.0", "login cancelled");
    case End::not_base64: return bad_command(501, "5.5.2", "not in base64");
    case End::too_long: return foreign_command(500, "5.5.6", "line too long");
    case End::early: return foreign_command(503, "5.5.1", "AUTH must be the last command of a group, and its responses wait for what they answer");
    case End::closed: watch_.set_end_reason("closed by peer"); return Next::close;
    case End::garbage:
      watch_.note_protocol_error();
      return close_with(500, "5.5.2", "bare CR, bare LF or NUL, closing connection", "line ends");
    case End::lost: break;
  }
  return lost(exchange.error);
}

net::Awaitable<Session::Next> Session::finish_auth(policy::LoginFacts login, policy::LineExchange exchange) {
  if (const auto broken = broken_auth(exchange)) co_return *broken;
  if (exchange.step.kind == directory::SaslStep::Kind::malformed) co_return bad_command(501, "5.5.2", "this is not how the mechanism works");

  login_mechanism_ = login.mechanism;
  const policy::Access access = services_.access();
  const policy::AskLoginAccess ask = [&access](policy::LoginFacts facts) { return access.login_access(std::move(facts)); };
  const policy::LoginOutcome outcome = co_await policy::judge_login(std::move(login), std::move(exchange.step), ask, watch_);
  co_await pause(outcome.delay);
  if (outcome.kind == policy::LoginOutcome::Kind::temporary) co_return idle_command(454, "4.7.0", "the account can't be checked now, try again later");
  if (outcome.kind == policy::LoginOutcome::Kind::refused) {
    co_await pause(configuration_->smtp.failure_delay);
    const Next next = bad_command(535, "5.7.8", "name or password is wrong");
    if (next == Next::close || ++login_failures_ < configuration_->smtp.login_failures) co_return next;
    co_return close_with(421, "4.7.0", "too many failed logins, closing connection", "login failures");
  }
  if (!exchange.last_words.empty()) {
    const policy::WriteLine write = [this](std::string line) { return say_challenge(std::move(line)); };
    const policy::LineExchange confirmed = co_await policy::say_last_words(std::move(exchange.last_words), input_, "334 ", write);
    if (const auto broken = broken_auth(confirmed)) co_return *broken;
  }
  become(outcome.account);
  reply(235, "2.7.0", "you have logged in");
  co_return Next::command;
}

// No mechanism here has a security layer, so what is known of the client stays (RFC 4954 section 4).
void Session::become(std::shared_ptr<const directory::Account> account) {
  account_ = std::move(account);
  login_failures_ = 0;
  watch_.describe(account_->name);
  const policy::Access access = services_.access();
  const policy::Channel* const channel = access.site().channels.find(source_channel_);
  // access-control.md 3.2, step 4.
  if (channel != nullptr && !channel->authentication_switch.empty()) source_channel_ = channel->authentication_switch;
  policy::SessionFacts facts = *hello_->facts;
  facts.authenticated = account_->name;
  facts.source_channel = source_channel_;
  hello_->facts = std::make_shared<const policy::SessionFacts>(std::move(facts));
  if (milters_) set_milter_macros();
}

}  // namespace postern::smtp
