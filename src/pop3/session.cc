// SPDX-License-Identifier: Apache-2.0
#include "pop3/session.h"

#include "base/log.h"
#include "base/text.h"
#include "directory/password.h"
#include "pop3/text.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

namespace postern::pop3 {
namespace {

using base::Severity;

// Answers are gathered up to this size before they are written.
constexpr std::size_t kWriteBytes = 32 * 1024;
constexpr std::size_t kMaxUserBytes = 320;
constexpr std::chrono::milliseconds kPauseSlice{1000};

enum class State { authorization, transaction };

struct Command {
  std::string keyword;       // upper case
  std::string_view argument; // behind the first space, as it was sent
};

Command parse(std::string_view line) {
  const auto space = line.find(' ');
  Command command;
  command.keyword = base::upper(line.substr(0, space));
  if (space != std::string_view::npos) command.argument = line.substr(space + 1);
  return command;
}

class Session {
 public:
  Session(net::Stream& stream, Services& services, SessionInfo info, net::SessionWatch& watch)
      : stream_(stream), input_(stream), services_(services), watch_(watch), info_(std::move(info)), configuration_(services.configuration()) {
    idle_time_ = info_.restricted ? std::min(info_.idle_time, configuration_->restricted.idle_time) : info_.idle_time;
  }

  net::Awaitable<void> run() {
    const auto begin = std::chrono::steady_clock::now();
    login_until_ = begin + (info_.restricted ? std::min(info_.login_time, idle_time_) : info_.login_time);
    ok("Postern POP3 at " + configuration_->host_name);
    try {
      co_await serve();
    } catch (const std::exception& error) {
      base::log_event(Severity::error, "pop3-failure", {{"session", info_.id}, {"error", error.what()}});
      end_reason_ = "failure";
    }
    inbox_ = nullptr;
    watch_.set_end_reason(end_reason_);
    if (!account_.empty()) {
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - begin).count();
      base::log_event(Severity::info, "pop3-session",
                      {{"account", account_}, {"client", info_.remote.address.to_string()}, {"reason", end_reason_}, {"retrieved", retrieved_},
                       {"retrieved_bytes", retrieved_bytes_}, {"removed", removed_}, {"seconds", seconds}, {"session", info_.id}});
    }
  }

 private:
  // Reads commands until something ends the session. What was said last is written here.
  net::Awaitable<void> serve() {
    std::string line;
    while (!over_) {
      if (!input_.has_buffered() || out_.size() >= kWriteBytes) {
        if (auto flushed = co_await flush(); !flushed) co_return end_with(flushed.error());
      }
      if (watch_.finishing() && nothing_marked()) {
        co_await say_goodbye();
        co_return;
      }
      set_read_limit();
      watch_.set_idle(nothing_marked());
      const auto read = co_await input_.read_line(line, configuration_->pop3.command_bytes);
      watch_.set_idle(false);
      if (!read) {
        if (watch_.finishing() && !stream_.expired()) co_await say_goodbye();
        else end_with(read.error());
        co_return;
      }
      switch (*read) {
        case net::Input::Line::end:
          end_reason_ = "closed";
          co_return;
        case net::Input::Line::garbage:
          watch_.note_protocol_error();
          error("bare CR, bare LF or NUL; goodbye");
          end_reason_ = "line ends";
          over_ = true;
          break;
        case net::Input::Line::too_long:
          watch_.note_protocol_error();
          bad("command line too long");
          break;
        case net::Input::Line::complete: {
          // A command before the login may have a password in it.
          const bool may_be_secret = state_ == State::authorization;
          co_await carry_out(line);
          if (may_be_secret) directory::wipe(line);
          break;
        }
      }
    }
    // No time limit of its own: that of the last command still runs.
    stream_.set_last();
    const auto flushed = co_await flush();
    if (!flushed) end_with(flushed.error());
  }

  // Somebody who logged in may have lost the right to be here: another password, no account any more, no such service. Not known now: it stays.
  net::Awaitable<bool> login_is_over() {
    if (state_ == State::authorization) co_return false;
    const auto lost = co_await services_.directory().login_is_over(login_, "pop3");
    if (!lost || !*lost) co_return false;
    error("[AUTH] log in again; goodbye");
    end_reason_ = "login over";
    over_ = true;
    co_return true;
  }

