// SPDX-License-Identifier: Apache-2.0
#include "sieve/html_text.h"

#include "base/text.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace postern::sieve {

namespace {

struct Entity {
  std::string_view name, text;
};
constexpr std::array<Entity, 14> kEntities = {{{"amp", "&"}, {"lt", "<"}, {"gt", ">"}, {"quot", "\""}, {"apos", "'"}, {"nbsp", " "}, {"copy", "\xc2\xa9"},
    {"reg", "\xc2\xae"}, {"euro", "\xe2\x82\xac"}, {"auml", "\xc3\xa4"}, {"ouml", "\xc3\xb6"}, {"uuml", "\xc3\xbc"}, {"szlig", "\xc3\x9f"}, {"eacute", "\xc3\xa9"}}};

void append_utf8(std::string& out, std::uint32_t code) {
  if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) code = 0xfffd;
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr std::array<unsigned, 4> kLead = {0, 0xc0, 0xe0, 0xf0};
  out += static_cast<char>(kLead[static_cast<std::size_t>(more)] | (code >> (6 * more)));
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | ((code >> (6 * i)) & 63));
}

// "&name;" or "&#number;" at the start of `text`; how many bytes it takes, 0 if it is none.
std::size_t entity(std::string_view text, std::string& out) {
  constexpr std::size_t kLongest = 12;
  const auto end = text.substr(0, kLongest).find(';');
  if (end == std::string_view::npos) return 0;
  const std::string_view name = text.substr(1, end - 1);
  if (name.size() >= 2 && name[0] == '#') {
    const bool hex = base::ascii_lower(name[1]) == 'x';
    std::uint32_t code = 0;
    const std::string_view digits = name.substr(hex ? 2 : 1);
    if (digits.empty() || digits.size() > 8) return 0;
    for (const char c : digits) {
      const char l = base::ascii_lower(c);
      if (base::is_digit(c)) code = code * (hex ? 16 : 10) + static_cast<std::uint32_t>(c - '0');
      else if (hex && l >= 'a' && l <= 'f') code = code * 16 + static_cast<std::uint32_t>(l - 'a' + 10);
      else return 0;
    }
    append_utf8(out, code);
    return end + 1;
  }
  for (const Entity& known : kEntities)
    if (known.name == name) {
      out += known.text;
      return end + 1;
    }
  return 0;
}

// The name of the tag at `at`, "/" in front of a closing one's.
std::string tag_name(std::string_view html, std::size_t at) {
  std::string name;
  for (std::size_t i = at + 1; i < html.size() && name.size() < 12; ++i) {
    const char c = base::ascii_lower(html[i]);
    if (!base::is_alpha(c) && !base::is_digit(c) && !(c == '/' && name.empty())) break;
    name += c;
  }
  return name;
}

// Behind the '>' that ends the tag at `at`; a '>' in quotes does not end it.
std::size_t behind_tag(std::string_view html, std::size_t at) {
  char quote = '\0';
  for (std::size_t i = at + 1; i < html.size(); ++i) {
    if (quote != '\0') {
      if (html[i] == quote) quote = '\0';
    } else if (html[i] == '>') {
      return i + 1;
    } else if ((html[i] == '"' || html[i] == '\'') && html[i - 1] == '=') {
      quote = html[i];
    }
  }
  return html.size();
}

}  // namespace

std::string html_text(std::string_view html) {
  constexpr std::array<std::string_view, 14> kInline = {"b", "i", "u", "em", "strong", "span", "font", "a", "small", "big", "sub", "sup", "tt", "code"};
  std::string out;
  out.reserve(html.size() / 2);
  for (std::size_t at = 0; at < html.size();) {
    if (html[at] == '&') {
      if (const std::size_t taken = entity(html.substr(at), out); taken > 0) {
        at += taken;
        continue;
      }
    } else if (html[at] == '<') {
      if (html.substr(at).starts_with("<!--")) {
        const auto end = html.find("-->", at + 4);
        at = end == std::string_view::npos ? html.size() : end + 3;
        continue;
      }
      const std::string name = tag_name(html, at);
      if (!name.empty() || html.substr(at).starts_with("<!") || html.substr(at).starts_with("<?")) {
        at = behind_tag(html, at);
        if (name == "script" || name == "style") {
          // To the closing tag of the same name; what looks like markup in between is none.
          for (; at < html.size(); ++at) {
            at = std::min(html.find("</", at), html.size());
            if (at < html.size() && tag_name(html, at) == "/" + name) break;
          }
          continue;
        }
        const std::string_view bare = std::string_view(name).substr(name.starts_with("/") ? 1 : 0);
        if (std::find(kInline.begin(), kInline.end(), bare) == kInline.end() && !out.empty() && out.back() != ' ' && out.back() != '\n') out += ' ';
        continue;
      }
    }
    out += html[at++];
  }
  return out;
}

}  // namespace postern::sieve
