// SPDX-License-Identifier: Apache-2.0
#include "milter/protocol.h"

#include "base/text.h"

#include <algorithm>

namespace postern::milter {
namespace {

// Macros that a milter may ask for at one moment, and what a name may be.
constexpr std::size_t kMacrosAtOnce = 64, kMacroNameBytes = 64;
constexpr std::size_t kReplyBytes = 8192;

Error broken(std::string_view what) { return Error{Kind::corrupt, std::string(what)}; }

std::uint32_t number_at(std::string_view data, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(data[at + i]);
  return value;
}

// Takes a text with its NUL from the front; nothing: there is none.
std::optional<std::string_view> take_text(std::string_view& data) {
  const auto end = data.find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view taken = data.substr(0, end);
  data.remove_prefix(end + 1);
  return taken;
}

// A value of a header field with the line ends of mail. Some milters fold with LF alone, some with CRLF. Nothing: a line of it would begin a
// field of its own, or end the header.
std::optional<std::string> field_value(std::string_view given) {
  std::string value;
  value.reserve(given.size() + 8);
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (given[i] == '\r' && (i + 1 == given.size() || given[i + 1] == '\n')) continue;
    if (given[i] == '\r') return std::nullopt;
    if (given[i] != '\n') {
      value += given[i];
      continue;
    }
    // A line end behind everything is no part of the value.
    if (given.find_first_not_of("\r\n", i) == std::string_view::npos) break;
    if (given[i + 1] != ' ' && given[i + 1] != '\t') return std::nullopt;
    value += "\r\n";
  }
  return value;
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 256 && std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f && c != ':'; });
}

Result<Answer> header_answer(Answer answer, std::string_view data, bool with_index) {
  if (with_index) {
    if (data.size() < 4) return broken("a change of a header field is cut short");
    answer.index = number_at(data, 0);
    data.remove_prefix(4);
  }
  const auto name = take_text(data);
  const auto value = name ? take_text(data) : std::nullopt;
  if (!value || !data.empty()) return broken("a header field is cut short");
  if (!is_name(*name)) return broken("what should be the name of a header field is none");
  auto clean = field_value(*value);
  if (!clean) return broken("the value of a header field has a line that is not part of it");
  answer.name = *name;
  answer.value = std::move(*clean);
  return answer;
}

// "<a@example.net>" and parameters.
Result<Answer> address_answer(Answer answer, std::string_view data, bool with_parameters) {
  const auto address = take_text(data);
  if (!address) return broken("an address is cut short");
  answer.name = *address;
  if (with_parameters && !data.empty()) {
    const auto parameters = take_text(data);
    if (!parameters) return broken("parameters of an address are cut short");
    answer.value = *parameters;
  }
  if (!data.empty()) return broken("something stands behind an address");
  if (std::any_of(answer.name.begin(), answer.name.end(), base::is_control) || std::any_of(answer.value.begin(), answer.value.end(), base::is_control))
    return broken("an address with control characters");
  return answer;
}

// "5.7.1" at the front, if it is of the class.
std::string_view take_status(std::string_view& line, char of_class) {
  std::size_t at = 0;
  unsigned dots = 0;
  while (at < line.size() && (base::is_digit(line[at]) || line[at] == '.')) dots += line[at++] == '.' ? 1 : 0;
  const std::string_view status = line.substr(0, at);
  if (dots != 2 || status.size() < 5 || status[1] != '.' || status.back() == '.' || status.find("..") != std::string_view::npos ||
      (at < line.size() && line[at] != ' ') || at > 9)
    return {};
  line.remove_prefix(std::min(at + 1, line.size()));
  return status[0] == of_class ? status : std::string_view();
}

// "550 5.7.1 text", or several such lines, "550-…" all but the last.
Result<Answer> reply_answer(std::string_view data) {
  Answer answer;
  answer.kind = Answer::Kind::reply;
  const auto whole = take_text(data);
  if (!whole || !data.empty()) return broken("a reply is cut short");
  if (whole->size() > kReplyBytes) return broken("a reply is too long");
  for (std::string_view line : base::split(*whole, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() && answer.code != 0) continue;
    const auto code = base::number_from<unsigned>(line.substr(0, 3));
    if (!code || *code < 400 || *code > 599 || (line.size() > 3 && line[3] != ' ' && line[3] != '-')) return broken("a reply without a code from 400 to 599");
    if (answer.code != 0 && static_cast<int>(*code) != answer.code) return broken("a reply with two codes");
    const bool first = answer.code == 0;
    answer.code = static_cast<int>(*code);
    const char of_class = line[0];
    line.remove_prefix(std::min<std::size_t>(4, line.size()));
    const std::string_view status = take_status(line, of_class);
    if (first) answer.status = status;
    else answer.value += '\n';
    for (std::size_t i = 0; i < line.size(); ++i) {
      answer.value += base::is_control(line[i]) ? ' ' : line[i];
      // libmilter's manual has "%" written twice, since Sendmail takes the text for a format.
      if (line[i] == '%' && i + 1 < line.size() && line[i + 1] == '%') ++i;
    }
  }
  if (answer.status.empty()) answer.status = answer.code < 500 ? "4.7.1" : "5.7.1";
  return answer;
}

}  // namespace

