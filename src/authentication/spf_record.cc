// SPDX-License-Identifier: Apache-2.0
#include "authentication/spf_record.h"

#include "base/text.h"
#include "net/dns_answer.h"

#include <algorithm>

namespace postern::authentication {
namespace {

constexpr std::string_view kVersion = "v=spf1";
constexpr std::size_t kNameBytes = 253;
constexpr std::string_view kDelimiters = ".-+,/_=";

Error wrong(std::string_view term) { return {Kind::invalid, "bad term " + base::printable(term, 80)}; }

bool is_name(std::string_view text) {
  if (text.empty() || !base::is_alpha(text.front())) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-' || c == '_' || c == '.'; });
}

// RFC 7208 section 7.1. Gives what stands behind the macro, which begins at text[0] == '%'; nothing: it is none.
struct Macro {
  char letter = 0;             // 0: a literal
  char literal = 0;            // for %% %_; '-' for %-
  std::size_t digits = 0;      // 0: all
  bool reverse = false;
  std::string_view delimiters;
  std::size_t size = 0;
};
std::optional<Macro> read_macro(std::string_view text, bool explaining) {
  Macro macro;
  if (text.size() < 2) return std::nullopt;
  if (text[1] == '%' || text[1] == '_' || text[1] == '-') {
    macro.literal = text[1];
    macro.size = 2;
    return macro;
  }
  const auto end = text.find('}');
  if (text[1] != '{' || end == std::string_view::npos || end < 3) return std::nullopt;
  std::string_view inside = text.substr(2, end - 2);
  macro.size = end + 1;
  macro.letter = inside.front();
  inside.remove_prefix(1);
  const char lower = base::ascii_lower(macro.letter);
  if (std::string_view("slodiphv").find(lower) == std::string_view::npos && !(explaining && std::string_view("crt").find(lower) != std::string_view::npos)) return std::nullopt;
  const auto digits_end = static_cast<std::size_t>(std::find_if_not(inside.begin(), inside.end(), base::is_digit) - inside.begin());
  if (digits_end > 0) {
    // 128 labels are more than a name can have.
    const auto digits = base::number_from<unsigned long long>(inside.substr(0, digits_end));
    if (digits_end > 10 || !digits || *digits == 0) return std::nullopt;
    macro.digits = static_cast<std::size_t>(*digits);
    inside.remove_prefix(digits_end);
  }
  if (!inside.empty() && base::ascii_lower(inside.front()) == 'r') {
    macro.reverse = true;
    inside.remove_prefix(1);
  }
  if (inside.find_first_not_of(kDelimiters) != std::string_view::npos) return std::nullopt;
  macro.delimiters = inside;
  return macro;
}

bool is_macro_string(std::string_view text) {
  while (!text.empty()) {
    if (text.front() == '%') {
      const auto macro = read_macro(text, true);
      if (!macro) return false;
      text.remove_prefix(macro->size);
      continue;
    }
    if (text.front() < 0x21 || text.front() > 0x7e) return false;
    text.remove_prefix(1);
  }
  return true;
}

// RFC 7208 section 7.1: it ends with a label that can be a top one, or with a macro. c, r and t stand in explanations only.
bool is_domain_spec(std::string_view text) {
  bool ends_with_macro = false;
  std::string_view rest = text;
  while (!rest.empty()) {
    ends_with_macro = rest.front() == '%';
    if (!ends_with_macro) {
      if (rest.front() < 0x21 || rest.front() > 0x7e) return false;
      rest.remove_prefix(1);
      continue;
    }
    const auto macro = read_macro(rest, false);
    if (!macro) return false;
    rest.remove_prefix(macro->size);
  }
  if (text.empty()) return false;
  if (ends_with_macro) return true;
  if (text.ends_with('.')) text.remove_suffix(1);
  const auto dot = text.rfind('.');
  if (dot == std::string_view::npos) return false;
  const std::string_view top = text.substr(dot + 1);
  if (top.empty() || top.front() == '-' || top.back() == '-') return false;
  const bool plain = std::all_of(top.begin(), top.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-'; });
  return plain && !std::all_of(top.begin(), top.end(), base::is_digit);
}

// "24" as a length of a prefix: no leading zeros.
std::optional<unsigned> prefix_length(std::string_view digits, unsigned most) {
  if (digits.empty() || digits.size() > 3 || (digits.size() > 1 && digits.front() == '0')) return std::nullopt;
  const auto number = base::number_from<unsigned>(digits);
  if (!number || *number > most) return std::nullopt;
  return number;
}

// Takes "/24", "//64" or "/24//64" off the end of `text`. False: there is one that can't be.
bool take_lengths(std::string_view& text, Directive& directive) {
  const auto digits_at_end = [&] {
    std::size_t begin = text.size();
    while (begin > 0 && base::is_digit(text[begin - 1])) --begin;
    return begin;
  };
  std::size_t begin = digits_at_end();
  if (begin >= 2 && begin < text.size() && text.substr(begin - 2, 2) == "//") {
    const auto length = prefix_length(text.substr(begin), 128);
    if (!length) return false;
    directive.bits6 = *length;
    text = text.substr(0, begin - 2);
    begin = digits_at_end();
  }
  if (begin >= 1 && begin < text.size() && text[begin - 1] == '/') {
    const auto length = prefix_length(text.substr(begin), 32);
    if (!length) return false;
    directive.bits4 = *length;
    text = text.substr(0, begin - 1);
  }
  return true;
}

Result<void> read_network(Directive& directive, std::string_view text, std::string_view term) {
  const bool ipv4 = directive.mechanism == Mechanism::ip4;
  const auto slash = text.find('/');
  // Address::parse() takes IPv6 in brackets, and makes IPv4 of mapped addresses; neither is what the grammar has.
  const std::string_view address = text.substr(0, slash);
  const auto parsed = net::Address::parse(address);
  if (!parsed || address.find('[') != std::string_view::npos || (address.find(':') == std::string_view::npos) != ipv4) return wrong(term);
  directive.network = *parsed;
  if (slash == std::string_view::npos) return {};
  const auto length = prefix_length(text.substr(slash + 1), ipv4 ? 32 : 128);
  if (!length) return wrong(term);
  if (parsed->is_ipv4() && !ipv4) directive.bits4 = *length > 96 ? *length - 96 : 0;
  else (ipv4 ? directive.bits4 : directive.bits6) = *length;
  return {};
}

Result<Directive> read_directive(std::string_view term) {
  Directive directive;
  directive.text = std::string(term);
  std::string_view rest = term;
  if (std::string_view("+-?~").find(rest.front()) != std::string_view::npos) {
    directive.qualifier = rest.front();
    rest.remove_prefix(1);
  }
  const auto name_end = std::min(rest.find_first_of(":/"), rest.size());
  const std::string_view name = rest.substr(0, name_end);
  rest.remove_prefix(name_end);
  const bool colon = rest.starts_with(':');
  if (colon) rest.remove_prefix(1);
  static constexpr Mechanism kAll[] = {Mechanism::all, Mechanism::include, Mechanism::a, Mechanism::mx, Mechanism::ptr, Mechanism::ip4, Mechanism::ip6, Mechanism::exists};
  const auto* const known = std::find_if(std::begin(kAll), std::end(kAll), [&](Mechanism one) { return base::equal_ignoring_case(to_string(one), name); });
  if (known == std::end(kAll)) return wrong(term);
  directive.mechanism = *known;
  switch (directive.mechanism) {
    case Mechanism::all:
      if (colon || !rest.empty()) return wrong(term);
      return directive;
    case Mechanism::ip4:
    case Mechanism::ip6:
      if (!colon) return wrong(term);
      if (auto read = read_network(directive, rest, term); !read) return read.error();
      return directive;
    case Mechanism::a:
    case Mechanism::mx:
      if (!take_lengths(rest, directive)) return wrong(term);
      break;
    case Mechanism::include:
    case Mechanism::exists:
      if (!colon) return wrong(term);
      break;
    case Mechanism::ptr: break;
  }
  if (colon ? !is_domain_spec(rest) : !rest.empty()) return wrong(term);
  directive.domain = std::string(rest);
  return directive;
}

// The parts of `text` between any of the delimiters.
std::vector<std::string_view> split_at(std::string_view text, std::string_view delimiters) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find_first_of(delimiters);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string escaped(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (base::is_alpha(c) || base::is_digit(c) || std::string_view("-._~").find(c) != std::string_view::npos) out += c;
    else out.append(1, '%').append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
  }
  return out;
}

// %{i}: IPv4 as it is, IPv6 as 32 hexadecimal digits with dots between them.
std::string dotted(const net::Address& address) {
  if (address.is_ipv4()) return address.to_string();
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const char c : address.bytes()) {
    const auto byte = static_cast<unsigned char>(c);
    out.append(out.empty() ? "" : ".").append(1, digits[byte >> 4]).append(1, '.').append(1, digits[byte & 15]);
  }
  return out;
}

std::string value_of(char letter, const MacroFacts& facts) {
  const auto at = facts.sender.rfind('@');
  switch (letter) {
    case 's': return facts.sender;
    case 'l': return facts.sender.substr(0, at);
    case 'o': return at == std::string::npos ? std::string() : facts.sender.substr(at + 1);
    case 'd': return facts.domain;
    case 'i': return dotted(facts.client);
    case 'p': return facts.validated;
    case 'v': return facts.client.is_ipv4() ? "in-addr" : "ip6";
    case 'h': return facts.helo;
    case 'c': return facts.client.to_string();
    case 'r': return facts.receiver;
    case 't': return std::to_string(facts.now);
    default: return {};
  }
}

}  // namespace