  net::Awaitable<void> carry_out(std::string_view line) {
    const bool over = co_await login_is_over();
    if (over) co_return;
    const Command command = parse(line);
    struct Row {
      std::string_view keyword;
      bool authorization, transaction;
      bool idle;  // hands out no message and changes nothing: limited by pop3.idle_commands
      net::Awaitable<void> (Session::*run)(std::string_view);
    };
    static constexpr std::array<Row, 14> rows = {{
        {"CAPA", true, true, true, &Session::capa},    {"USER", true, false, true, &Session::user},
        {"PASS", true, false, false, &Session::pass},  {"QUIT", true, true, false, &Session::quit},
        {"STAT", false, true, true, &Session::stat},   {"LIST", false, true, true, &Session::list},
        {"RETR", false, true, false, &Session::retr},  {"DELE", false, true, false, &Session::dele},
        {"NOOP", false, true, true, &Session::noop},   {"RSET", false, true, true, &Session::rset},
        {"TOP", false, true, true, &Session::top},     {"UIDL", false, true, true, &Session::uidl},
        {"STLS", true, false, true, &Session::stls},   {"AUTH", true, false, true, &Session::auth},
    }};
    for (const Row& row : rows) {
      if (row.keyword != command.keyword) continue;
      const bool allowed = state_ == State::authorization ? row.authorization : row.transaction;
      if (!allowed) {
        bad(state_ == State::authorization ? "log in first" : "not after login");
        co_return;
      }
      if (row.idle && !count_idle_command()) co_return;
      co_await (this->*row.run)(command.argument);
      co_return;
    }
    watch_.note_protocol_error();
    bad("unknown command");
  }

  // Answers.
  void ok(std::string_view text) { add("+OK ", text); }
  void error(std::string_view text) { add("-ERR ", text); }
  void add(std::string_view status, std::string_view text) {
    out_ += status;
    out_ += text;
    out_ += "\r\n";
  }
  // For what no honest client sends often.
  void bad(std::string_view text) {
    if (count_error()) error(text);
  }
  // False: that was one too many, and said so.
  bool count_error() {
    if (++errors_ < configuration_->pop3.errors) return true;
    error("too many bad commands; goodbye");
    end_reason_ = "too many errors";
    over_ = true;
    return false;
  }
  // A client may ask for LIST, UIDL and TOP of each message that it sees.
  bool count_idle_command() { return ++idle_commands_ <= configuration_->pop3.idle_commands + 3 * marked_.size() || count_error(); }

  net::Awaitable<Result<void>> flush() {
    if (out_.empty()) co_return Result<void>();
    set_write_limit();
    auto written = co_await stream_.write(out_);
    // An idle session holds no buffer.
    out_ = std::string();
    co_return written;
  }
  // In the middle of a long answer. False: the connection is broken, and the session over.
  net::Awaitable<bool> flush_if_large() {
    if (out_.size() < kWriteBytes) co_return true;
    const auto flushed = co_await flush();
    if (!flushed) end_with(flushed.error());
    co_return flushed.has_value();
  }

  void set_read_limit() {
    std::chrono::milliseconds limit = idle_time_;
    if (state_ == State::authorization) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(login_until_ - std::chrono::steady_clock::now());
      limit = std::clamp(left, std::chrono::milliseconds(0), limit);
    }
    stream_.set_time_limit(limit);
  }
  void set_write_limit() { stream_.set_time_limit(idle_time_); }

  // RFC 1939 section 3: when the time is over, the connection is closed without an answer and without removing anything.
  void end_with(const Error& why) {
    over_ = true;
    end_reason_ = stream_.expired() ? "time limit" : why.kind == Kind::permanent ? "closed" : "aborted";
  }

  net::Awaitable<void> say_goodbye() {
    over_ = true;
    end_reason_ = "shutdown";
    error("[SYS/TEMP] the server is shutting down; goodbye");
    const auto flushed = co_await flush();
    static_cast<void>(flushed);
  }

  // AUTHORIZATION.
  [[nodiscard]] bool secure() const { return stream_.tls() != nullptr || (info_.tls_outside && !info_.clear_text_outside); }
  // listeners.md T-9; nobody logs in to a restricted session (access-control.md 2.2, $W).
  [[nodiscard]] bool may_send_password() const {
    if (info_.restricted) return false;
    return secure() || !configuration_->secure_login.required || configuration_->secure_login.except_from.contains(info_.remote.address);
  }
  [[nodiscard]] bool may_start_tls() const {
    return state_ == State::authorization && stream_.tls() == nullptr && !info_.tls_outside && watch_.can_start_tls();
  }

