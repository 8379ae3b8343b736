// SPDX-License-Identifier: Apache-2.0
#include "conversion/converter.h"

#include "base/kill_point.h"
#include "base/log.h"
#include "base/text.h"

#include <algorithm>
#include <utility>

namespace postern::conversion {
namespace {

using base::Severity;
using net::Awaitable;

// In the directory of a part.
constexpr const char *kInput = "input", *kInputHeaders = "input.headers", *kMessageHeaders = "message.headers", *kOutput = "output", *kOutputHeaders = "output.headers",
                     *kOutputOptions = "output.options", *kWords = "words";

// Of each text of a message that patterns are compared with: a long one times many parts and entries would keep all other messages waiting.
constexpr std::size_t kMostMatchedBytes = 2000;

std::string first_word(std::string_view value) { return base::lower(base::trim(value.substr(0, value.find_first_of("; \t(")))); }

bool is_text(std::string_view type) { return type == "text" || type == "message"; }

// Programs read lines that end as files' lines do.
std::string without_carriage_returns(std::string text) {
  std::size_t to = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] != '\r' || i + 1 == text.size() || text[i + 1] != '\n') text[to++] = text[i];
  text.resize(to);
  return text;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ",") + text;
  return all;
}

// A word that may stand in a Content-Type field; what is not one is not taken.
bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && std::string_view("()<>@,;:\\\"/[]?=").find(c) == std::string_view::npos; });
}

}  // namespace

// A part whose turn comes.
struct Converter::Visit {
  const mail::Part* part = nullptr;
  const mail::Part* multipart = nullptr;  // that it stands in
  const mail::Part* message = nullptr;    // the innermost one around it
  std::string number;
  [[nodiscard]] bool begins_message() const { return part == message; }
};

// A message whose parts are looked at.
struct Converter::Work {
  const MessageFacts& facts;
  Changes changes;
  Outcome outcome{};
  std::size_t programs = 0, attachments = 0;
  const mail::Part* subject_of = nullptr;  // the message whose it is
  std::string subject{};
};

Result<void> Converter::set(std::vector<Entry> entries, Limits limits) {
  auto confinement = Confinement::make(limits.network);
  if (!confinement) return confinement.error();
  Isolation isolation = Isolation::find_out(place_, limits.writable, limits.network);
  rules_ = std::make_shared<const Rules>(Rules{std::move(entries), std::move(limits), std::move(*confinement), std::move(isolation)});
  return {};
}

Awaitable<std::optional<std::string>> Converter::expand(const Value& value, const Variables& variables) {
  switch (value.kind) {
    case Value::Kind::text: break;
    case Value::Kind::variable: co_return variables.find(value.text)->second;
    case Value::Kind::table: {
      std::string text = value.argument.expand(variables);
      auto answer = co_await ask_(value.text, std::move(text));
      co_return answer;
    }
  }
  co_return value.text;
}

Awaitable<bool> Converter::condition(const std::optional<Value>& value, const Variables& variables, std::string actual) {
  if (!value) co_return true;
  const auto pattern = co_await expand(*value, variables);
  co_return pattern && fits(*pattern, actual);
}

// Some parameter of the type, or of the disposition, has this name and this value.
Awaitable<bool> Converter::parameters_fit(const Entry& entry, const Visit& visit, const Variables& variables, std::optional<Parameters>& read) {
  if (entry.in_parameters.empty()) co_return true;
  if (!read) {
    read = mail::parameters(mail::field_value(visit.part->header, "Content-Type"));
    for (auto& parameter : mail::parameters(mail::field_value(visit.part->header, "Content-Disposition"))) read->push_back(std::move(parameter));
    for (auto& [name, value] : *read) value.resize(std::min(value.size(), kMostMatchedBytes));
  }
  const Parameters& known = *read;
  for (const auto& [number, wanted] : entry.in_parameters) {
    if (!wanted.name) co_return false;
    const auto name = co_await expand(*wanted.name, variables);
    std::optional<std::string> value = "*";
    if (wanted.value) value = co_await expand(*wanted.value, variables);
    if (!name || !value || std::none_of(known.begin(), known.end(), [&](const auto& one) { return fits(*name, one.first) && fits(*value, one.second); })) co_return false;
  }
  co_return true;
}

