// SPDX-License-Identifier: Apache-2.0
#include "managesieve/session.h"

#include "base/base64.h"
#include "base/log.h"
#include "base/text.h"
#include "directory/password.h"
#include "managesieve/command.h"

#include <algorithm>
#include <array>
#include <optional>

namespace postern::managesieve {
namespace {

using base::Severity;
using directory::ScriptOutcome;

// Answers are gathered up to this size before they are written.
constexpr std::size_t kWriteBytes = 32 * 1024;
// Literals of all commands but those that carry scripts: names, tags, answers in AUTHENTICATE.
constexpr std::size_t kNameLiteralBytes = 2048, kSaslLiteralBytes = (directory::kMaxSaslBytes + 2) / 3 * 4;
// A literal that is too large is read and thrown away up to so many bytes, so that the session can go on; before login much less.
constexpr std::uint64_t kSkippedBytes = 4 * 1024 * 1024, kSkippedBeforeLogin = 64 * 1024;
// Commands without a login in between.
constexpr unsigned kCommandsBeforeLogin = 30;
// Own scripts that one includes, directly or not.
constexpr std::size_t kIncludedScripts = 50, kIncludedBytes = 2 * 1024 * 1024;
constexpr std::chrono::milliseconds kPauseSlice{1000};
// For a client that does not read what was said, which is memory of ours.
constexpr std::chrono::seconds kWriteTime{300};

// "=" is what some clients send for an empty response.
std::optional<std::string> from_base64(std::string_view text) { return text == "=" ? std::optional<std::string>(std::string()) : base::from_base64(text); }

class Session {
 public:
  Session(net::Stream& stream, Services& services, SessionInfo info, net::SessionWatch& watch)
      : stream_(stream), input_(stream), services_(services), watch_(watch), info_(std::move(info)), configuration_(services.configuration()) {
    idle_time_ = info_.restricted ? std::min(info_.idle_time, configuration_->restricted.idle_time) : info_.idle_time;
  }

  net::Awaitable<void> run() {
    begin_ = std::chrono::steady_clock::now();
    begin_login_time();
    add_capabilities();
    ok("Postern ManageSieve at " + configuration_->host_name);
    try {
      co_await serve();
    } catch (const std::exception& error) {
      base::log_event(Severity::error, "managesieve-failure", {{"session", info_.id}, {"error", error.what()}});
      end_reason_ = "failure";
    }
    watch_.set_end_reason(end_reason_);
    log_end(end_reason_);
    forget_login();
  }

 private:
  enum class Read { command, again, over };

  // Reads commands until something ends the session. What was said last is written here.
  net::Awaitable<void> serve() {
    while (!over_) {
      if (!input_.has_buffered() || out_.size() >= kWriteBytes) {
        if (auto flushed = co_await flush(); !flushed) co_return end_with(flushed.error());
      }
      if (watch_.finishing()) {
        shut_down();
        break;
      }
      watch_.set_idle(true);
      Command command;
      const Read read = co_await read_command(CommandParser::Form::command, command);
      watch_.set_idle(false);
      if (read == Read::over) break;
      if (read == Read::command) co_await obey(std::move(command));
    }
    // No time limit of its own: that of the last command still runs.
    stream_.set_last();
    const auto flushed = co_await flush();
    if (!flushed) end_with(flushed.error());
  }