  // RFC 2449 section 5. The same before and after login but for STLS, which is of no use then (RFC 2595 section 4).
  net::Awaitable<void> capa(std::string_view argument) {
    if (!argument.empty()) co_return bad("CAPA takes no argument");
    ok("capabilities follow");
    out_ += "TOP\r\nUIDL\r\n";
    if (may_send_password()) out_ += "USER\r\n";
    std::string offer;
    for (const std::string_view mechanism : mechanisms()) offer += " " + std::string(mechanism);
    if (!offer.empty()) out_ += "SASL" + offer + "\r\n";
    if (may_start_tls()) out_ += "STLS\r\n";
    out_ += "RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\nIMPLEMENTATION Postern\r\n.\r\n";
  }

  // RFC 2595 section 4.
  net::Awaitable<void> stls(std::string_view argument) {
    if (!argument.empty()) co_return bad("STLS takes no argument");
    if (stream_.tls() != nullptr || info_.tls_outside) co_return bad("the session is protected by TLS already");
    if (!may_start_tls()) co_return bad("TLS is not available");
    // Whoever says more before the handshake tries to have it executed after it. It is thrown away (T-8).
    if (input_.has_buffered()) watch_.note_protocol_error();
    ok("begin TLS");
    if (const auto flushed = co_await flush(); !flushed) co_return end_with(flushed.error());
    stream_.set_time_limit(configuration_->gate.tls_time);
    const auto done = co_await watch_.start_tls(input_);
    if (!done) {
      over_ = true;
      end_reason_ = done.error().kind == Kind::not_found ? "tls-no-cert" : "tls-failed";
      co_return;
    }
    // What is known from before the handshake somebody else may have said.
    user_.reset();
  }

  void no_password() {
    error(info_.restricted ? "[SYS/PERM] login is not allowed from your network address"
                           : "[SYS/PERM] passwords are not accepted from your network address without TLS");
  }

  net::Awaitable<void> user(std::string_view argument) {
    user_.reset();
    if (!may_send_password()) co_return no_password();
    const std::string_view name = base::trim(argument);
    if (name.empty() || name.size() > kMaxUserBytes) co_return bad("USER takes the name of an account");
    user_ = std::string(name);
    // Whether there is such an account is nobody's business.
    ok("now PASS");
  }

  net::Awaitable<void> pass(std::string_view argument) {
    if (!may_send_password()) co_return no_password();
    if (!user_) co_return bad("USER comes first");
    const std::string name = *std::exchange(user_, std::nullopt);
    // Everything behind the space is the password, spaces included (RFC 1939 section 7).
    std::string password;
    password.reserve(argument.size() + 32);  // never in the string's own room: moving it on shall leave nothing behind
    password += argument;
    policy::LoginFacts login = login_facts("USER");
    auto answer = co_await services_.directory().verify(name, std::move(password), login.service, info_.remote.address);
    directory::wipe(password);
    const auto ask = ask_login_access();
    const policy::LoginOutcome outcome = co_await policy::judge_login(std::move(login), name, std::move(answer), ask, watch_);
    co_await finish_login(outcome);
  }

  [[nodiscard]] policy::LoginFacts login_facts(std::string mechanism) const {
    policy::LoginFacts login = policy::login_facts(info_.id, "pop3", info_.remote.address, stream_.tls(), secure());
    login.mechanism = std::move(mechanism);
    return login;
  }
  [[nodiscard]] policy::AskLoginAccess ask_login_access() const {
    return [this](policy::LoginFacts login) { return services_.login_access(std::move(login)); };
  }

  [[nodiscard]] std::vector<std::string_view> mechanisms() const {
    if (!may_send_password()) return {};
    return directory::sasl_mechanisms(directory::sasl_facts(stream_.tls(), true), configuration_->sasl);
  }

