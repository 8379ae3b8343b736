// SPDX-License-Identifier: Apache-2.0
#include "conversion/options.h"

#include "base/text.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace postern::conversion {
namespace {

constexpr std::pair<std::string_view, Status> kStatuses[] = {
    {"FORCERETURN", Status::force_return}, {"FORCEPOST", Status::force_post}, {"FORCEASIS", Status::force_as_is}, {"FORCEDELETE", Status::force_delete},
    {"FORCEHOLD", Status::force_hold},     {"FORCEDISCARD", Status::force_discard}, {"FORCEJETTISON", Status::force_jettison}};
constexpr std::string_view kOutputs[] = {"OUTPUT_TYPE", "OUTPUT_SUBTYPE", "OUTPUT_ENCODING", "OUTPUT_DISPOSITION", "OUTPUT_DESCRIPTION", "OUTPUT_MODE"};
constexpr std::size_t kMostValueBytes = 2000;

}  // namespace

std::optional<Status> status_from(std::string_view text) {
  for (const auto& [name, status] : kStatuses)
    if (base::equal_ignoring_case(name, text)) return status;
  std::optional<std::uint32_t> number = base::number_from<std::uint32_t>(text);
  if (base::starts_with_ignoring_case(text, "0x")) {
    text.remove_prefix(2);
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    number = error == std::errc{} && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
  }
  for (const auto& [name, status] : kStatuses)
    if (number && *number == static_cast<std::uint32_t>(status)) return status;
  return std::nullopt;
}

Options parse_options(std::string_view text) {
  Options options;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto equal = line.find('=');
    if (equal == std::string_view::npos) continue;
    std::string name = base::upper(base::trim(line.substr(0, equal)));
    std::replace(name.begin(), name.end(), '-', '_');
    std::string_view value = base::trim(line.substr(equal + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    if (name == "STATUS") {
      // A number alone may be 0: nothing is forced.
      if (value == "0") continue;
      options.status = status_from(value).value_or(Status::unknown);
      options.status_text = base::printable(value, 64);
    } else if (name == "OUTPUT_DIAGNOSTIC") {
      options.diagnostic = base::printable(value, kMaxDiagnosticBytes);
    } else if (std::find(std::begin(kOutputs), std::end(kOutputs), name) != std::end(kOutputs)) {
      options.outputs[std::move(name)] = base::printable(value, kMostValueBytes);
    }
  }
  return options;
}

}  // namespace postern::conversion
