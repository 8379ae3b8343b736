// SPDX-License-Identifier: Apache-2.0
#include "smtp/session.h"

#include "base/log.h"
#include "mail/address.h"
#include "base/text.h"
#include "directory/password.h"
#include "smtp/engine.h"

namespace postern::smtp {
namespace {

// For the last words to a client that is slow to read them.
constexpr std::chrono::seconds kFarewellTime{5};
// A pause is cut into these, so that it does not keep a process from finishing.
constexpr std::chrono::milliseconds kPauseSlice{1000};

}  // namespace

void ReplyStream::forget() {
  waiting_.clear();
  if (waiting_.capacity() > 1024) waiting_.shrink_to_fit();
}

Result<bool> ReplyStream::flush_now() {
  if (waiting_.empty()) return true;
  const auto sent = stream_.try_write(waiting_);
  const bool all = sent && *sent == waiting_.size();
  if (all || !sent) forget();
  else waiting_.erase(0, *sent);
  if (!sent) return sent.error();
  return all;
}

net::Awaitable<Result<void>> ReplyStream::flush() {
  const auto all = flush_now();
  if (!all) co_return all.error();
  if (*all) co_return Result<void>();
  auto sent = co_await stream_.write(waiting_);
  forget();
  co_return sent;
}

net::Awaitable<Result<void>> ReplyStream::wait_readable() {
  const auto all = flush_now();
  if (all && *all) return stream_.wait_readable();
  return flush_and_wait(all);
}

net::Awaitable<Result<void>> ReplyStream::flush_and_wait(Result<bool> begun) {
  if (!begun) co_return begun.error();
  auto sent = co_await flush();
  if (!sent) co_return sent.error();
  co_return co_await stream_.wait_readable();
}

bool Services::checks(const policy::SessionFacts&) { return false; }
net::Awaitable<CheckResult> Services::check(MessageUnderCheck) { co_return CheckResult(); }
Result<Services::Pending> Services::try_now(const std::string&, std::chrono::seconds) { return Error{Kind::temporary, "there is no queue"}; }

Session::Session(net::Stream& stream, Services& services, SessionInfo info, net::SessionWatch& watch)
    : services_(services), info_(std::move(info)), watch_(watch), stream_(stream), input_(stream_), configuration_(services.configuration()) {}

std::string Session::state_dump() const {
  std::string dump = "hello=";
  dump += hello_ ? (hello_->extended ? "extended " : "plain ") + hello_->facts->helo : std::string("none");
  dump += " channel=" + source_channel_ + " transaction=";
  if (!transaction_) return dump + "none";
  dump += "from <" + transaction_->envelope.reverse_path + ">";
  for (const auto& recipient : transaction_->accepted) dump += " to <" + recipient + ">";
  if (transaction_->incoming) dump += " chunks=" + std::to_string(transaction_->incoming->received_bytes());
  return dump;
}

void Session::reply(int code, std::string_view status, std::string_view text) {
  char number[4] = {static_cast<char>('0' + code / 100), static_cast<char>('0' + code / 10 % 10), static_cast<char>('0' + code % 10), ' '};
  stream_.add(std::string_view(number, 4));
  if (!status.empty()) {
    stream_.add(status);
    stream_.add(" ");
  }
  stream_.add(text);
  stream_.add("\r\n");
}

Session::Next Session::close_with(int code, std::string_view status, std::string_view text, std::string_view reason) {
  reply(code, status, text);
  watch_.set_end_reason(reason);
  return Next::close;
}

bool Session::count_error() {
  if (++errors_ <= configuration_->smtp.errors) return true;
  static_cast<void>(close_with(421, "4.7.0", "too many errors", "too many errors"));
  return false;
}

// L-14: from a blacklisted peer the server does not hang up for commands that are right.
bool Session::count_idle_command() { return blacklisted_ || ++idle_commands_ <= configuration_->smtp.idle_commands || count_error(); }

void Session::begin_anew() { errors_ = idle_commands_ = put_off_ = 0; }

Session::Next Session::bad_command(int code, std::string_view status, std::string_view text) {
  if (!count_error()) return Next::close;
  reply(code, status, text);
  return Next::command;
}

Session::Next Session::foreign_command(int code, std::string_view status, std::string_view text) {
  watch_.note_protocol_error();
  return bad_command(code, status, text);
}

Session::Next Session::refuse_sender(int code, std::string_view status, std::string_view text) {
  if (code / 100 == 5) return bad_command(code, status, text);
  return idle_command(code, status, text);
}

Session::Next Session::refuse_recipient(int code, std::string_view status, std::string_view text) {
  if (code / 100 == 5 || ++put_off_ > configuration_->smtp.recipients) return bad_command(code, status, text);
  reply(code, status, text);
  return Next::command;
}

Session::Next Session::idle_command(int code, std::string_view status, std::string_view text) {
  if (!count_idle_command()) return Next::close;
  reply(code, status, text);
  return Next::command;
}

net::Awaitable<void> Session::pause(std::chrono::milliseconds delay) {
  if (delay.count() <= 0) co_return;
  delay = std::min(delay, mapping::kMaxDelay);
  auto sent = co_await stream_.flush();
  if (!sent) co_return;
  net::asio::steady_timer timer(co_await net::asio::this_coro::executor);
  while (delay.count() > 0 && !watch_.finishing()) {
    const auto slice = std::min(delay, kPauseSlice);
    delay -= slice;
    timer.expires_after(slice);
    boost::system::error_code ignored;
    co_await timer.async_wait(net::asio::redirect_error(net::use_awaitable, ignored));
  }
}

net::Awaitable<void> Session::pause_transaction() {
  if (!transaction_ || transaction_->delay.count() == 0) co_return;
  co_await pause(transaction_->delay);
}

// What of this session is decided before its first byte: source channel, blacklist (listeners.md L-14).
net::Awaitable<void> Session::prepare() {
  if (!lmtp()) {
    const net::AddressList& list = configuration_->smtp_blacklist;
    blacklisted_ = list.contains(info_.remote.address);
    if (list.asks_names(info_.remote.address)) {
      net::Resolver* const resolver = services_.access().questions().resolver();
      blacklisted_ = co_await net::is_on_list(resolver, list, info_.remote.address);
    }
  }
  co_await choose_channel();
}

net::Awaitable<void> Session::choose_channel() {
  const policy::Access access = services_.access();
  if (const std::string* const known = access.known_source_channel(info_.initial_channel, info_.remote.address)) {
    source_channel_ = *known;
  } else {
    policy::Notes notes;
    source_channel_ = co_await access.source_channel(info_.initial_channel, info_.remote.address, notes);
    policy::log_notes(info_.id, notes);
  }
  const policy::Channel* channel = access.site().channels.find(source_channel_);
  if (channel != nullptr && !channel->tls_switch.empty() && !cipher().empty()) {
    source_channel_ = channel->tls_switch;
    channel = access.site().channels.find(source_channel_);
  }
  authentication_ = policy::Channel::Authentication::none;
  authentication_rules_.clear();
  if (channel == nullptr || channel->authentication == policy::Channel::Authentication::none) co_return;
  authentication_ = channel->authentication;
  // The second probe (access-control.md 2.2): it names the AUTH rule set, which is logged and has no other effect yet.
  if (const auto* const known = access.known_port_answer(info_.local, info_.remote.address, false)) {
    authentication_rules_ = known->auth_rules;
    co_return;
  }
  policy::PortDecision decision = co_await access.port_access(info_.module, info_.local, info_.remote, false);
  policy::log_decision(info_.remote, decision);
  authentication_rules_ = std::move(decision.auth_rules);
}

std::string Session::cipher() const {
  if (const net::TlsFacts* const tls = stream_.tls()) return tls->cipher;
  return info_.tls_outside && !info_.clear_text_outside ? "ext" : "";
}

net::Awaitable<void> Session::run() {
  co_await serve();
  if (milters_) co_await milters_->quit();
}

net::Awaitable<void> Session::serve() {
  co_await prepare();
  if (!info_.milters.empty() && services_.milters() != nullptr) {
    const Next next = co_await greet_milters();
    if (next == Next::close) {
      stream_.set_time_limit(kFarewellTime);
      stream_.set_last();
      [[maybe_unused]] const auto sent = co_await stream_.flush();
      co_return;
    }
  }
  stream_.add("220 " + configuration_->host_name + (lmtp() ? " LMTP" : " ESMTP") + " Postern\r\n");
  for (;;) {
    stream_.set_time_limit(patience());
    const Next next = co_await one_command();
    if (next == Next::close) break;
    if (!stream_.many()) continue;
    auto sent = co_await stream_.flush();
    if (!sent) co_return;
  }
  // The limit that ended a wait must not end the farewell too.
  stream_.set_time_limit(kFarewellTime);
  stream_.set_last();
  auto sent = co_await stream_.flush();
  if (!sent) co_return;
}

std::chrono::milliseconds Session::patience() const {
  const std::chrono::milliseconds idle_time = info_.restricted ? std::min(configuration_->restricted.idle_time, info_.idle_time) : info_.idle_time;
  if (!transaction_ || !transaction_->incoming) return idle_time;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(transaction_->text_until - base::steady_now());
  return std::clamp(left, std::chrono::milliseconds(0), idle_time);
}

// The connection failed, or its time was over.
Session::Next Session::lost(const Error& error) {
  if (stream_.expired()) return time_is_over();
  if (watch_.finishing()) return close_with(421, "4.3.2", "service is closing down, try again later", "shutdown");
  watch_.set_end_reason(error.what);
  return Next::close;
}

net::Awaitable<Session::Next> Session::one_command() {
  if (watch_.finishing() && !transaction_)
    co_return close_with(421, "4.3.2", "service is closing down, try again later", "shutdown");
  watch_.set_idle(!transaction_);
  // RFC 4954 section 4: AUTH with an initial response may be longer than other commands.
  const std::size_t limit_bytes = configuration_->smtp.command_bytes;
  const auto got = co_await input_.read_line(line_, may_log_in() ? std::max(limit_bytes, policy::kSaslLineBytes) : limit_bytes);
  watch_.set_idle(false);
  if (!got) co_return lost(got.error());
  switch (*got) {
    case net::Input::Line::complete: break;
    case net::Input::Line::end: watch_.set_end_reason("closed by peer"); co_return Next::close;
    case net::Input::Line::too_long:
      // RFC 4954 section 6.
      if (may_log_in() && parse_command(line_).verb == Verb::auth) co_return foreign_command(500, "5.5.6", "line too long");
      co_return foreign_command(500, "5.5.2", "line too long");
    case net::Input::Line::garbage:
      watch_.note_protocol_error();
      // Where the next command begins is not certain any more (hardening.md 3).
      co_return close_with(500, "5.5.2", "bare CR, bare LF or NUL, closing connection", "line ends");
  }

  const Command command = parse_command(line_);
  if (command.verb != Verb::bdat) behind_failed_chunk_ = 0;
  if (line_.size() > limit_bytes && command.verb != Verb::auth) co_return foreign_command(500, "5.5.2", "line too long");
  switch (command.verb) {
    case Verb::helo:
    case Verb::ehlo:
    case Verb::lhlo: co_return co_await on_hello(command.verb, command.argument);
    case Verb::mail: co_return co_await on_mail(command.argument);
    case Verb::rcpt: co_return co_await on_recipient(command.argument);
    case Verb::data: co_return co_await on_data(command.argument);
    case Verb::bdat: co_return co_await on_chunk(command.argument);
    default: break;
  }
  co_await pause_transaction();
  switch (command.verb) {
    case Verb::rset:
      if (!command.argument.empty()) co_return bad_command(501, "5.5.4", "RSET takes no argument");
      transaction_.reset();
      if (milters_) co_await milters_->abort();
      co_return idle_command(250, "2.0.0", "Ok");
    case Verb::noop: co_return idle_command(250, "2.0.0", "Ok");
    case Verb::quit:
      stream_.expect_end();
      co_return close_with(221, "2.0.0", "Bye", "quit");
    case Verb::vrfy: co_return on_verify(command.argument);
    case Verb::expn:
      ++idle_commands_;  // and an error every time
      co_return bad_command(502, "5.5.1", "EXPN is not available");
    case Verb::help: co_return idle_command(214, "2.0.0", "See RFC 5321");
    case Verb::starttls: co_return co_await on_start_tls(command.argument);
    case Verb::auth: {
      // There may be a password behind it, and nothing else needs the line any more.
      const Next next = co_await on_auth(command.argument);
      directory::wipe(line_);
      co_return next;
    }
    case Verb::etrn: co_return on_turn(command.argument);
    case Verb::not_offered: co_return bad_command(502, "5.5.1", "command not available");
    case Verb::other_protocol:
      watch_.note_protocol_error();
      co_return close_with(421, "4.7.0", "this is a mail server", "other protocol");
    default:
      if (milters_) co_return co_await tell_milters_unknown();
      co_return foreign_command(500, "5.5.2", "command not known");
  }
}

net::Awaitable<Session::Next> Session::on_hello(Verb verb, std::string_view argument) {
  // RFC 2033 section 4.1: LMTP has LHLO and neither of the others.
  if (lmtp() != (verb == Verb::lhlo)) co_return bad_command(500, "5.5.1", lmtp() ? "this is LMTP: use LHLO" : "this is SMTP: use EHLO");
  const auto name = parse_hello(argument);
  if (!name) co_return bad_command(501, "5.5.4", "expected a host name");
  if (milters_) {
    Next next = Next::command;
    std::string given(*name);
    const bool willing = co_await ask_milters_hello(std::move(given), next);
    if (!willing) co_return next;
  }
  Hello hello;
  hello.extended = verb != Verb::helo;
  policy::SessionFacts facts;
  facts.id = info_.id;
  facts.local = info_.local;
  facts.remote = info_.remote;
  facts.source_channel = source_channel_;
  facts.helo = *name;
  facts.extended = hello.extended;
  facts.lmtp = lmtp();
  facts.auth_rules = authentication_rules_;
  facts.debug_level = info_.debug_level;
  facts.cipher = cipher();
  if (const net::TlsFacts* const tls = stream_.tls()) {
    facts.tls_protocol = tls->protocol;
    facts.certificate = tls->peer_subject;
  }
  if (account_) facts.authenticated = account_->name;
  hello.facts = std::make_shared<const policy::SessionFacts>(std::move(facts));
  // RFC 5321 section 4.1.4: as RSET.
  transaction_.reset();
  hello_ = std::move(hello);
  if (!count_idle_command()) co_return Next::close;
  if (!hello_->extended) {
    reply(250, "", configuration_->host_name);
    co_return Next::command;
  }
  const auto limit = info_.restricted ? std::min(configuration_->restricted.message_bytes, configuration_->smtp.message_bytes)
                                      : configuration_->smtp.message_bytes;
  std::string offer;
  for (const std::string_view mechanism : account_ ? std::vector<std::string_view>() : mechanisms()) offer += " " + std::string(mechanism);
  if (!offer.empty()) offer = "250-AUTH" + offer + "\r\n";
  stream_.add("250-" + configuration_->host_name + "\r\n250-PIPELINING\r\n250-SIZE " + std::to_string(limit) +
              "\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n" + (may_start_tls() ? "250-STARTTLS\r\n" : "") + offer + queue_extensions() + "250 SMTPUTF8\r\n");
  co_return Next::command;
}

bool Session::is_trusted() const {
  return !hello_->facts->authenticated.empty() || configuration_->client_addresses.contains(info_.remote.address);
}

std::chrono::seconds Session::longest_hold() const {
  return hello_->facts->authenticated.empty() ? std::chrono::seconds(0) : configuration_->smtp.future_release;
}

bool Session::may_turn() const { return !lmtp() && configuration_->smtp.etrn_clients.contains(info_.remote.address); }

bool Session::may_require_tls() const {
  const conf::Relay& relay = configuration_->relay;
  return relay.requiretls && (relay.dane || relay.mta_sts) && hello_->facts->tls();
}

std::string Session::queue_extensions() const {
  std::string lines = "250-DSN\r\n250-DELIVERBY\r\n250-MT-PRIORITY MIXER\r\n";
  // RFC 4865 section 4: seconds from now, and the same as a date.
  if (const auto hold = longest_hold(); hold.count() > 0)
    lines += "250-FUTURERELEASE " + std::to_string(hold.count()) + " " + base::iso8601(base::wall_now() + hold) + "\r\n";
  if (may_turn()) lines += "250-ETRN\r\n";
  if (may_require_tls()) lines += "250-REQUIRETLS\r\n";
  return lines;
}

// RFC 1985 section 5.
Session::Next Session::on_turn(std::string_view argument) {
  if (!hello_ || !may_turn()) return bad_command(502, "5.5.1", "command not available");
  if (transaction_) return bad_command(503, "5.5.1", "a message is under way");
  if (!count_idle_command()) return Next::close;
  // Section 5.3: all hosts below a domain, and queues with names. Queues here are those of single domains.
  if (argument.starts_with('@') || argument.starts_with('#')) {
    reply(459, "4.5.4", "Node " + base::printable(argument, 260) + " not allowed: ask for each domain by its name");
    return Next::command;
  }
  const auto domain = mail::canonical_domain(argument);
  if (!domain) return bad_command(501, "5.5.4", "expected a domain");
  const auto asked = services_.try_now(*domain, configuration_->smtp.etrn_time);
  if (!asked) {
    if (asked.error().kind == Kind::denied) reply(458, "4.7.0", "somebody has asked for " + *domain + " just now, come back later");
    else reply(458, "4.3.0", "messages for " + *domain + " can't be tried now");
  } else if (asked->messages == 0) {
    if (asked->all) reply(251, "2.0.0", "Ok, no messages are waiting for " + *domain);
    else reply(250, "2.0.0", "Ok, messages for " + *domain + " are tried now");
  } else if (!asked->all) {
    reply(252, "2.0.0", "Ok, pending messages for " + *domain + " are tried now");
  } else {
    reply(253, "2.0.0", "Ok, " + std::to_string(asked->messages) + " pending messages for " + *domain + " are tried now");
  }
  return Next::command;
}

Session::Next Session::on_verify(std::string_view argument) {
  if (argument.empty()) return bad_command(501, "5.5.4", "expected an address");
  // RFC 5321 section 3.5.3: who is here is told nobody; the message itself will be answered.
  return idle_command(252, "2.0.0", "not verified here, but a message to it will be tried");
}

// RFC 3207 section 4; listeners.md T-8, T-10.
net::Awaitable<Session::Next> Session::on_start_tls(std::string_view argument) {
  if (!argument.empty()) co_return bad_command(501, "5.5.4", "STARTTLS takes no argument");
  if (stream_.tls() != nullptr || info_.tls_outside) co_return bad_command(503, "5.5.1", "the session is protected by TLS already");
  if (!may_start_tls()) co_return bad_command(502, "5.5.1", "TLS is not available");
  if (!count_idle_command()) co_return Next::close;
  // Whoever says more before the handshake tries to have it executed after it. It is thrown away (T-8).
  if (input_.has_buffered()) watch_.note_protocol_error();
  reply(220, "2.0.0", "begin TLS");
  auto sent = co_await stream_.flush();
  if (!sent) co_return lost(sent.error());
  stream_.set_time_limit(configuration_->gate.tls_time);
  const auto done = co_await watch_.start_tls(input_);
  if (!done) {
    watch_.set_end_reason(done.error().kind == Kind::not_found ? "tls-no-cert" : "tls-failed");
    co_return Next::close;
  }
  // RFC 3207 section 4.2: what is known from before the handshake somebody else may have said.
  hello_.reset();
  transaction_.reset();
  account_.reset();
  if (milters_) {
    co_await milters_->abort();
    login_mechanism_.clear();
    set_milter_macros();
  }
  co_await choose_channel();
  co_return Next::command;
}

net::Awaitable<void> run_session(net::Stream& stream, Services& services, SessionInfo info, net::SessionWatch& watch) {
  Session session(stream, services, std::move(info), watch);
  co_await session.run();
}

}  // namespace postern::smtp