  // RFC 5034 section 4.
  net::Awaitable<void> auth(std::string_view argument) {
    user_.reset();
    if (!may_send_password()) co_return no_password();
    const auto space = std::min(argument.find(' '), argument.size());
    directory::SaslRequest request;
    request.mechanism = base::upper(argument.substr(0, space));
    const std::string_view rest = base::trim(argument.substr(space));
    if (rest.find(' ') != std::string_view::npos) co_return bad("AUTH takes a mechanism and an initial response");
    const auto offered = mechanisms();
    if (std::find(offered.begin(), offered.end(), request.mechanism) == offered.end()) co_return bad("mechanism not available");
    policy::LoginFacts login = login_facts(request.mechanism);
    request.service = login.service;
    request.client = login.client;
    request.facts = directory::sasl_facts(stream_.tls(), true);
    const std::unique_ptr<directory::SaslExchange> exchange = services_.directory().begin_sasl(std::move(request));
    std::optional<std::string> initial;
    if (!rest.empty()) initial = std::string(rest);
    const policy::WriteLine write = [this](std::string line) { return say_challenge(std::move(line)); };
    policy::LineExchange done = co_await policy::exchange_lines(*exchange, std::move(initial), input_, "+ ", write);
    if (is_broken(done)) co_return;
    if (done.step.kind == directory::SaslStep::Kind::malformed) co_return bad("this is not how the mechanism works");
    const auto ask = ask_login_access();
    const policy::LoginOutcome outcome = co_await policy::judge_login(std::move(login), std::move(done.step), ask, watch_);
    if (outcome.kind == policy::LoginOutcome::Kind::accepted && !done.last_words.empty()) {
      const policy::LineExchange confirmed = co_await policy::say_last_words(std::move(done.last_words), input_, "+ ", write);
      if (is_broken(confirmed)) co_return;
    }
    co_await finish_login(outcome);
  }

  // True: the exchange came to another end than an answer of the directory, and that was answered.
  bool is_broken(const policy::LineExchange& exchange) {
    using End = policy::LineExchange::End;
    switch (exchange.end) {
      case End::answered: return false;
      case End::cancelled: bad("login cancelled"); break;
      case End::not_base64: bad("not in base64"); break;
      case End::too_long: watch_.note_protocol_error(); bad("line too long"); break;
      case End::early: watch_.note_protocol_error(); bad("wait for the answer to AUTH"); break;
      case End::closed: over_ = true; end_reason_ = "closed"; break;
      case End::garbage:
        watch_.note_protocol_error();
        error("bare CR, bare LF or NUL; goodbye");
        end_reason_ = "line ends";
        over_ = true;
        break;
      case End::lost: end_with(exchange.error); break;
    }
    return true;
  }

  net::Awaitable<Result<void>> say_challenge(std::string line) {
    out_ += line;
    auto flushed = co_await flush();
    set_read_limit();
    co_return flushed;
  }

  // Opens the mailbox of who may log in, and answers.
  net::Awaitable<void> finish_login(policy::LoginOutcome outcome) {
    co_await pause(outcome.delay);
    if (outcome.kind == policy::LoginOutcome::Kind::temporary) co_return error("[SYS/TEMP] the account can't be checked now");
    if (outcome.kind == policy::LoginOutcome::Kind::refused) {
      co_await refuse_login();
      co_return;
    }
    // Who it is is known, so it may be said.
    if (directory::is_elsewhere(*outcome.account, base::lower(configuration_->host_name))) {
      base::log_event(Severity::notice, "login-elsewhere", {{"service", "pop3"}, {"account", outcome.account->name}, {"host", outcome.account->mail_host}, {"session", info_.id}});
      over_ = true;
      end_reason_ = "mailbox elsewhere";
      co_return error("[SYS/PERM] your mailbox is on " + outcome.account->mail_host + ": connect to that host");
    }
    auto inbox = co_await services_.open_inbox(outcome.account->mailbox_directory);
    if (!inbox) {
      const bool in_use = inbox.error().kind == Kind::denied;
      base::log_event(in_use ? Severity::notice : Severity::error, "pop3-mailbox",
                      {{"account", outcome.account->name}, {"error", in_use ? "in use" : inbox.error().what}, {"session", info_.id}});
      if (in_use) co_return error("[IN-USE] another session has the mailbox");
      co_return error("[SYS/TEMP] the mailbox can't be opened now");
    }
    inbox_ = std::move(*inbox);
    account_ = outcome.account->name;
    login_ = outcome.account;
    marked_.assign(inbox_->messages().size(), false);
    state_ = State::transaction;
    watch_.describe(account_);
    ok(totals());
  }