std::string_view to_string(Mechanism mechanism) {
  switch (mechanism) {
    case Mechanism::all: return "all";
    case Mechanism::include: return "include";
    case Mechanism::a: return "a";
    case Mechanism::mx: return "mx";
    case Mechanism::ptr: return "ptr";
    case Mechanism::ip4: return "ip4";
    case Mechanism::ip6: return "ip6";
    case Mechanism::exists: break;
  }
  return "exists";
}

bool is_spf_record(std::string_view text) {
  return base::starts_with_ignoring_case(text, kVersion) && (text.size() == kVersion.size() || text[kVersion.size()] == ' ');
}

Result<SpfRecord> parse_spf_record(std::string_view text) {
  SpfRecord record;
  if (text.size() > kMostSpfBytes) return Error{Kind::invalid, "the record is too long"};
  bool redirects = false, explains = false;
  std::size_t count = 0;
  for (const std::string_view term : base::split(text.substr(kVersion.size()), ' ')) {
    if (term.empty()) continue;
    if (++count > kMostSpfTerms) return Error{Kind::invalid, "too many terms"};
    const auto end = term.find_first_of("=:/");
    if (end == std::string_view::npos || term[end] != '=') {
      auto directive = read_directive(term);
      if (!directive) return directive.error();
      record.directives.push_back(std::move(*directive));
      continue;
    }
    const std::string_view name = term.substr(0, end), value = term.substr(end + 1);
    const bool redirect = base::equal_ignoring_case(name, "redirect"), explanation = base::equal_ignoring_case(name, "exp");
    if (!is_name(name)) return wrong(term);
    if (redirect || explanation) {
      // Once each (RFC 7208 section 6).
      if (std::exchange(redirect ? redirects : explains, true) || !is_domain_spec(value)) return wrong(term);
      (redirect ? record.redirect : record.explanation) = std::string(value);
    } else if (!is_macro_string(value)) {
      return wrong(term);
    }
  }
  return record;
}

