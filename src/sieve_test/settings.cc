// SPDX-License-Identifier: Apache-2.0
#include "sieve_test/settings.h"

#include "base/descriptor.h"
#include "base/text.h"
#include "sieve/compile.h"

#include <fcntl.h>
#include <regex.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>

namespace postern::sieve_test {

namespace {

enum class Type { text, number, size, period, yes_no };

struct Row {
  std::string_view name, preset;
  Type type;
};

constexpr std::array<Row, 44> kSettings = {{
    {"sieve_extensions", "", Type::text},
    {"sieve_max_script_size", "1M", Type::size},
    {"sieve_max_actions", "32", Type::number},
    {"sieve_max_redirects", "4", Type::number},
    {"sieve_max_cpu_time", "30s", Type::period},
    {"sieve_redirect_envelope_from", "sender", Type::text},
    {"sieve_redirect_duplicate_period", "12h", Type::period},
    {"sieve_user_email", "", Type::text},
    {"recipient_delimiter", "+", Type::text},
    {"sieve_vacation_min_period", "1d", Type::period},
    {"sieve_vacation_max_period", "60d", Type::period},
    {"sieve_vacation_default_period", "7d", Type::period},
    {"sieve_vacation_default_subject", "", Type::text},
    {"sieve_vacation_default_subject_template", "", Type::text},
    {"sieve_vacation_check_recipient", "yes", Type::yes_no},
    {"sieve_vacation_use_original_recipient", "no", Type::yes_no},
    {"sieve_vacation_send_from_recipient", "no", Type::yes_no},
    {"sieve_vacation_to_header_ignore_envelope", "no", Type::yes_no},
    {"sieve_editheader_max_header_size", "2048", Type::size},
    {"sieve_editheader_header", "", Type::text},
    {"sieve_variables_max_value_size", "4096", Type::size},
    {"sieve_variables_max_variable_size", "", Type::size},
    {"sieve_variables_max_scope_count", "255", Type::number},
    {"sieve_include_max_includes", "255", Type::number},
    {"sieve_include_max_nesting_depth", "10", Type::number},
    {"sieve_notify_max_notifications", "10", Type::number},
    {"sieve_notify_mailto_envelope_from", "", Type::text},
    {"sieve_spamtest_status_header", "", Type::text},
    {"sieve_virustest_status_header", "", Type::text},
    {"sieve_spamtest_status_type", "score", Type::text},
    {"sieve_virustest_status_type", "score", Type::text},
    {"sieve_spamtest_score_max_value", "", Type::text},
    {"sieve_virustest_score_max_value", "", Type::text},
    {"sieve_spamtest_score_max_header", "", Type::text},
    {"sieve_virustest_score_max_header", "", Type::text},
    {"sieve_extlists_list", "", Type::text},
    {"sieve_duplicate_default_period", "12h", Type::period},
    {"sieve_duplicate_max_period", "2d", Type::period},
    {"sieve_report_from", "", Type::text},
    {"sieve_pipe_bin_dir", "", Type::text},
    {"sieve_filter_bin_dir", "", Type::text},
    {"sieve_execute_bin_dir", "", Type::text},
    {"sieve_execute_input_eol", "", Type::text},
    {"sieve_pipe_exec_timeout", "", Type::text},
}};

// Members of lists and things that we do not offer: any value.
constexpr std::array<std::string_view, 11> kPrefixes = {"sieve_editheader_header/", "sieve_spamtest_text_value/", "sieve_virustest_text_value/", "sieve_extlists_list/",
                                                        "sieve_script/", "sieve_environment/", "sieve_extlists/", "sieve_extprograms/", "sieve_pipe_", "sieve_filter_", "sieve_execute_"};

std::optional<std::uint64_t> size_from(std::string_view text) {
  int shift = 0;
  if (!text.empty() && !base::is_digit(text.back())) {
    const char unit = base::ascii_lower(text.back());
    shift = unit == 'k' ? 10 : unit == 'm' ? 20 : unit == 'g' ? 30 : unit == 'b' ? 0 : -1;
    text.remove_suffix(1);
  }
  const auto number = base::number_from<std::uint64_t>(text);
  if (!number || shift < 0 || *number > (std::uint64_t{1} << 40)) return std::nullopt;
  return *number << shift;
}

std::optional<std::chrono::seconds> period_from(std::string_view text) {
  std::int64_t unit = 1;
  if (!text.empty() && !base::is_digit(text.back())) {
    const char letter = base::ascii_lower(text.back());
    unit = letter == 's' ? 1 : letter == 'm' ? 60 : letter == 'h' ? 3600 : letter == 'd' ? 86400 : 0;
    text.remove_suffix(1);
  }
  const auto number = base::number_from<std::uint32_t>(text);
  if (!number || unit == 0) return std::nullopt;
  return std::chrono::seconds(*number * unit);
}

bool fits(Type type, std::string_view value) {
  switch (type) {
    case Type::text: return true;
    case Type::number: return base::number_from<std::uint32_t>(value).has_value();
    case Type::size: return size_from(value).has_value();
    case Type::period: return period_from(value).has_value();
    case Type::yes_no: return value == "yes" || value == "no";
  }
  return false;
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> found;
  for (const std::string_view word : base::split(text, ' '))
    if (!base::trim(word).empty()) found.emplace_back(base::trim(word));
  return found;
}

// "+a -b": all but b. "a b": only these.
std::optional<std::vector<std::string>> capabilities_from(std::string_view text) {
  const auto list = words(text);
  if (list.empty()) return std::nullopt;
  const bool relative = std::any_of(list.begin(), list.end(), [](const std::string& word) { return word.front() == '+' || word.front() == '-'; });
  if (!relative) return list;
  std::vector<std::string> names;
  for (const auto& capability : sieve::capabilities())
    if (std::find(list.begin(), list.end(), "-" + capability.name) == list.end()) names.push_back(capability.name);
  return names;
}

}  // namespace

Settings::Settings() { reload(); }

Result<void> Settings::set(const std::string& name, const std::string& value) {
  const auto row = std::find_if(kSettings.begin(), kSettings.end(), [&](const Row& candidate) { return candidate.name == name; });
  if (row == kSettings.end()) {
    if (std::none_of(kPrefixes.begin(), kPrefixes.end(), [&](std::string_view prefix) { return name.starts_with(prefix); }))
      return Error{Kind::invalid, "unknown setting \"" + base::printable(name, 80) + "\""};
  } else if (!fits(row->type, value)) {
    return Error{Kind::invalid, "setting " + name + " can't be \"" + base::printable(value, 80) + "\""};
  }
  given_[name] = value;
  return {};
}

Result<void> Settings::unset(const std::string& name) {
  const auto found = given_.find(name);
  if (found != given_.end()) given_.erase(found);
  else if (std::none_of(kSettings.begin(), kSettings.end(), [&](const Row& row) { return row.name == name; }) &&
           std::none_of(kPrefixes.begin(), kPrefixes.end(), [&](std::string_view prefix) { return name.starts_with(prefix); }))
    return Error{Kind::invalid, "unknown setting \"" + base::printable(name, 80) + "\""};
  return {};
}

void Settings::reload() {
  in_force_ = given_;
  const auto size = [&](std::string_view name) { return static_cast<std::size_t>(size_from(text(name)).value_or(0)); };
  compile_limits = {};
  compile_limits.script_bytes = size("sieve_max_script_size");
  if (compile_limits.script_bytes == 0) compile_limits.script_bytes = sieve::CompileLimits{}.script_bytes;
  compile_limits.includes = size("sieve_include_max_includes");
  compile_limits.include_depth = size("sieve_include_max_nesting_depth");
  compile_limits.variables = std::max<std::size_t>(size("sieve_variables_max_scope_count"), 128);

  limits = {};
  limits.cpu_time = period("sieve_max_cpu_time");
  if (limits.cpu_time.count() == 0) limits.cpu_time = std::chrono::hours(1);
  limits.actions = size("sieve_max_actions");
  limits.redirects = size("sieve_max_redirects");
  limits.notifications = size("sieve_notify_max_notifications");
  limits.variable_bytes = std::max<std::size_t>(size(text("sieve_variables_max_variable_size").empty() ? "sieve_variables_max_value_size" : "sieve_variables_max_variable_size"), 4000);
  limits.header_value_bytes = std::max<std::size_t>(size("sieve_editheader_max_header_size"), 1024);
  limits.vacation_default = period("sieve_vacation_default_period");
  limits.vacation_least = period("sieve_vacation_min_period");
  limits.vacation_most = period("sieve_vacation_max_period");
  limits.duplicate_default = period("sieve_duplicate_default_period");
  limits.duplicate_most = period("sieve_duplicate_max_period");
  for (const auto& [name, value] : in_force_) {
    constexpr std::string_view kHeader = "sieve_editheader_header/";
    const auto end = name.rfind('/');
    if (!name.starts_with(kHeader) || end < kHeader.size() || value != "yes") continue;
    const std::string field = base::lower(name.substr(kHeader.size(), end - kHeader.size()));
    if (name.ends_with("/forbid_add")) limits.fields_not_added.push_back(field);
    if (name.ends_with("/forbid_delete")) limits.fields_not_deleted.push_back(field);
  }
  capabilities = capabilities_from(text("sieve_extensions"));
}

std::string Settings::text(std::string_view name) const {
  const auto found = in_force_.find(name);
  if (found != in_force_.end()) return found->second;
  const auto row = std::find_if(kSettings.begin(), kSettings.end(), [&](const Row& candidate) { return candidate.name == name; });
  return row != kSettings.end() ? std::string(row->preset) : std::string();
}

bool Settings::yes(std::string_view name) const { return text(name) == "yes"; }

std::chrono::seconds Settings::period(std::string_view name) const { return period_from(text(name)).value_or(std::chrono::seconds(0)); }

std::optional<std::string> Settings::matching(std::string_view begin, std::string_view end) const {
  for (const auto& [name, value] : in_force_)
    if (name.starts_with(begin) && name.ends_with(end)) return value;
  return std::nullopt;
}

namespace {

// What "Field" or "Field: regex" finds in the header: the value, or the first group of the expression.
std::optional<std::string> header_text(const std::string& setting, const mail::MessageView& message) {
  const auto colon = setting.find(':');
  const auto value = message.first(base::trim(std::string_view(setting).substr(0, colon)));
  if (!value || colon == std::string::npos) return value ? std::optional<std::string>(*value) : std::nullopt;
  const std::string expression(base::trim(std::string_view(setting).substr(colon + 1)));
  regex_t compiled;
  if (regcomp(&compiled, expression.c_str(), REG_EXTENDED) != 0) return std::nullopt;
  std::array<regmatch_t, 2> groups{};
  const std::string text(*value);
  std::optional<std::string> found;
  if (regexec(&compiled, text.c_str(), groups.size(), groups.data(), 0) == 0 && groups[1].rm_so >= 0)
    found = text.substr(static_cast<std::size_t>(groups[1].rm_so), static_cast<std::size_t>(groups[1].rm_eo - groups[1].rm_so));
  regfree(&compiled);
  return found;
}

std::optional<double> decimal(const std::string& text) {
  const std::string trimmed(base::trim(text));
  char* end = nullptr;
  const double value = std::strtod(trimmed.c_str(), &end);
  return end != trimmed.c_str() && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

}  // namespace

std::optional<sieve::Score> score_of(const Settings& settings, std::string_view kind, const mail::MessageView& message) {
  const std::string prefix = "sieve_" + std::string(kind) + "_";
  const bool spam = kind == "spamtest";
  const std::string header = settings.text(prefix + "status_header");
  if (header.empty()) return std::nullopt;
  const auto status = header_text(header, message);
  if (!status) return std::nullopt;
  const int most = spam ? 10 : 5;
  const std::string type = settings.text(prefix + "status_type");
  if (type == "text") {
    for (int value = 0; value <= most; ++value)
      if (!status->empty() && settings.text(prefix + "text_value/" + std::to_string(value)) == *status)
        return sieve::Score{value, value == 0 ? 0 : (value - 1) * 100 / (most - 1)};
    return std::nullopt;
  }
  std::optional<double> score = type == "strlen" ? std::optional<double>(static_cast<double>(base::trim(*status).size())) : decimal(*status);
  std::optional<double> highest = decimal(settings.text(prefix + "score_max_value"));
  if (const std::string from = settings.text(prefix + "score_max_header"); !from.empty()) {
    const auto text = header_text(from, message);
    highest = text ? decimal(*text) : std::nullopt;
  }
  if (!score || !highest || *highest <= 0) return std::nullopt;
  const double ratio = std::clamp(*score / *highest, 0.0, 1.0);
  return sieve::Score{1 + static_cast<int>(std::floor((most - 1) * ratio)), static_cast<int>(std::lround(100 * ratio))};
}

Result<std::string> read_whole_file(const std::string& path, std::size_t limit_bytes) {
  const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return system_error(errno, "open " + path);
  auto content = base::read_all(file.get(), limit_bytes);
  if (!content) return content.error().in(path);
  return std::move(*content);
}

std::map<std::string, std::string> read_dictionary(const std::string& path) {
  constexpr std::size_t kLargest = 16 * 1024 * 1024;
  std::map<std::string, std::string> entries;
  const auto content = read_whole_file(path, kLargest);
  if (!content) return entries;
  const auto lines = base::split(*content, '\n');
  for (std::size_t i = 0; i + 1 < lines.size(); i += 2) entries[std::string(base::trim(lines[i]))] = std::string(lines[i + 1]);
  return entries;
}

}  // namespace postern::sieve_test
