// SPDX-License-Identifier: Apache-2.0
#include "mapping/access_result.h"

#include "base/text.h"

#include <algorithm>
#include <cstdlib>

namespace postern::mapping {
namespace {

constexpr std::size_t kMaxTextBytes = 512;

// Takes arguments off the output text, one after another.
class Arguments {
 public:
  explicit Arguments(std::string_view text) : rest_(text) {}

  // The text up to the next bar, or all that is left for the last flag that is raised.
  std::string_view take(bool last) {
    const std::size_t bar = last ? std::string_view::npos : rest_.find('|');
    const std::string_view argument = rest_.substr(0, bar);
    rest_ = bar == std::string_view::npos ? std::string_view() : rest_.substr(bar + 1);
    return argument;
  }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

std::string clean(std::string_view text) { return base::printable(text, kMaxTextBytes); }

std::optional<int> integer(std::string_view text) {
  text = base::trim(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  return base::number_from<int>(text);
}

std::vector<std::string> split_tags(std::string_view text) {
  std::vector<std::string> tags;
  for (const std::string_view tag : base::split(text, ','))
    if (const std::string_view trimmed = base::trim(tag); !trimmed.empty()) tags.push_back(clean(trimmed));
  return tags;
}

void read_delay(AccessResult& result, std::string_view argument) {
  const auto hundredths = integer(argument);
  if (!hundredths || *hundredths == 0) return;
  result.delay_this_reply_only = *hundredths < 0;
  const std::int64_t magnitude = std::abs(std::int64_t{*hundredths});
  result.delay = std::min(kMaxDelay, std::chrono::milliseconds(magnitude * 10));
}

void read_limits(AccessResult& result, std::string_view argument) {
  AccessResult::SessionLimits limits;
  const auto parts = base::split(argument, ',');
  std::optional<std::uint64_t>* const targets[] = {&limits.message_bytes, &limits.recipients, &limits.recipient_cutoff};
  if (parts.size() > 3) return;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    *targets[i] = base::number_from<std::uint64_t>(base::trim(parts[i]));
    if (!*targets[i]) return;
  }
  result.limits = limits;
}

void take_argument(AccessResult& result, char flag, std::string_view argument) {
  switch (flag) {
    case 'U': result.debug_level = integer(argument); break;
    case 'J': result.new_sender = clean(argument); break;
    case 'K': result.sender_field = clean(argument); break;
    case '<': result.log_applied = clean(argument); break;
    case '>': result.log_refused = clean(argument); break;
    case 'D': read_delay(result, argument); break;
    case 'T': result.tag = clean(argument); break;
    case 'A': result.header_lines.push_back(clean(argument)); break;
    case 'G': result.conversion_tags = split_tags(argument); break;
    case 'S': read_limits(result, argument); break;
    case 'X': result.status = status_from(argument); break;
    case ',': result.spam_adjust = clean(argument); break;
    case 'N': result.text = clean(argument); break;
    default: break;
  }
}

}  // namespace

std::string_view reading_order(AccessTable table) {
  switch (table) {
    case AccessTable::port: return "U<>NT";
    case AccessTable::from: return "UJK<>DTAGSX,N";
    case AccessTable::recipient: return "U<>DTAGX,N";
    case AccessTable::login: return "<>DN";
    case AccessTable::none: return "N";
  }
  return "N";
}

AccessTable access_table(std::string_view name) {
  if (base::starts_with_ignoring_case(name, "OBSERVE_")) name.remove_prefix(8);
  if (base::equal_ignoring_case(name, "PORT_ACCESS")) return AccessTable::port;
  if (base::equal_ignoring_case(name, "FROM_ACCESS")) return AccessTable::from;
  if (base::equal_ignoring_case(name, "LOGIN_ACCESS")) return AccessTable::login;
  for (const std::string_view table : {"ORIG_SEND_ACCESS", "ORIG_MAIL_ACCESS", "SEND_ACCESS", "MAIL_ACCESS"})
    if (base::equal_ignoring_case(name, table)) return AccessTable::recipient;
  return AccessTable::none;
}

std::string with_present_channel_names(std::string_view pattern) {
  static constexpr std::string_view kFormer = "tcp_intranet", kPresent = "tcp_internal";
  static_assert(kFormer.size() == kPresent.size());
  std::string text(pattern);
  if (text.size() < kFormer.size()) return text;
  for (std::size_t at = 0; at + kFormer.size() <= text.size(); ++at) {
    if (!base::equal_ignoring_case(std::string_view(text).substr(at, kFormer.size()), kFormer)) continue;
    const std::size_t behind = at + kFormer.size();
    if ((at == 0 || text[at - 1] == '|') && (behind == text.size() || text[behind] == '|')) text.replace(at, kFormer.size(), kPresent);
  }
  return text;
}

std::string AccessResult::Status::to_string() const {
  return std::to_string(status_class) + "." + std::to_string(subject) + "." + std::to_string(detail);
}

std::optional<AccessResult::Status> status_from(std::string_view text) {
  const auto parts = base::split(text, '.');
  if (parts.size() != 3) return std::nullopt;
  int numbers[3];
  for (std::size_t i = 0; i < 3; ++i) {
    // RFC 3463 section 2: one to three digits.
    const auto number = parts[i].size() <= 3 ? base::number_from<unsigned>(parts[i]) : std::nullopt;
    if (!number) return std::nullopt;
    numbers[i] = static_cast<int>(*number);
  }
  if (parts[0] != "4" && parts[0] != "5") return std::nullopt;
  return AccessResult::Status{numbers[0], numbers[1], numbers[2]};
}

AccessResult read_access(std::string_view table, const Mapped& mapped) {
  AccessResult result;
  result.matched = mapped.matched;
  result.step_limit_exceeded = mapped.step_limit_exceeded;
  result.table = table;
  if (!mapped.matched) return result;
  result.file = mapped.file;
  result.line = mapped.line;
  const Flags& flags = mapped.flags;
  const AccessTable kind = access_table(table);
  result.refuse = flags.has_either_case('N') || flags.has_either_case('F');
  result.granted = !result.refuse && flags.has_either_case('Y');

  std::string raised;
  for (const char flag : reading_order(kind))
    if (flag == 'N' ? result.refuse : flags.has(flag)) raised += flag;
  Arguments arguments(mapped.output);
  for (std::size_t i = 0; i < raised.size(); ++i) {
    // An accepting entry of PORT_ACCESS may have the text of $Y and the one for the connection's record behind all arguments.
    const bool last = i + 1 == raised.size() && (kind != AccessTable::port || result.refuse);
    const std::string_view argument = arguments.take(last);
    if (kind == AccessTable::port && raised[i] == 'T') result.connection_log = clean(argument);
    else take_argument(result, raised[i], argument);
  }

  const bool message_flags = kind == AccessTable::from || kind == AccessTable::recipient;
  result.bit_bucket = message_flags && flags.has('B');
  result.hold = message_flags && flags.has('H');
  result.discard = message_flags && flags.has('V');
  result.jettison = message_flags && flags.has('Z');
  result.no_vacation = kind == AccessTable::from && flags.has('!');
  if (kind == AccessTable::port && !result.refuse) {
    result.restricted = flags.has('W');
    if (result.granted) result.auth_rules = clean(arguments.take(false));
    result.connection_text = clean(arguments.rest());
  }
  return result;
}

}  // namespace postern::mapping
