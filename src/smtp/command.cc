// SPDX-License-Identifier: Apache-2.0
#include "smtp/command.h"

#include "base/text.h"
#include "base/utf8.h"
#include "mail/address.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace postern::smtp {
namespace {

constexpr std::pair<std::string_view, Verb> kVerbs[] = {
    {"HELO", Verb::helo}, {"EHLO", Verb::ehlo}, {"LHLO", Verb::lhlo}, {"MAIL", Verb::mail}, {"RCPT", Verb::rcpt},
    {"DATA", Verb::data}, {"BDAT", Verb::bdat}, {"RSET", Verb::rset}, {"NOOP", Verb::noop}, {"QUIT", Verb::quit},
    {"VRFY", Verb::vrfy}, {"EXPN", Verb::expn}, {"HELP", Verb::help},
    {"STARTTLS", Verb::starttls}, {"AUTH", Verb::auth}, {"ETRN", Verb::etrn}, {"TURN", Verb::not_offered},
    {"ATRN", Verb::not_offered}, {"SEND", Verb::not_offered}, {"SOML", Verb::not_offered}, {"SAML", Verb::not_offered},
    {"BURL", Verb::not_offered},
    {"GET", Verb::other_protocol}, {"POST", Verb::other_protocol}, {"PUT", Verb::other_protocol}, {"CONNECT", Verb::other_protocol},
    {"OPTIONS", Verb::other_protocol},
};

constexpr std::size_t kLongestVerbBytes =
    std::max_element(std::begin(kVerbs), std::end(kVerbs), [](const auto& a, const auto& b) { return a.first.size() < b.first.size(); })->first.size();

constexpr std::size_t kHelloBytes = 255;

// Takes the next word off `text`; empty at its end.
std::string_view next_word(std::string_view& text) {
  const auto begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return text = {};
  const auto end = std::min(text.find(' ', begin), text.size());
  const std::string_view word = text.substr(begin, end - begin);
  text.remove_prefix(end);
  return word;
}

bool is_keyword(std::string_view word) {
  return !word.empty() && word.front() != '-' &&
         std::all_of(word.begin(), word.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-'; });
}

// RFC 3461 sections 4.2 and 4.4.
constexpr std::size_t kEnvelopeIdBytes = 100;
constexpr std::size_t kOriginalBytes = 500;

int hexadecimal(char c) { return base::is_digit(c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

// xtext (RFC 3461 section 4) as it was meant. Control bytes are no text that anybody meant.
std::optional<std::string> decode_xtext(std::string_view text, std::size_t limit_bytes) {
  if (text.empty() || text.size() > limit_bytes) return std::nullopt;
  std::string decoded;
  for (std::size_t at = 0; at < text.size(); ++at) {
    char c = text[at];
    if (c == '=' || c == ' ' || base::is_control(c)) return std::nullopt;
    if (c == '+') {
      if (text.size() - at < 3) return std::nullopt;
      const int high = hexadecimal(text[at + 1]), low = hexadecimal(text[at + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(16 * high + low);
      at += 2;
    }
    if (base::is_control(c)) return std::nullopt;
    decoded += c;
  }
  return decoded;
}

// NEVER, or a list of the other three, each at most once.
bool read_notify(std::string_view value, RecipientParameters& parameters) {
  if (parameters.notify_given) return false;
  parameters.notify_given = true;
  if (base::equal_ignoring_case(value, "NEVER")) return true;
  for (const std::string_view word : base::split(value, ',')) {
    bool* const wanted = base::equal_ignoring_case(word, "SUCCESS")   ? &parameters.notify_success
                         : base::equal_ignoring_case(word, "FAILURE") ? &parameters.notify_failure
                         : base::equal_ignoring_case(word, "DELAY")   ? &parameters.notify_delay
                                                                      : nullptr;
    if (wanted == nullptr || *wanted) return false;
    *wanted = true;
  }
  return true;
}

// The characters behind "\\x{" of RFC 6533 section 3: two to six digits that mean one that somebody can read; each "QCHAR" only where it can't
// stand for itself is not insisted on. Nothing for anything else.
std::optional<std::string> decode_embedded(std::string_view text) {
  std::string decoded;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      decoded += text[at];
      continue;
    }
    const auto end = text.find('}', at);
    if (!text.substr(at).starts_with("\\x{") || end == std::string_view::npos) return std::nullopt;
    const std::string_view digits = text.substr(at + 3, end - at - 3);
    std::uint32_t point = 0;
    for (const char c : digits) {
      const int digit = hexadecimal(c);
      if (digit < 0) return std::nullopt;
      point = point * 16 + static_cast<std::uint32_t>(digit);
    }
    if (digits.size() < 2 || digits.size() > 6 || point < 0x20 || point == 0x7f || point > 0x10ffff) return std::nullopt;
    base::append_utf8(decoded, point);
    at = end;
  }
  // Surrogates among others.
  if (!base::is_utf8(decoded)) return std::nullopt;
  return decoded;
}

// "rfc822;" and the address as xtext, or "utf-8;" and it as RFC 6533 section 3 has it.
bool read_original(std::string_view value, RecipientParameters& parameters) {
  constexpr std::size_t kMostTypeBytes = 32;
  const auto semicolon = value.find(';');
  if (!parameters.original.empty() || semicolon == std::string_view::npos || semicolon == 0 || semicolon > kMostTypeBytes) return false;
  const std::string_view type = value.substr(0, semicolon);
  if (!is_keyword(type)) return false;
  auto decoded = decode_xtext(value.substr(semicolon + 1), kOriginalBytes);
  if (decoded && base::equal_ignoring_case(type, "utf-8")) decoded = decode_embedded(*decoded);
  if (!decoded) return false;
  parameters.original = *decoded;
  parameters.original_type = base::lower(type);
  return true;
}

// "120;R", "-5;NT" (RFC 2852 section 4): seconds from now, and what happens then. A message must not be wanted in the past, unless all its
// sender asks for is to be told.
std::optional<mail::DeliverBy> read_deliver_by(std::string_view value, base::WallTime now) {
  const auto semicolon = value.find(';');
  if (semicolon == std::string_view::npos) return std::nullopt;
  std::string_view time = value.substr(0, semicolon), mode = value.substr(semicolon + 1);
  const bool past = time.starts_with('-');
  if (past) time.remove_prefix(1);
  const auto seconds = time.size() > 9 ? std::nullopt : base::number_from<std::int64_t>(time);
  if (!seconds || time.starts_with('-')) return std::nullopt;
  mail::DeliverBy made;
  made.until = now + std::chrono::seconds(past ? -*seconds : *seconds);
  if (mode.size() == 2 && base::ascii_upper(mode[1]) == 'T') {
    made.trace = true;
    mode.remove_suffix(1);
  }
  if (base::equal_ignoring_case(mode, "N")) made.mode = mail::DeliverBy::Mode::notify;
  else if (!base::equal_ignoring_case(mode, "R") || past || *seconds == 0) return std::nullopt;
  return made;
}

// "2026-11-22T06:30:00Z", "2026-11-22T07:30:00.5+01:00" (RFC 4865 section 3 as erratum 2040 has it; RFC 3339 section 5.6). Parts of a second count as a whole
// one: nothing is let go before its time.
std::optional<base::WallTime> read_date_time(std::string_view text) {
  const auto has_form = [](std::string_view some, std::string_view form) {
    return some.size() == form.size() &&
           std::equal(some.begin(), some.end(), form.begin(), [](char c, char wanted) { return wanted == 'd' ? base::is_digit(c) : base::ascii_upper(c) == wanted; });
  };
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:dd", kOffset = "dd:dd";
  if (!has_form(text.substr(0, kForm.size()), kForm)) return std::nullopt;
  const auto number = [&](std::size_t at, std::size_t digits) { return *base::number_from<int>(text.substr(at, digits)); };
  const std::chrono::year_month_day day{std::chrono::year(number(0, 4)), std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                        std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  if (!day.ok() || number(11, 2) > 23 || number(14, 2) > 59 || number(17, 2) > 60) return std::nullopt;
  base::WallTime time = std::chrono::sys_days(day) + std::chrono::hours(number(11, 2)) + std::chrono::minutes(number(14, 2)) + std::chrono::seconds(number(17, 2));
  std::string_view rest = text.substr(kForm.size());
  if (rest.starts_with('.')) {
    const std::string_view digits = rest.substr(1, std::min(rest.find_first_not_of("0123456789", 1), rest.size()) - 1);
    if (digits.empty() || digits.size() > 9) return std::nullopt;
    if (digits.find_first_not_of('0') != std::string_view::npos) time += std::chrono::seconds(1);
    rest.remove_prefix(1 + digits.size());
  }
  if (base::equal_ignoring_case(rest, "Z")) return time;
  if (rest.empty() || (rest[0] != '+' && rest[0] != '-') || !has_form(rest.substr(1), kOffset)) return std::nullopt;
  const int hours = *base::number_from<int>(rest.substr(1, 2)), minutes = *base::number_from<int>(rest.substr(4, 2));
  if (hours > 23 || minutes > 59) return std::nullopt;
  const std::chrono::minutes offset = std::chrono::hours(hours) + std::chrono::minutes(minutes);
  return rest[0] == '+' ? time - offset : time + offset;
}

// RFC 6710 section 5.1: a digit, perhaps with a minus sign.
std::optional<int> read_priority(std::string_view value) {
  const std::string_view digits = value.starts_with('-') ? value.substr(1) : value;
  if (digits.size() != 1 || !base::is_digit(digits[0]) || value == "-0") return std::nullopt;
  return value.starts_with('-') ? '0' - digits[0] : digits[0] - '0';
}

// RFC 1870 section 4: up to twenty digits. What needs more than 64 bits is larger than any limit all the same.
std::optional<std::uint64_t> read_size(std::string_view value) {
  if (value.empty() || value.size() > 20 || !std::all_of(value.begin(), value.end(), base::is_digit)) return std::nullopt;
  return base::number_from<std::uint64_t>(value).value_or(std::numeric_limits<std::uint64_t>::max());
}

// One parameter of MAIL or RCPT.
struct Parameter {
  std::string_view name, value;
  bool has_value = false, good = true;
};

Parameter split_parameter(std::string_view word) {
  const auto equals = word.find('=');
  Parameter parameter;
  parameter.name = word.substr(0, equals);
  parameter.has_value = equals != std::string_view::npos;
  if (parameter.has_value) parameter.value = word.substr(equals + 1);
  parameter.good = is_keyword(parameter.name) && (!parameter.has_value || !parameter.value.empty());
  return parameter;
}

Reply bad_parameter() { return {501, "5.5.4", "bad parameter"}; }
Reply parameters_need_hello() { return {555, "5.5.4", "parameters need EHLO"}; }
Reply unknown_parameter(std::string_view word) { return {555, "5.5.4", "parameter not known here: " + base::printable(word, 64)}; }

}  // namespace

Command parse_command(std::string_view line) {
  const auto end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  Command command;
  command.argument = base::trim(line.substr(end));
  if (word.size() > kLongestVerbBytes) return command;
  char upper[kLongestVerbBytes];
  std::transform(word.begin(), word.end(), upper, base::ascii_upper);
  const std::string_view wanted(upper, word.size());
  const auto* const known = std::find_if(std::begin(kVerbs), std::end(kVerbs), [&](const auto& one) { return one.first == wanted; });
  if (known != std::end(kVerbs)) command.verb = known->second;
  return command;
}

std::optional<std::string_view> behind_keyword(std::string_view argument, std::string_view keyword) {
  if (!base::starts_with_ignoring_case(argument, keyword)) return std::nullopt;
  // RFC 5321 section 4.1.1.2 allows no blank here; too many programs send one.
  return base::trim(argument.substr(keyword.size()));
}

std::variant<MailParameters, Reply> parse_mail_parameters(std::string_view text, bool extended, base::WallTime now, std::chrono::seconds longest_hold) {
  MailParameters parameters;
  bool body_given = false;
  for (std::string_view word = next_word(text); !word.empty(); word = next_word(text)) {
    if (!extended) return parameters_need_hello();
    const Parameter given = split_parameter(word);
    if (!given.good) return bad_parameter();
    if (base::equal_ignoring_case(given.name, "SIZE")) {
      const auto size = read_size(given.value);
      if (parameters.size_bytes || !size) return bad_parameter();
      parameters.size_bytes = size;
    } else if (base::equal_ignoring_case(given.name, "BODY")) {
      if (body_given) return bad_parameter();
      body_given = true;
      if (base::equal_ignoring_case(given.value, "8BITMIME")) parameters.body_8bit = true;
      else if (!base::equal_ignoring_case(given.value, "7BIT")) return unknown_parameter(word);
    } else if (base::equal_ignoring_case(given.name, "SMTPUTF8")) {
      if (parameters.smtputf8 || given.has_value) return bad_parameter();
      parameters.smtputf8 = true;
    } else if (base::equal_ignoring_case(given.name, "RET")) {
      const bool full = base::equal_ignoring_case(given.value, "FULL");
      if (parameters.ret != mail::Return::unspecified || (!full && !base::equal_ignoring_case(given.value, "HDRS"))) return bad_parameter();
      parameters.ret = full ? mail::Return::full : mail::Return::headers;
    } else if (base::equal_ignoring_case(given.name, "ENVID")) {
      auto decoded = decode_xtext(given.value, kEnvelopeIdBytes);
      if (!parameters.envelope_id.empty() || !decoded) return bad_parameter();
      parameters.envelope_id = std::move(*decoded);
    } else if (base::equal_ignoring_case(given.name, "AUTH")) {
      // RFC 4954 section 5: who it was elsewhere. Nobody is trusted to say that, so it has to be right and counts as AUTH=<>.
      const auto decoded = decode_xtext(given.value, kOriginalBytes);
      if (parameters.submitter_given || !decoded || (*decoded != "<>" && !mail::parse_mailbox(*decoded))) return bad_parameter();
      parameters.submitter_given = true;
    } else if (base::equal_ignoring_case(given.name, "BY")) {
      const auto by = read_deliver_by(given.value, now);
      if (parameters.deliver_by || !by) return bad_parameter();
      parameters.deliver_by = by;
    } else if (base::equal_ignoring_case(given.name, "REQUIRETLS")) {
      if (parameters.require_tls || given.has_value) return bad_parameter();
      parameters.require_tls = true;
    } else if (base::equal_ignoring_case(given.name, "MT-PRIORITY")) {
      const auto priority = read_priority(given.value);
      if (parameters.priority || !priority) return bad_parameter();
      parameters.priority = priority;
    } else if (longest_hold.count() > 0 && (base::equal_ignoring_case(given.name, "HOLDFOR") || base::equal_ignoring_case(given.name, "HOLDUNTIL"))) {
      std::optional<base::WallTime> until;
      if (base::equal_ignoring_case(given.name, "HOLDUNTIL")) until = read_date_time(given.value);
      // RFC 4865 section 3: a positive number of up to nine digits, without a zero in front.
      else if (const auto seconds = base::number_from<std::uint32_t>(given.value); seconds && given.value.size() <= 9 && !given.value.starts_with('0'))
        until = now + std::chrono::seconds(*seconds);
      if (parameters.hold_until || !until) return bad_parameter();
      if (*until > now + longest_hold) return Reply{501, "5.5.4", "that is further ahead than this server holds messages"};
      parameters.hold_until = until;
    } else {
      return unknown_parameter(given.name);
    }
  }
  // It would be late before anything was tried.
  if (parameters.hold_until && parameters.deliver_by && parameters.deliver_by->until <= *parameters.hold_until)
    return Reply{501, "5.5.4", "the message is to be held beyond the time by which it is to be delivered"};
  return parameters;
}

std::variant<RecipientParameters, Reply> parse_recipient_parameters(std::string_view text, bool extended) {
  RecipientParameters parameters;
  for (std::string_view word = next_word(text); !word.empty(); word = next_word(text)) {
    if (!extended) return parameters_need_hello();
    const Parameter given = split_parameter(word);
    const bool notify = base::equal_ignoring_case(given.name, "NOTIFY");
    if (given.good && !notify && !base::equal_ignoring_case(given.name, "ORCPT")) return unknown_parameter(given.name);
    if (!given.good || !(notify ? read_notify(given.value, parameters) : read_original(given.value, parameters))) return bad_parameter();
  }
  return parameters;
}

std::optional<ChunkCommand> parse_chunk(std::string_view argument) {
  const std::string_view number = next_word(argument);
  const auto size = base::number_from<std::uint64_t>(number);
  if (!size) return std::nullopt;
  ChunkCommand chunk;
  chunk.size_bytes = *size;
  const std::string_view word = next_word(argument);
  if (word.empty()) return chunk;
  if (!base::equal_ignoring_case(word, "LAST") || !next_word(argument).empty()) return std::nullopt;
  chunk.last = true;
  return chunk;
}

std::optional<std::string_view> parse_hello(std::string_view argument) {
  const std::string_view name = next_word(argument);
  if (name.empty() || name.size() > kHelloBytes || !base::is_utf8(name)) return std::nullopt;
  if (std::any_of(name.begin(), name.end(), base::is_control)) return std::nullopt;
  return name;
}

}  // namespace postern::smtp
