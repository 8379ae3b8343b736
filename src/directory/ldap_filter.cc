// SPDX-License-Identifier: Apache-2.0
#include "directory/ldap_filter.h"

#include "base/percent.h"
#include "base/text.h"

#include <algorithm>

namespace postern::directory {
namespace {

Error wrong(const char* expected) { return {Kind::invalid, std::string("expected ") + expected}; }

}  // namespace

std::string escape_for_filter(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '(' && c != ')' && c != '*' && c != '\\') {
      out += c;
    } else {
      out += '\\';
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
  return out;
}

std::string filter_for(std::string_view pattern, std::string_view address, const conf::Ldap& settings) {
  const auto at = address.rfind('@');
  const std::string_view domain = at == std::string_view::npos ? address : address.substr(at + 1);
  const std::string_view local = at == std::string_view::npos ? std::string_view() : address.substr(0, at);
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%' || i + 1 == pattern.size()) {
      out += pattern[i];
      continue;
    }
    switch (pattern[++i]) {
      case 'a': out += escape_for_filter(address); break;
      case 'l': out += escape_for_filter(local); break;
      case 'd': out += escape_for_filter(domain); break;
      case 'm': out += settings.mail_attribute; break;
      case 'o': out += settings.alternate_attribute.empty() ? settings.mail_attribute : settings.alternate_attribute; break;
      default: out += pattern[i];
    }
  }
  return out;
}

Result<LdapQuestion> parse_ldap_url(std::string_view url) {
  if (url.size() > kMaxUrlBytes) return wrong("at most 1024 bytes");
  if (!base::starts_with_ignoring_case(url, "ldap:///")) return wrong("ldap:///DN?attribute?scope?filter, without a host");
  const auto parts = base::split(url.substr(8), '?');
  if (parts.size() > 4) return wrong("no extensions behind the filter");
  LdapQuestion question;
  std::string texts[4];
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto text = base::percent_decoded(parts[i]);
    if (!text || text->find('\0') != std::string::npos) return wrong("two hexadecimal digits behind each percent sign, and no NUL");
    texts[i] = std::move(*text);
  }
  question.base = std::move(texts[0]);
  question.attribute = std::move(texts[1]);
  const bool named = !question.attribute.empty() && std::all_of(question.attribute.begin(), question.attribute.end(), [](char c) {
    return base::is_alpha(c) || base::is_digit(c) || c == '-' || c == '.' || c == ';';
  });
  if (!named) return wrong("one attribute");
  if (base::equal_ignoring_case(texts[2], "one")) question.scope = conf::Ldap::Scope::one;
  else if (base::equal_ignoring_case(texts[2], "sub")) question.scope = conf::Ldap::Scope::sub;
  else if (!texts[2].empty() && !base::equal_ignoring_case(texts[2], "base")) return wrong("base, one or sub as scope");
  question.filter = texts[3].empty() ? "(objectClass=*)" : std::move(texts[3]);
  return question;
}

}  // namespace postern::directory
