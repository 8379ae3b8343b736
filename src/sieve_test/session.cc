// SPDX-License-Identifier: Apache-2.0
#include "sieve_test/session.h"

#include "base/text.h"
#include "mail/address.h"

#include <algorithm>

namespace postern::sieve_test {

using namespace postern::sieve;

namespace {

constexpr std::string_view kFirstMessage = "From: sender@example.com\r\nTo: recipient@example.org\r\nSubject: Frop!\r\n\r\nFriep!\r\n";
constexpr std::size_t kLargestScript = 64 * 1024 * 1024;

// Beyond the grammar, as test files want it: dots at any place of the local part; any letters, digits, '-' and '_' in a host name.
bool is_sloppy_address(std::string_view local_part, std::string_view domain) {
  constexpr std::string_view kAtom = "!#$%&'*+-/=?^_`{|}~.";
  const auto in_local_part = [&](char c) { return base::is_alpha(c) || base::is_digit(c) || static_cast<unsigned char>(c) >= 0x80 || kAtom.find(c) != std::string_view::npos; };
  const auto in_domain = [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-' || c == '_' || c == '.'; };
  return !local_part.empty() && !domain.empty() && std::all_of(local_part.begin(), local_part.end(), in_local_part) &&
         std::all_of(domain.begin(), domain.end(), in_domain);
}

// An SMTP path with or without its brackets; source routes are dropped. Nothing if it is none; empty for the null path.
std::optional<std::string> path_from(std::string_view text, bool null_allowed, bool bare_allowed) {
  text = base::trim(text);
  if (text.starts_with('<') != text.ends_with('>')) return std::nullopt;
  if (text.starts_with('<')) text = text.substr(1, text.size() - 2);
  if (text.empty()) return null_allowed ? std::optional<std::string>("") : std::nullopt;
  if (text.starts_with('@')) {
    const auto parsed = mail::parse_forward_path("<" + std::string(text) + ">");
    if (!parsed || !parsed->rest.empty()) return std::nullopt;
    return parsed->path.to_string();
  }
  if (const auto mailbox = mail::parse_mailbox(text)) return mailbox->to_string();
  const auto at = text.rfind('@');
  if (at == std::string_view::npos) return bare_allowed && is_sloppy_address(text, "x") ? std::optional<std::string>(text) : std::nullopt;
  if (!is_sloppy_address(text.substr(0, at), text.substr(at + 1))) return std::nullopt;
  return std::string(text.substr(0, at + 1)) + base::lower(text.substr(at + 1));
}

// The first address of the first of these fields that has one.
std::string first_address(const mail::MessageView& message, std::initializer_list<std::string_view> names, std::string_view otherwise) {
  for (const std::string_view name : names) {
    std::vector<std::size_t> fields;
    message.find(name, fields);
    for (const std::size_t field : fields)
      for (const auto& entry : message.addresses(field).addresses)
        if (entry.valid)
          if (const auto path = path_from(mail::quoted_local_part(entry.local_part) + "@" + entry.domain, false, false)) return *path;
  }
  return std::string(otherwise);
}

// A version of a message that does not point into the message any more.
std::shared_ptr<const MessageVersion> kept_apart(const std::shared_ptr<const MessageVersion>& version) {
  if (!version) return nullptr;
  auto made = std::make_shared<MessageVersion>(*version);
  made->own_body = std::make_shared<const std::string>(version->body);
  made->body = *made->own_body;
  made->separator = version->separator == "\n" ? "\n" : version->separator.empty() ? "" : "\r\n";
  return made;
}

}  // namespace

Session::Session(std::string folder, std::function<void(const std::string&)> complain)
    : folder_(std::move(folder)), complain_(std::move(complain)), message_(std::string(kFirstMessage)) {
  reload();
  derive_envelope();
}

void Session::reload() {
  settings.reload();
  delimiters_ = settings.text("recipient_delimiter");
  file_limits_ = settings.limits;
  // The file runs for as long as its caller lets it.
  file_limits_.steps = std::uint64_t{1} << 60;
  file_limits_.cpu_time = std::chrono::hours(24);
  file_limits_.memory_bytes = std::size_t{1} << 40;
  file_limits_.header_edits = std::size_t{1} << 30;
}

// ---- the file's tests

void Session::begin_test(std::string name) {
  tests_.push_back({std::move(name), std::nullopt});
  open_test_ = true;
}

void Session::end_test() { open_test_ = false; }

void Session::fail_test(std::string reason) { tests_.back().failure = std::move(reason); }

// ---- message and envelope

void Session::view_envelope() {
  envelope_.from = from_;
  envelope_.to = to_;
  envelope_.original_to = original_to_;
  envelope_.authenticated = authenticated_;
}

void Session::derive_envelope() {
  from_ = first_address(message_.header(), {"Return-Path", "Sender", "From"}, "sender@example.com");
  to_ = first_address(message_.header(), {"Envelope-To", "To"}, "recipient@example.com");
  original_to_ = to_;
  authenticated_.clear();
  envelope_ = {};
  view_envelope();
}

void Session::set_message(Run& run, const std::string& text, std::vector<std::string> flags) {
  Outcome& pending = run.outcome();
  for (Action& action : pending.actions) action.message = kept_apart(action.message);
  pending.keep_message = kept_apart(pending.keep_message);
  message_.reset(text);
  ++messages_set_;
  run.forget_message();
  flags_ = std::move(flags);
  derive_envelope();
}

void Session::set_envelope(std::string_view part, std::string_view value) {
  const bool sender = part == "from";
  if (part == "auth") {
    authenticated_ = std::string(value);
    return view_envelope();
  }
  const auto path = path_from(value, sender, part == "to");
  if (!path) complain_("test_set: \"" + base::printable(value, 80) + "\" is no envelope address");
  if (sender) {
    from_ = path.value_or("");
    envelope_.from_valid = path.has_value();
  } else {
    if (part == "to") {
      to_ = path.value_or("");
      envelope_.to_valid = path.has_value();
    }
    original_to_ = path.value_or("");
    envelope_.original_to_valid = path.has_value();
  }
  view_envelope();
}

bool Session::select_sent(Run& run, std::size_t number) {
  if (number >= store.outbox.size()) return false;
  const SentMessage sent = store.outbox[number];
  set_message(run, sent.text);
  from_ = sent.from;
  to_ = original_to_ = sent.to;
  view_envelope();
  return true;
}

bool Session::select_stored(Run& run, const std::string& mailbox, std::size_t number) {
  if (!store.exists(mailbox)) {
    set_message(run, std::string(kFirstMessage));
    return false;
  }
  const StoredMessage* found = store.message(mailbox, number);
  if (found == nullptr) return false;
  set_message(run, std::string(found->text), found->flags);
  return true;
}

// ---- scripts

CompileOptions Session::compile_options() const {
  CompileOptions options;
  options.limits = settings.compile_limits;
  options.run_limits = settings.limits;
  options.only = settings.capabilities;
  options.system_script = true;
  options.script = [this](ScriptPlace place, const std::string& name) { return included(place, name); };
  options.list_exists = [this](const std::string& name) { return dictionary_of(name).has_value(); };
  options.more_extensions = {&testsuite_extension()};
  options.constants["tst.path"] = folder_;
  return options;
}

std::optional<std::string> Session::included(ScriptPlace place, const std::string& name) const {
  const std::string folder = place == ScriptPlace::personal ? "included" : "included-global";
  if (const auto dictionary = settings.matching("sieve_script/" + folder + "/", "path")) {
    const auto entries = read_dictionary(*dictionary);
    const auto id = entries.find("priv/sieve/name/" + name);
    if (id == entries.end()) return std::nullopt;
    const auto data = entries.find("priv/sieve/data/" + id->second);
    return data != entries.end() ? std::optional(data->second) : std::nullopt;
  }
  // The engine lets no '/' through; what is left that could leave the folder has no ".sieve" behind it there.
  if (name.find('\0') != std::string::npos) return std::nullopt;
  const auto text = read_whole_file(folder_ + "/" + folder + "/" + name + ".sieve", kLargestScript);
  return text ? std::optional(*text) : std::nullopt;
}

std::shared_ptr<const Program> Session::compile_file(const std::string& path) {
  const auto text = read_whole_file(path.starts_with('/') ? path : folder_ + "/" + path, kLargestScript);
  if (!text) {
    errors.push_back(text.error().what);
    complain_(text.error().what);
    return nullptr;
  }
  const Compiled compiled = compile(*text, compile_options());
  for (const Mistake& mistake : compiled.mistakes)
    if (!mistake.warning) errors.push_back(mistake.text);
  // One more for each script that failed, as sieve-testsuite.md section 6 counts.
  for (const auto& failed : compiled.failed) {
    const std::string name = failed.script.empty() ? path : failed.script;
    errors.push_back(base::printable(name, 80) + (failed.stage == Compiled::Stage::parsing ? ": parse failed" : ": validation failed"));
  }
  return compiled.program;
}

bool Session::compile_script(const std::string& path) {
  errors.clear();
  const auto made = compile_file(path);
  if (made) script_ = made;
  return made != nullptr;
}

bool Session::save_script(const std::string& name) {
  if (!script_) return false;
  saved_[name] = script_;
  return true;
}

bool Session::load_script(const std::string& name) {
  const auto found = saved_.find(name);
  if (found == saved_.end()) return false;
  script_ = found->second;
  return true;
}

bool Session::run_script(Run& run, bool append) {
  errors.clear();
  if (!script_) {
    complain_("test_script_run: no script is compiled");
    return false;
  }
  if (depth_ > 0) {
    // A script that runs itself would never end.
    run.fail("test_script_run inside of a script that is run by it");
    return false;
  }
  if (!append) reset_result(run);
  const auto outcome = run_inside(*script_, run.outcome());
  const bool good = !outcome.error && !inner_failed_;
  run.forget_message();
  run.set_outcome(without_error(outcome));
  return good;
}

Outcome Session::run_inside(const Program& program, const Outcome& before) {
  const int messages_before = messages_set_;
  inner_failed_ = false;
  ++depth_;
  RunOptions options;
  options.continued = &before;
  Outcome outcome = sieve::run(program, message_, envelope_, *this, settings.limits, options);
  --depth_;
  if (outcome.error) {
    errors.push_back(outcome.error->text);
    outcome.flags = before.flags;
    // The run put the message back to what it was, which may be one that is gone.
    if (messages_set_ != messages_before) message_.reset(std::string(message_.original().text()));
  }
  return outcome;
}

Outcome Session::without_error(Outcome outcome) {
  outcome.error.reset();
  outcome.over_limit = false;
  return outcome;
}

void Session::reset_result(Run& run) {
  run.set_outcome({});
  done_.clear();
}

bool Session::run_chain(Run& run, const std::vector<std::string>& paths) {
  errors.clear();
  reset_result(run);
  bool good = true;
  Outcome last;
  std::optional<Action> postponed;
  for (const std::string& path : paths) {
    const auto program = compile_file(path);
    if (!program) return false;
    // Internal flags go on; actions and the implicit keep do not.
    Outcome before;
    before.flags = last.flags;
    last = run_inside(*program, before);
    run.forget_message();
    good = !last.error && !inner_failed_;
    if (!good) {
      last = without_error(last);
      break;
    }
    postponed.reset();
    for (const Action& action : last.actions)
      if (action.kind == Action::Kind::keep) postponed = action;
    if (last.implicit_keep) {
      postponed = Action{};
      postponed->flags = last.keep_flags;
      postponed->message = last.keep_message;
    }
    std::erase_if(last.actions, [](const Action& action) { return action.kind == Action::Kind::keep; });
    last.implicit_keep = false;
    good = carry_out(last);
    if (!good || !postponed) break;
  }
  if (good && postponed) {
    last.actions.push_back(*postponed);
    good = carry_out(last);
  }
  last.implicit_keep = false;
  run.set_outcome(std::move(last));
  return good;
}

// ---- sieve::Host

std::optional<std::string> Session::environment(std::string_view item) {
  if (item == "location") return "MS";
  if (item == "phase") return "post";
  if (item == "domain") return "example.com";
  if (item == "host") return "mail.example.com";
  return std::nullopt;
}

std::optional<std::string> Session::dictionary_of(const std::string& list) const {
  const std::string name = sieve::list_name(list);
  const std::string lists = settings.text("sieve_extlists_list");
  for (const std::string_view word : base::split(lists, ' ')) {
    const std::string prefix = "sieve_extlists_list/" + std::string(word) + "/";
    if (word.empty() || sieve::list_name(settings.text(prefix + "name")) != name) continue;
    return settings.matching(prefix + "dict", "path").value_or("");   // one without a dictionary is empty
  }
  return std::nullopt;
}

bool Session::list_exists(const std::string& list) { return dictionary_of(list).has_value(); }

namespace {

constexpr std::string_view kMember = "priv/sieve/extlists/";

}  // namespace

bool Session::list_contains(const std::string& list, const std::string& value) {
  const auto path = dictionary_of(list);
  return path && !path->empty() && read_dictionary(*path).count(std::string(kMember) + value) > 0;
}

std::vector<std::string> Session::list_members(const std::string& list, std::size_t most) {
  std::vector<std::string> members;
  const auto path = dictionary_of(list);
  if (!path || path->empty()) return members;
  for (const auto& [key, value] : read_dictionary(*path))
    if (key.starts_with(kMember) && members.size() < most) members.push_back(key.substr(kMember.size()));
  return members;
}

void Session::note(int line, int /*column*/, const std::string& text) { complain_("line " + std::to_string(line) + ": " + text); }

}  // namespace postern::sieve_test