bool asks_validated_name(std::string_view text) {
  for (auto at = text.find("%{"); at != std::string_view::npos; at = text.find("%{", at + 2))
    if (at + 2 < text.size() && base::ascii_lower(text[at + 2]) == 'p') return true;
  return false;
}

Result<std::string> expand_macros(std::string_view text, const MacroFacts& facts, bool explaining) {
  std::string out;
  while (!text.empty()) {
    if (text.front() != '%') {
      out += text.front();
      text.remove_prefix(1);
      continue;
    }
    const auto macro = read_macro(text, explaining);
    if (!macro) return Error{Kind::invalid, "bad macro " + base::printable(text, 40)};
    text.remove_prefix(macro->size);
    if (macro->letter == 0) {
      out += macro->literal == '-' ? std::string_view("%20") : macro->literal == '_' ? std::string_view(" ") : std::string_view("%");
      continue;
    }
    const std::string value = value_of(base::ascii_lower(macro->letter), facts);
    std::vector<std::string_view> parts{value};
    if (macro->digits > 0 || macro->reverse || !macro->delimiters.empty()) parts = split_at(value, macro->delimiters.empty() ? std::string_view(".") : macro->delimiters);
    if (macro->reverse) std::reverse(parts.begin(), parts.end());
    if (macro->digits > 0 && parts.size() > macro->digits) parts.erase(parts.begin(), parts.end() - static_cast<std::ptrdiff_t>(macro->digits));
    std::string joined;
    for (std::size_t i = 0; i < parts.size(); ++i) joined.append(i == 0 ? "" : ".").append(parts[i]);
    out += base::is_alpha(macro->letter) && macro->letter < 'a' ? escaped(joined) : joined;
  }
  return out;
}

Result<std::string> expand_domain(std::string_view text, const MacroFacts& facts) {
  auto name = expand_macros(text, facts, false);
  if (!name) return name;
  if (name->ends_with('.')) name->pop_back();
  while (name->size() > kNameBytes) {
    const auto dot = name->find('.');
    if (dot == std::string::npos) return Error{Kind::invalid, "a label too long"};
    name->erase(0, dot + 1);
  }
  return name;
}

}  // namespace postern::authentication