  // What was said so far goes out first. Cut into slices, so that it does not keep the process from finishing.
  net::Awaitable<void> pause(std::chrono::milliseconds delay) {
    if (delay.count() <= 0) co_return;
    if (const auto flushed = co_await flush(); !flushed) co_return end_with(flushed.error());
    net::asio::steady_timer timer(co_await net::asio::this_coro::executor);
    while (delay.count() > 0 && !watch_.finishing()) {
      const auto slice = std::min(delay, kPauseSlice);
      delay -= slice;
      timer.expires_after(slice);
      boost::system::error_code ignored;
      co_await timer.async_wait(net::asio::redirect_error(net::use_awaitable, ignored));
    }
  }

  // RFC 3206 section 4: AUTH tells the client that the password is the matter, and not the server.
  net::Awaitable<void> refuse_login() {
    co_await pause(configuration_->pop3.failure_delay);
    if (over_) co_return;
    error("[AUTH] name or password is wrong");
    if (++login_failures_ >= configuration_->pop3.login_failures) {
      end_reason_ = "login failures";
      over_ = true;
    }
  }

  // TRANSACTION.
  [[nodiscard]] bool nothing_marked() const { return marked_count_ == 0; }

  [[nodiscard]] std::string totals() const {
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < marked_.size(); ++i)
      if (!marked_[i]) bytes += inbox_->messages()[i].size_bytes;
    return std::to_string(marked_.size() - marked_count_) + " " + std::to_string(bytes);
  }

  // The index of the message that `text` names; otherwise the answer is written and nothing returned.
  std::optional<std::size_t> message(std::string_view text) {
    const auto number = base::number_from<std::size_t>(text);
    const bool exists = number && *number > 0 && *number <= marked_.size();
    if (exists && !marked_[*number - 1]) return *number - 1;
    if (!count_idle_command()) return std::nullopt;
    error(exists ? "message " + std::to_string(*number) + " is marked for removal" : "no such message");
    return std::nullopt;
  }

  net::Awaitable<void> stat(std::string_view argument) {
    if (!base::trim(argument).empty()) co_return bad("STAT takes no argument");
    ok(totals());
  }

  net::Awaitable<void> noop(std::string_view) {
    ok("");
    co_return;
  }

  net::Awaitable<void> rset(std::string_view argument) {
    if (!base::trim(argument).empty()) co_return bad("RSET takes no argument");
    marked_.assign(marked_.size(), false);
    marked_count_ = 0;
    ok(totals());
  }

  net::Awaitable<void> dele(std::string_view argument) {
    const auto index = message(base::trim(argument));
    if (!index) co_return;
    marked_[*index] = true;
    ++marked_count_;
    ok("message " + std::to_string(*index + 1) + " will be removed at QUIT");
  }

  static std::string scan_line(std::size_t index, const Message& message) {
    return std::to_string(index + 1) + " " + std::to_string(message.size_bytes);
  }
  static std::string unique_line(std::size_t index, const Message& message) { return std::to_string(index + 1) + " " + message.unique_id; }

  net::Awaitable<void> list(std::string_view argument) { return listing(argument, scan_line); }
  net::Awaitable<void> uidl(std::string_view argument) { return listing(argument, unique_line); }

  net::Awaitable<void> listing(std::string_view argument, std::string (*line)(std::size_t, const Message&)) {
    argument = base::trim(argument);
    if (!argument.empty()) {
      if (const auto index = message(argument)) ok(line(*index, inbox_->messages()[*index]));
      co_return;
    }
    ok(totals());
    for (std::size_t i = 0; i < marked_.size(); ++i) {
      if (marked_[i]) continue;
      out_ += line(i, inbox_->messages()[i]);
      out_ += "\r\n";
      const bool more = co_await flush_if_large();
      if (!more) co_return;
    }
    out_ += ".\r\n";
  }

  net::Awaitable<void> retr(std::string_view argument) {
    const auto index = message(base::trim(argument));
    if (!index) co_return;
    const bool sent = co_await send_text(*index, std::nullopt);
    if (!sent) co_return;
    ++retrieved_;
    idle_commands_ = 0;
  }

  net::Awaitable<void> top(std::string_view argument) {
    const std::string_view both = base::trim(argument);
    const auto space = both.find(' ');
    const auto lines = space == std::string_view::npos ? std::nullopt : base::number_from<std::uint64_t>(base::trim(both.substr(space)));
    if (!lines) co_return bad("TOP takes a message and a number of lines");
    const auto index = message(both.substr(0, space));
    if (!index) co_return;
    const bool sent = co_await send_text(*index, lines);
    static_cast<void>(sent);
  }

  // A message, or its header and the first lines of its body. False if it did not go out whole.
  net::Awaitable<bool> send_text(std::size_t index, std::optional<std::uint64_t> body_lines) {
    auto reader = co_await inbox_->read(index);
    if (!reader) {
      if (reader.error().kind == Kind::not_found) {
        error("the message was removed by another program");
      } else {
        log_unreadable(index, reader.error());
        error("[SYS/TEMP] the message can't be read now");
      }
      co_return false;
    }
    ok(std::to_string(inbox_->messages()[index].size_bytes) + " octets");
    TextWriter text(body_lines);
    for (;;) {
      const auto piece = co_await (*reader)->next();
      if (!piece) {
        // "+OK" is out already: only a connection that breaks tells the client that this was not all.
        log_unreadable(index, piece.error());
        out_.clear();
        over_ = true;
        end_reason_ = "mailbox";
        co_return false;
      }
      if (piece->empty()) break;
      if (!body_lines) retrieved_bytes_ += piece->size();
      const bool wanted = text.append(*piece, out_);
      const bool more = co_await flush_if_large();
      if (!more) co_return false;
      if (!wanted) break;
    }
    text.finish(out_);
    co_return true;
  }

  void log_unreadable(std::size_t index, const Error& why) {
    base::log_event(Severity::error, "pop3-message",
                    {{"account", account_}, {"message", inbox_->messages()[index].unique_id}, {"error", why.what}, {"session", info_.id}});
  }

  // UPDATE, if somebody is logged in (RFC 1939 section 6).
  net::Awaitable<void> quit(std::string_view) {
    over_ = true;
    end_reason_ = "quit";
    stream_.expect_end();
    if (state_ == State::authorization) co_return ok("goodbye");
    std::vector<std::size_t> indexes;
    for (std::size_t i = 0; i < marked_.size(); ++i)
      if (marked_[i]) indexes.push_back(i);
    bool removed = true;
    if (!indexes.empty()) {
      const std::size_t count = indexes.size();
      const auto done = co_await inbox_->remove(std::move(indexes));
      removed = done.has_value();
      if (removed) removed_ = count;
      // There is room again, so that mail may come at once.
      if (removed) co_await note_room();
      else base::log_event(Severity::error, "pop3-remove", {{"account", account_}, {"error", done.error().what}, {"session", info_.id}});
    }
    // The next session of this client may begin as soon as it has read the answer.
    inbox_ = nullptr;
    if (removed) ok("goodbye");
    else error("[SYS/TEMP] some messages were not removed");
  }

  net::Awaitable<void> note_room() {
    const auto account = co_await services_.directory().account(account_);
    if (!account || *account == nullptr || (*account)->full_until <= base::wall_now()) co_return;
    [[maybe_unused]] const auto noted = co_await services_.directory().note_quota(account_, base::WallTime());
  }

  net::Stream& stream_;
  net::Input input_;
  Services& services_;
  net::SessionWatch& watch_;
  const SessionInfo info_;
  const std::shared_ptr<const conf::Configuration> configuration_;
  std::chrono::seconds idle_time_{};
  std::chrono::steady_clock::time_point login_until_;

  State state_ = State::authorization;
  bool over_ = false;
  std::string end_reason_ = "closed";
  std::string out_;
  unsigned errors_ = 0, login_failures_ = 0;
  std::size_t idle_commands_ = 0;  // since the last message that was handed out
  std::optional<std::string> user_;

  std::string account_;
  std::shared_ptr<const directory::Account> login_;  // the account as it was then
  std::unique_ptr<Inbox> inbox_;
  std::vector<bool> marked_;      // for removal at QUIT
  std::size_t marked_count_ = 0;
  std::uint64_t retrieved_ = 0, retrieved_bytes_ = 0, removed_ = 0;
};

}  // namespace

net::Awaitable<void> run_session(net::Stream& stream, Services& services, SessionInfo info, net::SessionWatch& watch) {
  Session session(stream, services, std::move(info), watch);
  co_await session.run();
}

}  // namespace postern::pop3