  // Reads one command, or one string of AUTHENTICATE. `again`: it could not be understood, and the answer was given. `over`: the
  // session ends; what was to be said was said.
  net::Awaitable<Read> read_command(CommandParser::Form form, Command& command) {
    CommandParser parser(form);
    set_read_limit();
    for (bool first = true;; first = false) {
      const auto read = co_await input_.read_line(line_, configuration_->managesieve.command_bytes);
      // Once it has begun, all of a command comes within one more idle time, however many literals it has.
      if (first) {
        watch_.set_idle(false);
        set_read_limit();
      }
      if (!read) {
        if (watch_.finishing() && !stream_.expired()) shut_down();
        else end_with(read.error());
        co_return Read::over;
      }
      switch (*read) {
        case net::Input::Line::complete: break;
        case net::Input::Line::end:
          end_reason_ = "closed";
          over_ = true;
          co_return Read::over;
        case net::Input::Line::garbage:
          watch_.note_protocol_error();
          say_bye("", "bare CR, bare LF or NUL", "line ends");
          co_return Read::over;
        case net::Input::Line::too_long:
          watch_.note_protocol_error();
          // What was cut off may have announced a literal.
          say_bye("", "line too long", "line too long");
          co_return Read::over;
      }
      switch (parser.feed(line_)) {
        case CommandParser::State::complete:
          command = parser.take_command();
          if (!logged_in()) directory::wipe(line_);
          co_return Read::command;
        case CommandParser::State::malformed:
          bad(parser.problem());
          co_return over_ ? Read::over : Read::again;
        case CommandParser::State::lost:
          watch_.note_protocol_error();
          say_bye("", parser.problem(), "literal");
          co_return Read::over;
        case CommandParser::State::literal: break;
      }
      const bool more = co_await read_literal(parser);
      if (!more) co_return Read::over;
    }
  }

  // How large a literal may be in this place.
  [[nodiscard]] std::uint64_t literal_limit(const CommandParser& parser) const {
    const Command& command = parser.command();
    if (command.name.empty() || command.name == "AUTHENTICATE") return kSaslLiteralBytes;
    const bool script = (command.name == "PUTSCRIPT" && parser.literal_index() == 1) || (command.name == "CHECKSCRIPT" && parser.literal_index() == 0);
    return script && logged_in() ? script_bytes() : kNameLiteralBytes;
  }

  // False: the session ends.
  net::Awaitable<bool> read_literal(CommandParser& parser) {
    std::uint64_t left = parser.literal_bytes();
    const bool wanted = left <= literal_limit(parser);
    if (!wanted && left > (logged_in() ? kSkippedBytes : kSkippedBeforeLogin)) {
      watch_.note_protocol_error();
      say_bye("QUOTA/MAXSIZE", "a literal of " + std::to_string(left) + " bytes is far too large", "literal");
      co_return false;
    }
    std::string literal;
    // It may hold a password, which no growing is to leave behind.
    if (wanted && left <= kSaslLiteralBytes) literal.reserve(static_cast<std::size_t>(left));
    while (left > 0) {
      const auto piece = co_await input_.read_some();
      if (!piece) {
        end_with(piece.error());
        co_return false;
      }
      if (piece->empty()) {
        end_reason_ = "closed";
        over_ = true;
        co_return false;
      }
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left, piece->size()));
      // Memory grows with what came, not with what was announced.
      if (wanted) literal.append(piece->substr(0, count));
      input_.consume(count);
      left -= count;
    }
    if (wanted) parser.take(std::move(literal));
    else parser.leave_out();
    co_return true;
  }

  struct Row {
    std::string_view name;
    // Which arguments: 's' a string, 'n' a number.
    std::string_view arguments;
    std::size_t least;
    bool before, after;  // login
    net::Awaitable<void> (Session::*run)(Command command);
  };
  static const std::array<Row, 14> kCommands;

  net::Awaitable<void> obey(Command command) {
    const auto row = std::find_if(kCommands.begin(), kCommands.end(), [&](const Row& known) { return known.name == command.name; });
    if (row == kCommands.end()) {
      watch_.note_protocol_error();
      co_return bad("there is no such command");
    }
    if (++commands_ > configuration_->managesieve.commands) co_return say_bye("TRYLATER", "too many commands in one session", "too many commands");
    if (!logged_in() && ++commands_before_login_ > kCommandsBeforeLogin) co_return say_bye("", "log in", "too many commands");
    if (!(logged_in() ? row->after : row->before)) co_return bad(logged_in() ? "not after login" : "log in first");
    if (command.left_out()) {
      if (count_error()) no("QUOTA/MAXSIZE", "an argument is too large" + (logged_in() ? ": a script has at most " + std::to_string(script_bytes()) + " bytes" : std::string()));
      co_return;
    }
    bool fits = command.arguments.size() >= row->least && command.arguments.size() <= row->arguments.size();
    for (std::size_t i = 0; fits && i < command.arguments.size(); ++i)
      fits = command.arguments[i].kind == (row->arguments[i] == 'n' ? Argument::Kind::number : Argument::Kind::string);
    if (!fits) co_return bad(std::string(row->name) + (row->arguments.empty() ? " takes no argument" : row->arguments == "sn" ? " takes a name and a number" : row->arguments == "ss" ? " takes two strings" : " takes a string"));
    if (logged_in() && row->name != "LOGOUT") {
      // Another password, no account any more, no such service. Not known now: it stays.
      const auto over = co_await services_.directory().login_is_over(login_, "sieve");
      if (over && *over) co_return say_bye("TRYLATER", "log in again", "login over");
    }
    co_await (this->*row->run)(std::move(command));
  }