Awaitable<const Entry*> Converter::find_entry(const Rules& rules, Work& work, const Visit& visit, const Variables& variables) {
  const mail::Part& part = *visit.part;
  if (std::exchange(work.subject_of, visit.message) != visit.message)
    work.subject = mail::field_value(visit.message->header, "Subject").substr(0, kMostMatchedBytes);
  std::optional<Parameters> parameters;
  for (const Entry& entry : rules.entries) {
    const std::pair<const std::optional<Value>*, std::string> conditions[] = {
        {&entry.in_channel, work.facts.in_channel}, {&entry.out_channel, work.facts.out_channel}, {&entry.in_type, part.type}, {&entry.in_subtype, part.subtype},
        {&entry.in_disposition, variables.find("INPUT_DISPOSITION")->second}, {&entry.in_description, variables.find("INPUT_DESCRIPTION")->second},
        {&entry.in_subject, work.subject}, {&entry.part_number, visit.number}};
    bool good = true;
    for (const auto& [value, actual] : conditions) {
      if (!*value) continue;
      good = co_await condition(*value, variables, actual);
      if (!good) break;
    }
    if (good && entry.tag) {
      const auto pattern = co_await expand(*entry.tag, variables);
      good = pattern && std::any_of(work.facts.tags.begin(), work.facts.tags.end(), [&](const std::string& tag) { return fits(*pattern, tag); });
    }
    if (good) good = co_await parameters_fit(entry, visit, variables, parameters);
    if (good) co_return &entry;
  }
  co_return nullptr;
}

// What the entry itself says. An item whose table has no answer says nothing.
Awaitable<PartChange> Converter::wanted_change(const Entry& entry, const Variables& variables) {
  PartChange change;
  const std::pair<const std::optional<Value>*, std::optional<std::string>*> texts[] = {
      {&entry.out_type, &change.type}, {&entry.out_subtype, &change.subtype}, {&entry.out_disposition, &change.disposition}, {&entry.out_description, &change.description}};
  for (const auto& [value, target] : texts)
    if (*value) *target = co_await expand(**value, variables);
  for (auto* const word : {&change.type, &change.subtype})
    if (*word) {
      **word = base::lower(**word);
      if (!is_token(**word)) word->reset();
    }
  for (const auto& [number, parameter] : entry.out_parameters) {
    if (!parameter.name || !parameter.value) continue;
    auto name = co_await expand(*parameter.name, variables);
    auto value = co_await expand(*parameter.value, variables);
    if (name && value && is_token(*name)) change.parameters.emplace_back(base::lower(*name), std::move(*value));
  }
  for (const Value& copied : entry.parameter_copies) {
    auto pattern = co_await expand(copied, variables);
    if (pattern) change.copied.push_back(std::move(*pattern));
  }
  if (entry.out_encoding) {
    const auto encoding = co_await expand(*entry.out_encoding, variables);
    change.encoding = encoding.value_or(std::string());
  }
  if (entry.out_mode) {
    const auto mode = co_await expand(*entry.out_mode, variables);
    if (mode) change.lines = base::equal_ignoring_case(*mode, "text");
  }
  co_return change;
}