std::string packet(char command, std::string_view data) {
  std::string out = number(static_cast<std::uint32_t>(data.size() + 1));
  out += command;
  out += data;
  return out;
}

std::string number(std::uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
  return out;
}

std::string text(std::string_view value) {
  std::string out(value.substr(0, value.find('\0')));
  out += '\0';
  return out;
}

std::string encode_offer(const Offer& offer) {
  return packet(command::kNegotiate, number(offer.version) + number(offer.actions) + number(offer.steps));
}

Result<Offer> parse_offer(std::string_view data) {
  if (data.size() < 12) return broken("the negotiation is cut short");
  Offer offer;
  offer.version = number_at(data, 0);
  offer.actions = number_at(data, 4);
  offer.steps = number_at(data, 8);
  if (offer.version < kOldestVersion || offer.version > kVersion) return broken("version " + std::to_string(offer.version) + " of the protocol");
  data.remove_prefix(12);
  while (!data.empty()) {
    if (data.size() < 4) return broken("a list of macros is cut short");
    const std::uint32_t stage = number_at(data, 0);
    data.remove_prefix(4);
    const auto names = take_text(data);
    if (!names) return broken("a list of macros is cut short");
    if (stage >= kStages) return broken("a list of macros for a moment that there is not");
    std::vector<std::string>& list = offer.macros[stage].emplace();
    for (const std::string_view part : base::split(*names, ' '))
      for (const std::string_view name : base::split(part, ',')) {
        if (name.empty()) continue;
        if (name.size() > kMacroNameBytes || list.size() == kMacrosAtOnce) return broken("a list of macros is too long");
        list.emplace_back(name);
      }
  }
  return offer;
}

Result<Answer> parse_answer(char letter, std::string_view data) {
  using Of = Answer::Kind;
  Answer answer;
  const auto plain = [&](Of kind) -> Result<Answer> {
    // Some milters send a body of nothing but NULs with a plain answer; libmilter sends none.
    if (data.find_first_not_of('\0') != std::string_view::npos) return broken("an answer with something behind it");
    answer.kind = kind;
    return answer;
  };
  switch (letter) {
    case 'c': return plain(Of::proceed);
    case 'a': return plain(Of::accept);
    case 'd': return plain(Of::discard);
    case 'r': return plain(Of::reject);
    case 't': return plain(Of::tempfail);
    case 's': return plain(Of::skip);
    case 'p': return plain(Of::progress);
    case '4': return plain(Of::shut_down);
    case 'f': return plain(Of::connection_failed);
    case 'y': return reply_answer(data);
    case 'h': answer.kind = Of::add_header; return header_answer(std::move(answer), data, false);
    case 'i': answer.kind = Of::insert_header; return header_answer(std::move(answer), data, true);
    case 'm': answer.kind = Of::change_header; return header_answer(std::move(answer), data, true);
    case 'e': answer.kind = Of::change_from; return address_answer(std::move(answer), data, true);
    case '+': answer.kind = Of::add_recipient; return address_answer(std::move(answer), data, false);
    case '2': answer.kind = Of::add_recipient; return address_answer(std::move(answer), data, true);
    case '-': answer.kind = Of::delete_recipient; return address_answer(std::move(answer), data, false);
    case 'b':
      answer.kind = Of::replace_body;
      answer.value = data;
      return answer;
    case 'q': {
      answer.kind = Of::quarantine;
      const auto reason = take_text(data);
      if (!reason || !data.empty()) return broken("a reason is cut short");
      answer.value = base::printable(*reason, 200);
      return answer;
    }
    default: return broken("an answer that there is not: " + base::printable(std::string(1, letter), 8));
  }
}

}  // namespace postern::milter
