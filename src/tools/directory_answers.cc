// SPDX-License-Identifier: Apache-2.0
#include "tools/directory_answers.h"

#include "base/clock.h"
#include "base/text.h"
#include "delivery/filter_settings.h"
#include "sieve/compile.h"
#include "sieve/templates.h"

#include <boost/json/serialize.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>

namespace postern::tools {

using boost::json::array;
using boost::json::object;

namespace {

constexpr struct {
  std::string_view name;
  unsigned shift;
} kUnits[] = {{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}};

void make_readable(object& record) {
  for (const char* time : {"created", "changed"}) {
    if (!record.contains(time)) continue;
    const auto at = directory::number_in(record, time).value_or(0);
    if (at == 0) record.erase(time);
    else record[time] = base::iso8601(base::from_microseconds(static_cast<std::int64_t>(at)));
  }
}

}  // namespace

int could_not(const Context& context, const std::string& text) {
  print_error(context, text);
  return kFailed;
}

int wrong_usage(const Context& context, const std::string& text, const char* details) {
  print_error(context, text);
  std::cerr << "usage:\n" << details;
  return kUsage;
}

void print_answer(object answer) {
  answer.erase("id");
  for (const char* kind : {"domain", "account", "alias"})
    if (auto* record = answer.if_contains(kind); record != nullptr && record->is_object()) make_readable(record->get_object());
  std::cout << boost::json::serialize(answer) << "\n";
}

void print_answer(array list) {
  for (auto& entry : list) make_readable(entry.get_object());
  std::cout << boost::json::serialize(list) << "\n";
}

std::string created(const object& record) {
  const auto at = directory::number_in(record, "created").value_or(0);
  return at == 0 ? "-" : base::iso8601(base::from_microseconds(static_cast<std::int64_t>(at)));
}

std::string text_or_dash(const object& record, std::string_view member) {
  const auto text = directory::text_in(record, member).value_or("");
  return text.empty() ? "-" : text;
}

std::string joined(const object& record, std::string_view member) {
  std::string text;
  for (const std::string& entry : directory::texts_in(record, member).value_or(std::vector<std::string>())) text += (text.empty() ? "" : ", ") + entry;
  return text.empty() ? "-" : text;
}

const object* record_in(const object& answer, const char* kind) {
  const auto* record = answer.if_contains(kind);
  return record != nullptr && record->is_object() ? &record->get_object() : nullptr;
}

std::string value_in(const object& answer, const char* kind, const char* name) {
  const object* const record = record_in(answer, kind);
  return record != nullptr ? directory::text_in(*record, name).value_or("") : std::string();
}

std::string kept_elsewhere(DirectoryAccess& directory, const std::string& name) {
  const auto answer = directory.ask({{"ask", "domain"}, {"name", name.substr(name.rfind('@') + 1)}});
  return answer ? directory::text_in(*answer, "elsewhere").value_or("") : std::string();
}

Error explained(DirectoryAccess& directory, const std::string& name, const Error& error) {
  if (error.kind != Kind::not_found) return error;
  const std::string reason = kept_elsewhere(directory, name);
  if (reason.empty()) return error;
  // A domain may be in both: here are its filter, its attributes and its keys.
  if (name.find('@') == std::string::npos) return Error{Kind::not_found, error.what + " in the account database (posternctl domain add); " + reason};
  return Error{Kind::denied, name + ": " + reason};
}

std::string there_is_no(DirectoryAccess& directory, const std::string& kind, const std::string& name) {
  const std::string domain = name.substr(name.rfind('@') + 1);
  const auto answer = directory.ask({{"ask", "domain"}, {"name", domain}});
  if (answer && record_in(*answer, "domain") == nullptr) return "there is no domain " + domain;
  return "there is no " + kind + " " + name;
}

Result<array> list_of_domain(const Context& context, object request, const char* member) {
  DirectoryAccess directory(context);
  const std::string domain = directory::text_in(request, "domain").value_or("");
  auto list = whole_list(directory, std::move(request), member);
  if (domain.empty() || (!list && list.error().kind != Kind::not_found)) return list;
  const std::string reason = kept_elsewhere(directory, domain);
  if (reason.empty()) return list;
  if (!list || list->empty()) return Error{Kind::denied, reason};
  std::cerr << "posternctl: " << reason << "; nobody finds these, which were here before\n";
  return list;
}

Result<array> whole_list(DirectoryAccess& directory, object request, const char* member) {
  array all;
  for (;;) {
    auto answer = directory.ask(request);
    if (!answer) return answer.error();
    const auto* found = answer->if_contains(member);
    if (found == nullptr || !found->is_array()) return Error{Kind::temporary, "the answer was not understood"};
    for (const auto& entry : found->get_array()) {
      if (!entry.is_object()) return Error{Kind::temporary, "the answer was not understood"};
      all.push_back(entry);
    }
    if (!directory::truth_in(*answer, "more").value_or(false)) return all;
    auto after = directory::text_in(*answer, "after");
    if (!after && !all.empty()) after = directory::text_in(all.back().get_object(), "name");
    if (!after) return all;
    request["after"] = *after;
  }
}

int change(const Context& context, object request, const std::function<std::string(const object& answer)>& said) {
  DirectoryAccess directory(context);
  const std::string name = directory::text_in(request, "name").value_or("");
  const auto answer = directory.ask(std::move(request));
  if (!answer) return could_not(context, explained(directory, name, answer.error()).what);
  if (context.json) print_answer(*answer);
  else std::cout << said(*answer) << "\n";
  return kDone;
}

Result<std::string> read_text(const std::string& file, std::size_t limit_bytes) {
  base::Descriptor opened;
  if (file != "-") {
    opened = base::Descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened) return system_error(errno, file);
  }
  std::string source;
  for (char piece[8192];;) {
    const ssize_t got = ::read(file == "-" ? STDIN_FILENO : opened.get(), piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, file);
    if (got == 0) return source;
    source.append(piece, static_cast<std::size_t>(got));
    if (source.size() > limit_bytes) return Error{Kind::invalid, file + ": longer than " + std::to_string(limit_bytes) + " bytes"};
  }
}