  void forget_login() {
    if (!handle_.empty()) services_.directory().end_login(handle_);
    handle_.clear();
    account_.clear();
    login_ = nullptr;
  }

  // Answers (RFC 5804 section 1.3): OK, NO and BYE with a code or none.
  void answer(std::string_view word, std::string_view code, std::string_view text) {
    out_ += word;
    if (!code.empty()) (out_ += " (") += std::string(code) + ")";
    if (!text.empty()) {
      out_ += ' ';
      add_string(text, out_);
    }
    out_ += "\r\n";
  }
  void ok(std::string_view text, std::string_view code = {}) { answer("OK", code, text); }
  void no(std::string_view code, std::string_view text) { answer("NO", code, text); }
  void say_bye(std::string_view code, std::string_view text, std::string_view reason) {
    answer("BYE", code, text);
    end_reason_ = reason;
    over_ = true;
  }
  // For what no honest client sends often.
  void bad(std::string_view text) {
    if (count_error()) no("", text);
  }
  // False: that was one too many, and said so.
  bool count_error() {
    if (++errors_ < configuration_->managesieve.errors) return true;
    say_bye("", "too many bad commands", "too many errors");
    return false;
  }

  net::Awaitable<Result<void>> flush() {
    if (out_.empty()) co_return Result<void>();
    stream_.set_time_limit(std::min(idle_time_, kWriteTime));
    auto written = co_await stream_.write(out_);
    // An idle session holds no buffer.
    out_ = std::string();
    co_return written;
  }

