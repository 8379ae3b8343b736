// SPDX-License-Identifier: Apache-2.0
#include "smtp/command.h"

#include "base/text.h"

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

Reply bad_parameter() { return {501, "5.5.4", "bad parameter"}; }
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
  bool body_given = false;
  for (std::string_view word = next_word(text); !word.empty(); word = next_word(text)) {
    if (!extended) return Reply{555, "5.5.4", "parameters need EHLO"};
    const auto equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? std::string_view() : word.substr(equals + 1);
    const bool has_value = equals != std::string_view::npos;
    if (!is_keyword(name) || (has_value && value.empty())) return bad_parameter();
    if (base::equal_ignoring_case(name, "SIZE")) {
      const auto size = base::number_from<std::uint64_t>(value);
      if (parameters.size_bytes || !size) return bad_parameter();
      parameters.size_bytes = size;
    } else if (base::equal_ignoring_case(name, "BODY")) {
      if (body_given) return bad_parameter();
      body_given = true;
      if (base::equal_ignoring_case(value, "8BITMIME")) parameters.body_8bit = true;
      else if (!base::equal_ignoring_case(value, "7BIT")) return unknown_parameter(word);
    } else if (base::equal_ignoring_case(name, "SMTPUTF8")) {
      if (parameters.smtputf8 || has_value) return bad_parameter();
      parameters.smtputf8 = true;
    } else {
      return unknown_parameter(name);
    }
  }
  return parameters;
}

std::optional<Reply> parse_recipient_parameters(std::string_view text) {
  const std::string_view word = next_word(text);
  if (word.empty()) return std::nullopt;
  return unknown_parameter(word.substr(0, word.find('=')));
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
