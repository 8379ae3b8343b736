// SPDX-License-Identifier: Apache-2.0
// postern-sieve run: what a script would do with messages.
#include "mail/message.h"
#include "sieve/templates.h"
#include "tools/sieve_tool.h"

#include <algorithm>
#include <iostream>

namespace postern::tools {

namespace {

class ToolHost : public sieve::Host {
 public:
  ToolHost(const SieveOptions& options, std::string script) : options_(options), script_(std::move(script)) {}
  bool mailbox_exists(const std::string& name) override {
    return name == "INBOX" || std::find(options_.mailboxes.begin(), options_.mailboxes.end(), name) != options_.mailboxes.end();
  }
  std::string_view sub_address_delimiters() override { return options_.delimiters; }
  bool list_exists(const std::string& /*list*/) override { return true; }
  std::optional<sieve::Score> spam_score() override { return sieve::spam_score(*message, options_.scores); }
  std::optional<sieve::Score> virus_score() override { return sieve::virus_score(*message, options_.scores); }
  std::optional<std::string> environment(std::string_view item) override {
    const auto found = options_.environment.find(item);
    return found == options_.environment.end() ? std::nullopt : std::optional(found->second);
  }
  void note(int line, int column, const std::string& text) override { say(line, column, "remark: " + text); }
  bool wants_trace() override { return options_.trace; }
  void trace(int line, int column, const std::string& text) override { say(line, column, text); }
  const mail::MessageView* message = nullptr;  // that the script looks at

 private:
  void say(int line, int column, const std::string& text) { std::cerr << script_ << ':' << line << ':' << column << ": " << text << '\n'; }
  const SieveOptions& options_;
  std::string script_;
};

// The first address of the first of these fields.
std::string address_from(const mail::MessageView& message, std::initializer_list<std::string_view> names) {
  std::vector<std::size_t> fields;
  for (const auto name : names) {
    message.find(name, fields);
    for (const auto field : fields)
      for (const auto& entry : message.addresses(field).addresses)
        if (entry.valid)
          if (const auto mailbox = mail::parse_mailbox(mail::quoted_local_part(entry.local_part) + "@" + entry.domain)) return mailbox->to_string();
    // "Return-Path: <>" says that there is none.
    if (!fields.empty() && name == "Return-Path") return {};
  }
  return {};
}

boost::json::object to_json(const sieve::Action& action) {
  using Kind = sieve::Action::Kind;
  boost::json::object object{{"action", to_string(action.kind)}, {"line", action.line}, {"column", action.column}};
  put_rule(object, action.rule);
  if (!action.script.empty()) object["script"] = action.script;
  if (action.kind == Kind::fileinto) object["mailbox"] = action.target;
  if (action.kind == Kind::redirect || action.kind == Kind::capture) object["address"] = action.target;
  if (action.copy) object["copy"] = true;
  if (action.create) object["create"] = true;
  if (!action.special_use.empty()) object["special_use"] = action.special_use;
  if (!action.flags.empty()) object["flags"] = boost::json::value_from(action.flags);
  if (!action.reason.empty()) object["reason"] = action.reason;
  if (action.message) object["edited"] = true;
  if (action.vacation) {
    object["reason"] = action.vacation->reason;
    object["seconds"] = action.vacation->period.count();
    if (action.vacation->subject) object["subject"] = *action.vacation->subject;
    if (!action.vacation->from.empty()) object["from"] = action.vacation->from;
  }
  if (action.notification) {
    object["method"] = action.notification->method;
    object["importance"] = action.notification->importance;
    if (!action.notification->message.empty()) object["message"] = action.notification->message;
  }
  return object;
}

boost::json::object to_json(const sieve::Outcome& outcome) {
  boost::json::array actions;
  for (const auto& action : outcome.actions) actions.push_back(to_json(action));
  boost::json::object object{{"actions", std::move(actions)}, {"implicit_keep", outcome.implicit_keep}, {"explicit", outcome.decided_explicitly},
                             {"steps", outcome.steps_used}, {"cpu_microseconds", outcome.cpu_used.count()}};
  if (!outcome.keep_flags.empty()) object["keep_flags"] = boost::json::value_from(outcome.keep_flags);
  if (outcome.keep_message) object["keep_edited"] = true;
  if (outcome.error) {
    boost::json::object error{{"line", outcome.error->line}, {"column", outcome.error->column}, {"text", outcome.error->text}};
    put_rule(error, outcome.error->rule);
    object["error"] = std::move(error);
  }
  return object;
}

}  // namespace

int sieve_run(const SieveOptions& options) {
  if (options.files.size() < 2) wrong_usage("run needs a script and at least one message");
  const std::string& name = options.files.front();
  auto source = read_input(name);
  if (!source) return kUsage;
  *source = sieve::joined_rules(*source);
  const sieve::Compiled compiled = sieve::compile(*source, compile_options(options, name));
  if (!compiled.program) {
    if (options.json) std::cout << boost::json::serialize(boost::json::object{{"script", name}, {"valid", false}, {"mistakes", to_json(compiled.mistakes)}}) << '\n';
    else print_mistakes(name, *source, compiled.mistakes);
    return kBad;
  }
  if (!options.json) print_mistakes(name, *source, compiled.mistakes);
  int status = kGood;
  ToolHost host(options, name);
  boost::json::array results;
  for (std::size_t i = 1; i < options.files.size(); ++i) {
    const auto text = read_input(options.files[i]);
    if (!text) return kUsage;
    const mail::MessageView message(*text);
    host.message = &message;
    const std::string from = options.from ? envelope_address(*options.from, true) : address_from(message, {"Return-Path", "From"});
    const std::string to = options.to ? envelope_address(*options.to, false) : address_from(message, {"Delivered-To", "To"});
    const sieve::EnvelopeView envelope{from, to, to, options.authenticated};
    const sieve::Outcome outcome = sieve::run(*compiled.program, message, envelope, host, options.limits);
    if (outcome.error) status = kBad;
    if (options.json) {
      boost::json::object object = to_json(outcome);
      object["message"] = options.files[i];
      results.push_back(std::move(object));
      continue;
    }
    std::cout << options.files[i] << ":\n";
    if (outcome.error) {
      std::cout << "  keep (implicit: the script failed)\n";
      std::cout.flush();
      const bool included = !outcome.error->script.empty();
      std::cerr << sieve::place_in_file(included ? "included script " + outcome.error->script : name, outcome.error->rule, outcome.error->line, outcome.error->column) << ": run-time error: " << outcome.error->text << '\n';
      if (!included) print_place(*source, outcome.error->line, outcome.error->column);
      continue;
    }
    for (const auto& action : outcome.actions) std::cout << "  " << to_string(action) << "  (" << shown_place(action) << ")\n";
    if (outcome.implicit_keep) {
      sieve::Action keep;
      keep.implicit = true;
      keep.flags = outcome.keep_flags;
      std::cout << "  " << to_string(keep) << '\n';
    }
  }
  if (options.json) std::cout << boost::json::serialize(results) << '\n';
  return status;
}

}  // namespace postern::tools