  void set_read_limit() {
    std::chrono::milliseconds limit = idle_time_;
    if (!logged_in()) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(login_until_ - std::chrono::steady_clock::now());
      limit = std::clamp(left, std::chrono::milliseconds(0), limit);
    }
    stream_.set_time_limit(limit);
  }
  void begin_login_time() {
    login_until_ = std::chrono::steady_clock::now() + (info_.restricted ? std::min(info_.login_time, idle_time_) : info_.login_time);
    commands_before_login_ = 0;
  }

  void end_with(const Error& why) {
    over_ = true;
    end_reason_ = stream_.expired() ? "time limit" : why.kind == Kind::permanent ? "closed" : "aborted";
  }
  void shut_down() { say_bye("TRYLATER", "the server is shutting down", "shutdown"); }

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

  [[nodiscard]] bool logged_in() const { return !handle_.empty(); }
  [[nodiscard]] std::uint64_t script_bytes() const { return configuration_->directory.script_bytes; }
  [[nodiscard]] bool may_start_tls() const { return !logged_in() && stream_.tls() == nullptr && !info_.tls_outside && watch_.can_start_tls(); }

  // RFC 5804 section 1.7.
  void add_capability(std::string_view name, std::string_view value) {
    add_string(name, out_);
    out_ += ' ';
    add_string(value, out_);
    out_ += "\r\n";
  }
  void add_capabilities() {
    add_capability("IMPLEMENTATION", "Postern");
    add_capability("SASL", mechanisms());
    add_capability("SIEVE", sieve_capability(services_.abilities()));
    if (const std::string methods = notify_capability(services_.abilities()); !methods.empty()) add_capability("NOTIFY", methods);
    if (const std::string schemes = lists_capability(services_.abilities(), configuration_->filters); !schemes.empty()) add_capability("EXTLISTS", schemes);
    add_capability("MAXREDIRECTS", std::to_string(services_.redirects()));
    if (may_start_tls()) out_ += "\"STARTTLS\"\r\n";
    out_ += "\"UNAUTHENTICATE\"\r\n\"RENAME\"\r\n";
    add_capability("LANGUAGE", "en");
    if (logged_in()) add_capability("OWNER", account_);
    add_capability("VERSION", "1.0");
  }

  net::Awaitable<void> capability(Command) {
    add_capabilities();
    ok("");
    co_return;
  }

  net::Awaitable<void> logout(Command) {
    over_ = true;
    end_reason_ = "logout";
    stream_.expect_end();
    ok("goodbye");
    co_return;
  }

  // RFC 5804 section 2.13: with a tag, so that a client finds the place in what comes.
  net::Awaitable<void> noop(Command command) {
    if (command.arguments.empty()) co_return ok("done");
    out_ += "OK (TAG ";
    add_string(command.arguments.front().text, out_);
    out_ += ") \"done\"\r\n";
  }

  // RFC 5804 section 2.2.
  net::Awaitable<void> starttls(Command) {
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
    add_capabilities();
    ok("TLS is in force");
  }

  net::Awaitable<void> unauthenticate(Command) {
    log_end("unauthenticate");
    forget_login();
    stored_ = removed_ = 0;
    begin_ = std::chrono::steady_clock::now();
    begin_login_time();
    watch_.describe("");
    ok("logged out");
    co_return;
  }

  // What the directory said to a change, or to a question about scripts. True: it was done, and the answer is still to be given.
  bool done(const Result<ScriptOutcome>& outcome) {
    if (!outcome) {
      base::log_event(Severity::error, "managesieve-directory", {{"account", account_}, {"error", outcome.error().what}, {"session", info_.id}});
      no("TRYLATER", "the scripts can't be reached now, try again later");
      return false;
    }
    switch (*outcome) {
      case ScriptOutcome::done: return true;
      case ScriptOutcome::not_found: no("NONEXISTENT", "there is no script of this name"); break;
      case ScriptOutcome::exists: no("ALREADYEXISTS", "there is a script of this name already"); break;
      case ScriptOutcome::active: no("ACTIVE", "the active script can't be deleted"); break;
      case ScriptOutcome::too_many: no("QUOTA/MAXSCRIPTS", "there are " + std::to_string(configuration_->directory.scripts) + " scripts, and no more are allowed"); break;
      case ScriptOutcome::too_large: no("QUOTA/MAXSIZE", "a script has at most " + std::to_string(script_bytes()) + " bytes"); break;
      case ScriptOutcome::bad_name: bad("a script's name has 1 to 128 characters, none of them a control character or a slash"); break;
      case ScriptOutcome::not_text: bad("the script is not UTF-8 text"); break;
      case ScriptOutcome::too_often: no("TRYLATER", "too many changes in this hour, try again later"); break;
      case ScriptOutcome::denied: no("", "scripts of this account are kept elsewhere: one only, called " + std::string(directory::kMainScript) + ", if any may be changed here"); break;
      case ScriptOutcome::logged_out: say_bye("TRYLATER", "log in again", "logged out"); break;
    }
    return false;
  }

  // RFC 5804 section 2.5.
  net::Awaitable<void> havespace(Command command) {
    const auto bytes = base::number_from<std::uint32_t>(command.arguments[1].text);
    if (!bytes) co_return bad("expected a number up to 4294967295");
    const auto outcome = co_await services_.directory().have_space(handle_, command.arguments[0].text, *bytes);
    if (done(outcome)) ok("");
  }

  // Checks a script, which is to be called `name` if that is known. Nothing: the answer was given. Otherwise the script can be run.
  net::Awaitable<std::optional<ScriptReport>> checked(std::string source, std::string name) {
    if (source.size() > script_bytes()) {
      done(ScriptOutcome::too_large);
      co_return std::nullopt;
    }
    OwnScripts own;
    // It may include itself through others.
    if (!name.empty()) own.emplace(std::move(name), source);
    std::size_t included_bytes = 0;
    for (;;) {
      auto report = co_await services_.check(source, own);
      if (!report) {
        base::log_event(Severity::warning, "managesieve-check", {{"account", account_}, {"error", report.error().what}, {"session", info_.id}});
        no("TRYLATER", "the script can't be checked now, try again later");
        co_return std::nullopt;
      }
      // Their number before they are fetched: each costs a question.
      if (own.size() + report->wanted.size() > kIncludedScripts) {
        bad("it includes too many scripts");
        co_return std::nullopt;
      }
      // What it includes is fetched, and may include more.
      for (std::string& included : report->wanted) {
        auto script = co_await services_.directory().script(handle_, included);
        const auto outcome = script ? Result<ScriptOutcome>(script->outcome) : Result<ScriptOutcome>(script.error());
        const bool absent = outcome && (*outcome == ScriptOutcome::not_found || *outcome == ScriptOutcome::bad_name);
        if (!absent && !done(outcome)) co_return std::nullopt;
        included_bytes += absent ? 0 : script->text.size();
        if (included_bytes > kIncludedBytes) {
          bad("it includes too many scripts");
          co_return std::nullopt;
        }
        own.emplace(std::move(included), absent ? std::nullopt : std::optional(std::move(script->text)));
      }
      if (!report->wanted.empty()) continue;
      if (!report->correct) {
        no("", report->text);
        co_return std::nullopt;
      }
      co_return std::move(*report);
    }
  }
  void ok_with_warnings(const ScriptReport& report, std::string_view text) {
    if (report.text.empty()) ok(text);
    else ok(report.text, "WARNINGS");
  }

  // RFC 5804 section 2.6. What can't be stored is not checked: that would be work for nothing.
  net::Awaitable<void> putscript(Command command) {
    std::string name = std::move(command.arguments[0].text), source = std::move(command.arguments[1].text);
    const auto space = co_await services_.directory().have_space(handle_, name, source.size());
    if (!done(space)) co_return;
    const auto report = co_await checked(source, name);
    if (!report) co_return;
    const auto outcome = co_await services_.directory().put_script(handle_, std::move(name), std::move(source));
    if (!done(outcome)) co_return;
    ++stored_;
    ok_with_warnings(*report, "stored");
  }

  // RFC 5804 section 2.12.
  net::Awaitable<void> checkscript(Command command) {
    const auto report = co_await checked(std::move(command.arguments[0].text), std::string());
    if (report) ok_with_warnings(*report, "the script is correct");
  }

  net::Awaitable<void> listscripts(Command) {
    const auto list = co_await services_.directory().scripts(handle_);
    const auto outcome = list ? Result<ScriptOutcome>(list->outcome) : Result<ScriptOutcome>(list.error());
    if (!done(outcome)) co_return;
    for (const directory::ScriptEntry& script : list->scripts) {
      add_string(script.name, out_);
      out_ += script.active ? " ACTIVE\r\n" : "\r\n";
    }
    ok("");
  }

  // RFC 5804 section 2.8: an empty name means none.
  net::Awaitable<void> setactive(Command command) {
    const bool none = command.arguments[0].text.empty();
    const auto outcome = co_await services_.directory().activate_script(handle_, std::move(command.arguments[0].text));
    if (!done(outcome)) co_return;
    ok(none ? "no script is active" : "the script is active");
  }

  net::Awaitable<void> getscript(Command command) {
    const auto script = co_await services_.directory().script(handle_, std::move(command.arguments[0].text));
    const auto outcome = script ? Result<ScriptOutcome>(script->outcome) : Result<ScriptOutcome>(script.error());
    if (!done(outcome)) co_return;
    // Always a literal: so clients expect it.
    out_ += "{" + std::to_string(script->text.size()) + "}\r\n" + script->text + "\r\n";
    ok("");
  }

  net::Awaitable<void> deletescript(Command command) {
    const auto outcome = co_await services_.directory().remove_script(handle_, std::move(command.arguments[0].text));
    if (!done(outcome)) co_return;
    ++removed_;
    ok("deleted");
  }

  net::Awaitable<void> renamescript(Command command) {
    const auto outcome = co_await services_.directory().rename_script(handle_, std::move(command.arguments[0].text), std::move(command.arguments[1].text));
    if (!done(outcome)) co_return;
    ok("renamed");
  }

  // AUTHENTICATE.
  [[nodiscard]] bool secure() const { return stream_.tls() != nullptr || (info_.tls_outside && !info_.clear_text_outside); }
  [[nodiscard]] directory::SaslFacts sasl_facts() const {
    // listeners.md T-9.
    const bool password_allowed = secure() || !configuration_->secure_login.required || configuration_->secure_login.except_from.contains(info_.remote.address);
    return directory::sasl_facts(stream_.tls(), password_allowed);
  }
  // Nobody logs in to a restricted session (access-control.md 2.2, $W).
  [[nodiscard]] std::vector<std::string_view> offered() const {
    if (info_.restricted) return {};
    return directory::sasl_mechanisms(sasl_facts(), configuration_->sasl);
  }
  [[nodiscard]] std::string mechanisms() const {
    std::string names;
    for (const std::string_view name : offered()) (names += names.empty() ? "" : " ") += name;
    return names;
  }

  // RFC 5804 section 2.1.
  net::Awaitable<void> authenticate(Command command) {
    const std::string mechanism = base::upper(command.arguments[0].text);
    if (info_.restricted) co_return bad("login is not allowed from your network address");
    const auto available = offered();
    if (std::find(available.begin(), available.end(), mechanism) == available.end()) {
      for (Argument& argument : command.arguments) directory::wipe(argument.text);
      const bool wants_tls = !sasl_facts().password_allowed && (mechanism == "PLAIN" || mechanism == "LOGIN");
      if (count_error()) no(wants_tls ? "ENCRYPT-NEEDED" : "", wants_tls ? "passwords are not accepted from your network address without TLS" : "there is no such mechanism here");
      co_return;
    }
    directory::SaslRequest request;
    request.mechanism = mechanism;
    request.service = "sieve";
    request.client = info_.remote.address;
    request.facts = sasl_facts();
    request.wants_handle = true;
    const std::unique_ptr<directory::SaslExchange> exchange = services_.directory().begin_sasl(std::move(request));
    std::optional<std::string> response;
    if (command.arguments.size() == 2) {
      response = from_base64(command.arguments[1].text);
      directory::wipe(command.arguments[1].text);
      if (!response) co_return bad("expected base64");
    }
    for (;;) {
      directory::SaslStep step = co_await exchange->step(std::move(response));
      if (response) directory::wipe(*response);
      std::string last_words;
      if (step.kind == directory::SaslStep::Kind::challenge && mechanism.starts_with("SCRAM-") && step.data.starts_with("v=")) {
        // RFC 5804 section 1.3: what a mechanism says at last goes along with OK. The client's empty answer to it is not waited for.
        last_words = std::move(step.data);
        step = co_await exchange->step(std::string());
      }
      switch (step.kind) {
        case directory::SaslStep::Kind::challenge: break;
        case directory::SaslStep::Kind::malformed: co_return bad("this is not " + mechanism);
        default: co_return co_await log_in(std::move(step), mechanism, std::move(last_words));
      }
      add_string(base::to_base64(step.data), out_);
      out_ += "\r\n";
      if (const auto flushed = co_await flush(); !flushed) co_return end_with(flushed.error());
      Command answer;
      const Read read = co_await read_command(CommandParser::Form::string, answer);
      if (read != Read::command) co_return;
      if (answer.left_out()) co_return bad("too long");
      if (answer.arguments[0].text == "*") co_return bad("cancelled");
      response = from_base64(answer.arguments[0].text);
      directory::wipe(answer.arguments[0].text);
      if (!response) co_return bad("expected base64");
    }
  }

  // Who may log in, and the answer.
  net::Awaitable<void> log_in(directory::SaslStep step, std::string mechanism, std::string last_words) {
    policy::LoginFacts login = policy::login_facts(info_.id, "sieve", info_.remote.address, stream_.tls(), secure());
    login.mechanism = mechanism;
    const policy::AskLoginAccess ask = [this](policy::LoginFacts facts) { return services_.login_access(std::move(facts)); };
    const policy::LoginOutcome outcome = co_await policy::judge_login(std::move(login), std::move(step), ask, watch_);
    co_await pause(outcome.delay);
    if (over_) co_return;
    if (outcome.kind == policy::LoginOutcome::Kind::temporary) co_return no("TRYLATER", "the account can't be checked now, try again later");
    if (outcome.kind == policy::LoginOutcome::Kind::refused) {
      co_await refuse_login();
      co_return;
    }
    // Who it is is known, so it may be said. RFC 5804 section 1.3: REFERRAL.
    if (directory::is_elsewhere(*outcome.account, base::lower(configuration_->host_name))) {
      base::log_event(Severity::notice, "login-elsewhere", {{"service", "sieve"}, {"account", outcome.account->name}, {"host", outcome.account->mail_host}, {"session", info_.id}});
      services_.directory().end_login(outcome.handle);
      co_return say_bye("REFERRAL \"sieve://" + outcome.account->mail_host + "\"", "your filters are on " + outcome.account->mail_host + ": connect to that host", "mailbox elsewhere");
    }
    account_ = outcome.account->name;
    login_ = outcome.account;
    handle_ = outcome.handle;
    watch_.describe(account_);
    if (last_words.empty()) co_return ok("welcome");
    out_ += "OK (SASL ";
    add_string(base::to_base64(last_words), out_);
    out_ += ") \"welcome\"\r\n";
  }

  net::Awaitable<void> refuse_login() {
    co_await pause(configuration_->managesieve.failure_delay);
    if (over_) co_return;
    no("", "name or password is wrong");
    if (++login_failures_ >= configuration_->managesieve.login_failures) say_bye("", "too many failed logins", "login failures");
  }

  void log_end(std::string_view reason) {
    if (account_.empty()) return;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - begin_).count();
    base::log_event(Severity::info, "managesieve-session",
                    {{"account", account_}, {"client", info_.remote.address.to_string()}, {"reason", reason}, {"stored", stored_},
                     {"removed", removed_}, {"seconds", seconds}, {"session", info_.id}});
  }

  net::Stream& stream_;
  net::Input input_;
  Services& services_;
  net::SessionWatch& watch_;
  const SessionInfo info_;
  const std::shared_ptr<const conf::Configuration> configuration_;
  std::chrono::seconds idle_time_{};
  std::chrono::steady_clock::time_point begin_, login_until_;

  bool over_ = false;
  std::string end_reason_ = "closed";
  std::string line_, out_;
  unsigned errors_ = 0, login_failures_ = 0, commands_ = 0, commands_before_login_ = 0;

  std::string account_, handle_;
  std::shared_ptr<const directory::Account> login_;  // the account as it was then
  std::uint64_t stored_ = 0, removed_ = 0;
};