bool is_correct_filter(const Context& context, const std::string& source, const std::string& name, bool system_script) {
  sieve::CompileOptions options = delivery::compile_options(context.configuration(), system_script ? delivery::Owner::nobody : delivery::Owner::account);
  options.system_script = system_script;
  const sieve::Compiled compiled = sieve::compile(sieve::joined_rules(source), options);
  for (const sieve::Mistake& mistake : compiled.mistakes)
    std::cerr << sieve::place_in_file(name, mistake.rule, mistake.line, mistake.column) << ": " << (mistake.warning ? "warning: " : "") << mistake.text << "\n";
  return compiled.program != nullptr;
}

Result<std::string> read_filter(const Context& context, const std::string& file, bool system_script) {
  auto source = read_text(file, directory::kMaxFilterBytes);
  if (!source) return source;
  if (!base::is_utf8(*source)) return Error{Kind::invalid, file + ": not UTF-8 text"};
  const std::string name = file == "-" ? "standard input" : file;
  if (!is_correct_filter(context, *source, name, system_script)) return Error{Kind::invalid, name + " is not a correct filter; nothing was changed"};
  return source;
}

std::optional<std::uint64_t> bytes_from(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = base::number_from<std::uint64_t>(text.substr(0, digits));
  const std::string unit = base::lower(base::trim(text.substr(digits)));
  if (!number) return std::nullopt;
  if (unit.empty() || unit == "b" || unit == "bytes") return number;
  for (const auto& row : kUnits) {
    const std::string name = base::lower(row.name);
    if (unit != name && unit != name.substr(0, 1) && unit != name.substr(0, 1) + "b") continue;
    if (*number > (UINT64_MAX >> row.shift)) return std::nullopt;
    return *number << row.shift;
  }
  return std::nullopt;
}

std::string bytes_text(std::uint64_t bytes) {
  for (const auto& row : kUnits)
    if (bytes != 0 && bytes % (std::uint64_t{1} << row.shift) == 0) return std::to_string(bytes >> row.shift) + " " + std::string(row.name);
  return std::to_string(bytes) + " bytes";
}

}  // namespace postern::tools
