// SPDX-License-Identifier: Apache-2.0
#include "mail/address_places.h"

#include "base/text.h"

#include <algorithm>
#include <array>

namespace postern::mail {
namespace {

constexpr std::array<std::string_view, 7> kAddressFields = {"From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Disposition-Notification-To"};
constexpr std::array<std::string_view, 4> kIdentifierFields = {"Message-ID", "In-Reply-To", "References", "Resent-Message-ID"};
constexpr std::string_view kResent = "Resent-";

template <class List>
bool is_one_of(std::string_view name, const List& names) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view known) { return base::equal_ignoring_case(name, known); });
}

// What parts words of such a field.
bool is_separator(char c) { return c <= ' ' ? static_cast<unsigned char>(c) <= ' ' : std::string_view("<>,;:()\"").find(c) != std::string_view::npos; }

void find_words(std::string_view raw, std::size_t offset, bool identifier, std::size_t most, std::vector<AddressPlace>& places) {
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t at = 0; at < raw.size() && places.size() < most;) {
    const char c = raw[at];
    if (c == '\\' && (quoted || depth > 0)) {
      at += 2;
      continue;
    }
    if (quoted || depth > 0) {
      if (quoted) quoted = c != '"';
      else if (c == '(') ++depth;
      else if (c == ')') --depth;
      // A quoted local part is no word of ours, and neither is what hangs on to it.
      if (c == '"' && !quoted && depth == 0)
        while (at + 1 < raw.size() && !is_separator(raw[at + 1])) ++at;
      ++at;
      continue;
    }
    if (is_separator(c)) {
      quoted = c == '"';
      depth = c == '(' ? 1 : 0;
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < raw.size() && !is_separator(raw[end])) ++end;
    const std::string_view word = raw.substr(at, end - at);
    const auto sign = word.find('@');
    if (sign != std::string_view::npos && sign > 0 && sign + 1 < word.size() && !word.starts_with("=?")) places.push_back({offset + at, word.size(), identifier});
    at = end;
  }
}

}  // namespace

std::vector<AddressPlace> address_places(std::string_view header, std::size_t most) {
  std::vector<AddressPlace> places;
  for (const HeaderField& field : parse_header(header).fields) {
    std::string_view name = field.name;
    const bool identifier = is_one_of(name, kIdentifierFields);
    if (base::starts_with_ignoring_case(name, kResent)) name.remove_prefix(kResent.size());
    if (!identifier && !is_one_of(name, kAddressFields)) continue;
    find_words(field.raw, static_cast<std::size_t>(field.raw.data() - header.data()), identifier, most, places);
  }
  return places;
}

}  // namespace postern::mail