const std::array<Session::Row, 14> Session::kCommands = {{
    {"AUTHENTICATE", "ss", 1, true, false, &Session::authenticate},
    {"CAPABILITY", "", 0, true, true, &Session::capability},
    {"CHECKSCRIPT", "s", 1, false, true, &Session::checkscript},
    {"DELETESCRIPT", "s", 1, false, true, &Session::deletescript},
    {"GETSCRIPT", "s", 1, false, true, &Session::getscript},
    {"HAVESPACE", "sn", 2, false, true, &Session::havespace},
    {"LISTSCRIPTS", "", 0, false, true, &Session::listscripts},
    {"LOGOUT", "", 0, true, true, &Session::logout},
    {"NOOP", "s", 0, true, true, &Session::noop},
    {"PUTSCRIPT", "ss", 2, false, true, &Session::putscript},
    {"RENAMESCRIPT", "ss", 2, false, true, &Session::renamescript},
    {"SETACTIVE", "s", 1, false, true, &Session::setactive},
    {"STARTTLS", "", 0, true, true, &Session::starttls},
    {"UNAUTHENTICATE", "", 0, false, true, &Session::unauthenticate},
}};

}  // namespace

net::Awaitable<void> run_session(net::Stream& stream, Services& services, SessionInfo info, net::SessionWatch& watch) {
  Session session(stream, services, std::move(info), watch);
  co_await session.run();
}

}  // namespace postern::managesieve
