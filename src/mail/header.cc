// SPDX-License-Identifier: Apache-2.0
#include "mail/header.h"

#include "base/text.h"

namespace postern::mail {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

}  // namespace

bool is_field_name(std::string_view name) {
  if (name.empty()) return false;
  for (const char c : name)
    if (c <= ' ' || c >= 0x7f || c == ':') return false;  // bytes from 0x80 are negative or above 0x7f
  return true;
}

Header parse_header(std::string_view message, const HeaderLimits& limits) {
  Header header;
  std::size_t at = 0;
  while (at < message.size()) {
    auto newline = message.find('\n', at);
    const std::size_t next = newline == std::string_view::npos ? message.size() : newline + 1;
    std::size_t end = newline == std::string_view::npos ? message.size() : newline;
    if (end > at && newline != std::string_view::npos && message[end - 1] == '\r') --end;
    const std::string_view line = message.substr(at, end - at);

    if (line.empty() && newline != std::string_view::npos) {
      header.bytes = at;
      header.body_offset = next;
      header.has_body = true;
      return header;
    }
    if (is_blank(line.front()) && at > 0) {
      // Belongs to the field above, unless that one was left out.
      if (!header.cut) {
        HeaderField& field = header.fields.back();
        const std::size_t begin = static_cast<std::size_t>(field.raw.data() - message.data());
        field.raw = message.substr(begin, end - begin);
      }
    } else {
      const auto colon = line.find(':');
      std::string_view name = line.substr(0, colon);
      while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);  // "Name : value", RFC 5322 section 4.5
      if (colon == std::string_view::npos || !is_field_name(name)) {
        header.bytes = header.body_offset = at;
        header.has_body = true;
        return header;
      }
      if (header.fields.size() >= limits.fields || next > limits.bytes) header.cut = true;
      if (!header.cut) header.fields.push_back({name, line.substr(colon + 1), at});
    }
    at = next;
  }
  header.bytes = header.body_offset = message.size();
  return header;
}

std::string unfold(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const bool crlf = raw[i] == '\r' && i + 1 < raw.size() && raw[i + 1] == '\n';
    if (crlf || raw[i] == '\n') {
      i += crlf ? 1 : 0;
      continue;
    }
    out += raw[i];
  }
  const std::string_view trimmed = base::trim(out);
  return trimmed.size() == out.size() ? out : std::string(trimmed);
}

}  // namespace postern::mail
