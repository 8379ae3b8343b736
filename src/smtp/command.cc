// SPDX-License-Identifier: Apache-2.0
#include "smtp/command.h"

#include "base/text.h"
#include "mail/address.h"

#include <algorithm>
#include <utility>

namespace postern::smtp {
namespace {

constexpr std::pair<std::string_view, Verb> kVerbs[] = {
    {"HELO", Verb::helo}, {"EHLO", Verb::ehlo}, {"LHLO", Verb::lhlo}, {"MAIL", Verb::mail}, {"RCPT", Verb::rcpt},
    {"DATA", Verb::data}, {"BDAT", Verb::bdat}, {"RSET", Verb::rset}, {"NOOP", Verb::noop}, {"QUIT", Verb::quit},
    {"VRFY", Verb::vrfy}, {"EXPN", Verb::expn}, {"HELP", Verb::help},
    {"STARTTLS", Verb::starttls}, {"AUTH", Verb::auth}, {"ETRN", Verb::not_offered}, {"TURN", Verb::not_offered},
    {"ATRN", Verb::not_offered}, {"SEND", Verb::not_offered}, {"SOML", Verb::not_offered}, {"SAML", Verb::not_offered},
    {"BURL", Verb::not_offered},
    {"GET", Verb::other_protocol}, {"POST", Verb::other_protocol}, {"PUT", Verb::other_protocol}, {"CONNECT", Verb::other_protocol},
    {"OPTIONS", Verb::other_protocol},
};

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

// "rfc822;" and the address as xtext, or "utf-8;" and it as RFC 6533 section 3 has it, which is kept as it stands.
bool read_original(std::string_view value, RecipientParameters& parameters) {
  const auto semicolon = value.find(';');
  if (!parameters.original.empty() || semicolon == std::string_view::npos || semicolon == 0) return false;
  const auto decoded = decode_xtext(value.substr(semicolon + 1), kOriginalBytes);
  if (!decoded) return false;
  parameters.original = *decoded;
  return true;
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
  for (const auto& [text, verb] : kVerbs)
    if (base::equal_ignoring_case(word, text)) command.verb = verb;
  return command;
}

std::optional<std::string_view> behind_keyword(std::string_view argument, std::string_view keyword) {
  if (!base::starts_with_ignoring_case(argument, keyword)) return std::nullopt;
  // RFC 5321 section 4.1.1.2 allows no blank here; too many programs send one.
  return base::trim(argument.substr(keyword.size()));
}

std::variant<MailParameters, Reply> parse_mail_parameters(std::string_view text, bool extended) {
  MailParameters parameters;
  bool body_given = false, return_given = false;
  for (std::string_view word = next_word(text); !word.empty(); word = next_word(text)) {
    if (!extended) return parameters_need_hello();
    const Parameter given = split_parameter(word);
    if (!given.good) return bad_parameter();
    if (base::equal_ignoring_case(given.name, "SIZE")) {
      const auto size = base::number_from<std::uint64_t>(given.value);
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
      const bool known = base::equal_ignoring_case(given.value, "FULL") || base::equal_ignoring_case(given.value, "HDRS");
      if (return_given || !known) return bad_parameter();
      return_given = true;
    } else if (base::equal_ignoring_case(given.name, "ENVID")) {
      auto decoded = decode_xtext(given.value, kEnvelopeIdBytes);
      if (!parameters.envelope_id.empty() || !decoded) return bad_parameter();
      parameters.envelope_id = std::move(*decoded);
    } else if (base::equal_ignoring_case(given.name, "AUTH")) {
      // RFC 4954 section 5: who it was elsewhere. Nobody is trusted to say that, so it has to be right and counts as AUTH=<>.
      const auto decoded = decode_xtext(given.value, kOriginalBytes);
      if (parameters.submitter_given || !decoded || (*decoded != "<>" && !mail::parse_mailbox(*decoded))) return bad_parameter();
      parameters.submitter_given = true;
    } else {
      return unknown_parameter(given.name);
    }
  }
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