Awaitable<bool> Converter::run(const Rules& rules, const Entry& entry, const Visit& visit, Variables& variables, const std::string& body, PartChange& change, bool& removed,
                               bool& as_is, Work& work) {
  const auto again = [&](std::string why) {
    work.outcome = {Outcome::Kind::again, {}, "part " + visit.number + ": " + std::move(why)};
    return false;
  };
  if (++work.programs > kMostPrograms) {
    work.outcome = {Outcome::Kind::held, {}, "conversion: more than " + std::to_string(kMostPrograms) + " parts for programs"};
    co_return false;
  }
  auto made = WorkDirectory::make(place_);
  if (!made) co_return again(made.error().what);
  const WorkDirectory directory = std::move(*made);
  for (const auto& [name, file] : {std::pair{"INPUT_FILE", kInput}, {"INPUT_HEADERS", kInputHeaders}, {"MESSAGE_HEADERS", kMessageHeaders}, {"OUTPUT_FILE", kOutput},
                                   {"OUTPUT_HEADERS", kOutputHeaders}, {"OUTPUT_OPTIONS", kOutputOptions}})
    variables[name] = directory.path(file);
  const auto lines_of = [](std::string_view text) { return without_carriage_returns(std::string(text)); };
  Result<void> written = directory.write(kInput, is_text(visit.part->type) ? lines_of(body) : body);
  if (written) written = directory.write(kInputHeaders, lines_of(visit.part->header_text));
  if (written) written = directory.write(kMessageHeaders, lines_of(visit.message->header_text));
  if (!written) co_return again(written.error().what);

  std::vector<std::string> words, environment{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=" + directory.path("."), "TMPDIR=" + directory.path(".")};
  for (const Template& word : entry.command) words.push_back(word.expand(variables));
  for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
  const std::string program = words.front();
  POSTERN_KILL_POINT("conversion-before-program");
  const Ended ended = co_await run_program(std::move(words), std::move(environment), directory.descriptor(), kWords, rules.limits, rules.confinement, rules.isolation);
  POSTERN_KILL_POINT("conversion-after-program");
  const auto log = [&](Severity severity, const char* event, const std::string& result) {
    base::log_event(severity, event, {{"id", work.facts.id}, {"part", visit.number}, {"line", entry.line}, {"program", program}, {"result", result}, {"words", ended.words}});
  };
  switch (ended.how) {
    case Ended::How::not_started: co_return again("the program could not be started: " + ended.words);
    case Ended::How::too_late: co_return again(program + " took too long");
    case Ended::How::too_much: co_return again(program + " filled its directory");
    case Ended::How::too_much_elsewhere: co_return again(program + " filled a directory of conversion.writable");
    case Ended::How::signalled: co_return again(program + " was ended by signal " + std::to_string(ended.status));
    case Ended::How::exited: break;
  }
  as_is = true;
  if (ended.status != 0) {
    log(Severity::warning, "conversion-failed", "exit status " + std::to_string(ended.status));
    co_return true;
  }
  auto output = directory.read(kOutput, rules.limits.file_bytes);
  // Cut off where the limit is: there was more.
  const bool too_large = !output || (*output && (*output)->size() >= rules.limits.file_bytes);
  if (too_large) {
    log(Severity::warning, "conversion-failed", output ? "more output than conversion.output_bytes" : output.error().what);
    co_return true;
  }
  Options options;
  if (entry.override_option_file) {
    auto text = directory.read(kOutputOptions, kMaxOptionsBytes);
    if (!text) co_return again("OUTPUT_OPTIONS: " + text.error().what);
    if (*text) options = parse_options(**text);
  }
  if (entry.override_header_file) {
    auto text = directory.read(kOutputHeaders, kMaxOptionsBytes);
    if (!text) co_return again("OUTPUT_HEADERS: " + text.error().what);
    if (*text && !(*text)->empty()) change.header = std::move(**text);
  }
  log(Severity::info, "part-converted", options.status == Status::none ? (*output ? "replaced" : "kept") : options.status_text);
  switch (options.status) {
    case Status::none: break;
    case Status::force_as_is: co_return true;
    case Status::force_delete: removed = true; co_return true;
    case Status::force_return: work.outcome = {Outcome::Kind::returned, {}, options.diagnostic}; co_return false;
    case Status::force_post: work.outcome = {Outcome::Kind::to_postmaster, {}, options.diagnostic}; co_return false;
    case Status::force_hold: work.outcome = {Outcome::Kind::held, {}, "conversion, part " + visit.number + (options.diagnostic.empty() ? "" : ": " + options.diagnostic)}; co_return false;
    case Status::force_discard: work.outcome = {Outcome::Kind::discarded, {}, options.diagnostic}; co_return false;
    case Status::force_jettison: work.outcome = {Outcome::Kind::jettisoned, {}, options.diagnostic}; co_return false;
    case Status::unknown: co_return again(program + " gave an unknown STATUS: " + options.status_text);
  }
  as_is = false;
  if (*output) change.body = std::move(**output);
  for (auto& [name, value] : options.outputs) {
    if (name == "OUTPUT_TYPE" && is_token(value)) change.type = base::lower(value);
    else if (name == "OUTPUT_SUBTYPE" && is_token(value)) change.subtype = base::lower(value);
    else if (name == "OUTPUT_ENCODING") change.encoding = value;
    else if (name == "OUTPUT_DISPOSITION") change.disposition = value;
    else if (name == "OUTPUT_DESCRIPTION") change.description = value;
    else if (name == "OUTPUT_MODE") change.lines = base::equal_ignoring_case(value, "text");
  }
  co_return true;
}

Awaitable<bool> Converter::apply(const Rules& rules, const Entry& entry, const Visit& visit, Variables variables, std::string body, Work& work) {
  bool removed = entry.remove, as_is = false;
  PartChange change = co_await wanted_change(entry, variables);
  // What the part will be unless the program says otherwise.
  const mail::Part& part = *visit.part;
  variables["OUTPUT_TYPE"] = change.type.value_or(part.type);
  variables["OUTPUT_SUBTYPE"] = change.subtype.value_or(part.subtype);
  variables["OUTPUT_ENCODING"] = change.encoding;
  variables["OUTPUT_DISPOSITION"] = change.disposition.value_or(variables["INPUT_DISPOSITION"]);
  variables["OUTPUT_DESCRIPTION"] = change.description.value_or(variables["INPUT_DESCRIPTION"]);
  if (!entry.command.empty()) {
    const bool go_on = co_await run(rules, entry, visit, variables, body, change, removed, as_is, work);
    if (!go_on) co_return false;
  } else if (!change.encoding.empty() || change.lines) {
    change.body = std::move(body);
  }
  if (removed) work.changes.remove(part, visit.multipart, visit.begins_message());
  else if (!as_is && (change.body || change.header || change.type || change.subtype || change.disposition || change.description || !change.parameters.empty()))
    work.changes.change(part, visit.begins_message(), change);
  co_return true;
}

Awaitable<Outcome> Converter::convert(std::string_view message, MessageFacts facts) {
  const std::shared_ptr<const Rules> rules = rules_;
  const mail::Part top = mail::parse_structure(message);
  Work work{facts, Changes(message)};
  // The next one is the last: so the parts come in the order in which they stand.
  std::vector<Visit> visits{{&top, nullptr, &top, ""}};
  const auto enter = [&](const Visit& visit) {
    const auto& children = visit.part->children;
    const bool is_message = visit.part->type == "message";
    for (std::size_t i = children.size(); i-- > 0;)
      visits.push_back({&children[i], is_message ? nullptr : visit.part, is_message ? &children[i] : visit.message,
                        is_message ? visit.number : visit.number + (visit.number.empty() ? "" : ".") + std::to_string(i + 1)});
  };
  while (!visits.empty()) {
    Visit visit = std::move(visits.back());
    visits.pop_back();
    const mail::Part& part = *visit.part;
    if (part.type == "multipart" && !part.children.empty()) {
      enter(visit);
      continue;
    }
    // The one part of a message has a number of its own.
    if (visit.begins_message()) visit.number += visit.number.empty() ? "1" : ".1";
    std::string body = mail::decoded_bytes(part, std::string::npos);
    Variables variables;
    for (const std::string_view name : kVariables) variables.emplace(name, std::string());
    variables["INPUT_TYPE"] = variables["OUTPUT_TYPE"] = base::printable(part.type);
    variables["INPUT_SUBTYPE"] = variables["OUTPUT_SUBTYPE"] = base::printable(part.subtype);
    variables["INPUT_ENCODING"] = part.encoding.empty() ? "7bit" : base::printable(part.encoding);
    variables["INPUT_DISPOSITION"] = base::printable(first_word(mail::field_value(part.header, "Content-Disposition")));
    variables["INPUT_DESCRIPTION"] = base::printable(mail::field_value(part.header, "Content-Description"));
    variables["INPUT_CHANNEL"] = facts.in_channel;
    variables["OUTPUT_CHANNEL"] = facts.out_channel;
    variables["ATTACHMENT_NUMBER"] = std::to_string(++work.attachments);
    variables["PART_NUMBER"] = visit.number;
    variables["PART_SIZE"] = std::to_string(body.size());
    variables["CONVERSION_TAG"] = joined(facts.tags);
    const Entry* const entry = co_await find_entry(*rules, work, visit, variables);
    if (entry == nullptr) {
      enter(visit);
      continue;
    }
    const bool go_on = co_await apply(*rules, *entry, visit, std::move(variables), std::move(body), work);
    if (!go_on) co_return std::move(work.outcome);
  }
  if (work.changes.any()) {
    work.outcome.kind = Outcome::Kind::changed;
    work.outcome.text = work.changes.result();
  }
  co_return std::move(work.outcome);
}

}  // namespace postern::conversion
