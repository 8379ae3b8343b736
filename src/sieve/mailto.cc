// SPDX-License-Identifier: Apache-2.0
#include "sieve/mailto.h"

#include "base/text.h"
#include "mail/address.h"
#include "mail/header.h"
#include "sieve/compiler.h"

#include <algorithm>
#include <array>

namespace postern::sieve {

namespace {

constexpr std::size_t kMostRecipients = 100, kMostFields = 100, kLongest = 64 * 1024;

int hex(char c) {
  const char l = base::ascii_lower(c);
  return base::is_digit(c) ? c - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

// Nothing for a '%' without two hexadecimal digits, and for what is no text then.
std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size() || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0) return std::nullopt;
    out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
    i += 2;
  }
  if (!base::is_utf8(out) || out.find('\0') != std::string::npos) return std::nullopt;
  return out;
}

// RFC 5436 section 2.7: what says who sent a message, when and how, is not for a URI to set.
bool is_settable(std::string_view name) {
  constexpr std::array<std::string_view, 9> kNever = {"from", "date", "message-id", "auto-submitted", "received", "return-path", "sender", "mime-version", "x-sieve"};
  if (base::starts_with_ignoring_case(name, "content-") || base::starts_with_ignoring_case(name, "resent-")) return false;
  return std::none_of(kNever.begin(), kNever.end(), [&](std::string_view never) { return base::equal_ignoring_case(name, never); });
}

}  // namespace

std::string uri_scheme(std::string_view uri) {
  const auto colon = uri.find(':');
  if (colon == std::string_view::npos || colon == 0 || !base::is_alpha(uri.front())) return {};
  const std::string_view scheme = uri.substr(0, colon);
  const bool good = std::all_of(scheme.begin(), scheme.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '+' || c == '-' || c == '.'; });
  return good ? base::lower(scheme) : std::string();
}

std::optional<MailTo> parse_mailto(std::string_view uri, std::string& problem) {
  const auto refuse = [&](std::string why) -> std::optional<MailTo> {
    problem = std::move(why);
    return std::nullopt;
  };
  if (uri_scheme(uri) != "mailto") return refuse("the method is not mailto:");
  if (uri.size() > kLongest) return refuse("the mailto: URI is too long");
  if (std::any_of(uri.begin(), uri.end(), [](char c) { return c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '#'; }))
    return refuse("the mailto: URI has a character that must be written as %XX");
  uri.remove_prefix(uri.find(':') + 1);
  const auto question = uri.find('?');
  const std::string_view path = uri.substr(0, question), query = question == std::string_view::npos ? std::string_view() : uri.substr(question + 1);
  MailTo made;
  // Several addresses have a comma between them, which RFC 5436 wants as %2C and many write as it is.
  const auto add = [&](std::vector<std::string>& list, std::string_view text) {
    const mail::AddressList parsed = mail::parse_address_list(text);
    if (parsed.grouped || parsed.cut || parsed.addresses.empty()) {
      problem = "\"" + base::printable(text, 80) + "\" in the mailto: URI is not a mail address";
      return false;
    }
    for (const mail::ListedAddress& entry : parsed.addresses) {
      auto address = redirect_address(entry.raw);
      if (!address) {
        problem = "\"" + base::printable(entry.raw, 80) + "\" in the mailto: URI is not a mail address";
        return false;
      }
      const auto has = [&](const std::vector<std::string>& other) { return std::find(other.begin(), other.end(), *address) != other.end(); };
      if (!has(made.to) && !has(made.cc) && !has(made.bcc)) list.push_back(std::move(*address));
      if (made.to.size() + made.cc.size() + made.bcc.size() > kMostRecipients) {
        problem = "the mailto: URI has more than " + std::to_string(kMostRecipients) + " recipients";
        return false;
      }
    }
    return true;
  };
  if (!path.empty()) {
    const auto text = decoded(path);
    if (!text) return refuse("the mailto: URI has a wrong %XX");
    if (!add(made.to, *text)) return std::nullopt;
  }
  if (!query.empty())
    for (const std::string_view piece : base::split(query, '&')) {
      const auto equals = piece.find('=');
      if (equals == std::string_view::npos || equals == 0) return refuse("the mailto: URI has a field without \"=\"");
      const auto name = decoded(piece.substr(0, equals)), value = decoded(piece.substr(equals + 1));
      if (!name || !value) return refuse("the mailto: URI has a wrong %XX");
      if (base::equal_ignoring_case(*name, "body")) {
        made.body = *value;
        continue;
      }
      std::vector<std::string>* list = base::equal_ignoring_case(*name, "to") ? &made.to : base::equal_ignoring_case(*name, "cc") ? &made.cc : base::equal_ignoring_case(*name, "bcc") ? &made.bcc : nullptr;
      if (list != nullptr) {
        if (!value->empty() && !add(*list, *value)) return std::nullopt;
        continue;
      }
      if (!mail::is_field_name(*name)) return refuse("\"" + base::printable(*name, 80) + "\" in the mailto: URI can't be the name of a header field");
      if (made.fields.size() >= kMostFields) return refuse("the mailto: URI has more than " + std::to_string(kMostFields) + " fields");
      if (is_settable(*name)) made.fields.emplace_back(*name, *value);
    }
  if (made.to.empty() && made.cc.empty() && made.bcc.empty()) return refuse("the mailto: URI has no recipient");
  return made;
}

}  // namespace postern::sieve
