// SPDX-License-Identifier: Apache-2.0
#include "mail/part.h"

#include "base/text.h"
#include "mail/charset.h"

#include <algorithm>
#include <map>

namespace postern::mail {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }

// A structured value behind its first ";", one parameter after the other (RFC 2045 section 5.1). A comment behind a value is stepped over.
class ParameterReader {
 public:
  explicit ParameterReader(std::string_view value) : rest_(value) {}

  bool next(std::string& name, std::string& text) {
    while (skip_to_parameter()) {
      const std::size_t end = rest_.find_first_of("=;");
      if (end == std::string_view::npos) return false;
      name = base::lower(base::trim(rest_.substr(0, end)));
      rest_.remove_prefix(end);
      if (rest_.front() != '=') continue;
      rest_.remove_prefix(1);
      read_value(text);
      return true;
    }
    return false;
  }

 private:
  bool skip_to_parameter() {
    const auto at = rest_.find(';');
    if (at == std::string_view::npos) return false;
    rest_.remove_prefix(at + 1);
    return true;
  }

  void read_value(std::string& text) {
    text.clear();
    while (!rest_.empty() && (is_blank(rest_.front()) || rest_.front() == '\r' || rest_.front() == '\n')) rest_.remove_prefix(1);
    if (!rest_.empty() && rest_.front() == '"') {
      std::size_t i = 1;
      for (; i < rest_.size() && rest_[i] != '"'; ++i) {
        if (rest_[i] == '\\' && i + 1 < rest_.size()) ++i;
        text += rest_[i];
      }
      rest_.remove_prefix(std::min(i + 1, rest_.size()));
      return;
    }
    const std::size_t end = std::min(rest_.find_first_of("; \t(\r\n"), rest_.size());
    text = std::string(rest_.substr(0, end));
    rest_.remove_prefix(end);
  }

  std::string_view rest_;
};

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](std::size_t at) {
      const char c = at < text.size() ? base::ascii_lower(text[at]) : ' ';
      return base::is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    if (text[i] == '%' && digit(i + 1) >= 0 && digit(i + 2) >= 0) {
      out += static_cast<char>(digit(i + 1) * 16 + digit(i + 2));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

struct Budget {
  PartLimits limits;
  std::size_t parts = 0;
};

// If `line` (without its line end) is a boundary line: 1, the closing one: 2; else 0. RFC 2046 section 5.1.1: blanks may follow.
int boundary_line(std::string_view line, std::string_view boundary) {
  if (line.size() < boundary.size() + 2 || line[0] != '-' || line[1] != '-' || line.substr(2, boundary.size()) != boundary) return 0;
  std::string_view rest = line.substr(2 + boundary.size());
  const bool closing = rest.substr(0, 2) == "--";
  if (closing) rest.remove_prefix(2);
  return rest.find_first_not_of(" \t\r") == std::string_view::npos ? (closing ? 2 : 1) : 0;
}

void parse_part(std::string_view text, std::size_t depth, std::string_view default_subtype, Budget& budget, Part& part);

// Cuts a multipart's body at its boundary lines. The line end in front of a boundary belongs to the boundary.
void split_multipart(const std::string& boundary, std::size_t depth, Budget& budget, Part& part) {
  const std::string_view body = part.body;
  const std::string_view child_default = part.subtype == "digest" ? "rfc822" : "plain";
  std::size_t at = 0, begin = 0;
  bool inside = false, closed = false;
  const auto piece = [&](std::size_t end) {
    if (end > begin && body[end - 1] == '\n') --end;
    if (end > begin && body[end - 1] == '\r') --end;
    return body.substr(begin, end - begin);
  };
  const auto finish = [&](std::size_t end) {
    if (!inside) {
      part.preamble = piece(end);
    } else {
      part.children.emplace_back();
      parse_part(piece(end), depth + 1, child_default, budget, part.children.back());
    }
  };
  while (at < body.size() && !closed) {
    const auto newline = body.find('\n', at);
    const std::size_t end = newline == std::string_view::npos ? body.size() : newline;
    if (const int kind = boundary_line(body.substr(at, end - at), boundary); kind != 0) {
      finish(at);
      if (budget.parts >= budget.limits.parts) return;
      begin = newline == std::string_view::npos ? body.size() : newline + 1;
      inside = true;
      closed = kind == 2;
    }
    at = newline == std::string_view::npos ? body.size() : newline + 1;
  }
  if (closed) part.epilogue = body.substr(begin);
  else finish(body.size());
}

void parse_part(std::string_view text, std::size_t depth, std::string_view default_subtype, Budget& budget, Part& part) {
  ++budget.parts;
  part.header = parse_header(text);
  part.header_text = text.substr(0, part.header.bytes);
  part.body = text.substr(part.header.body_offset);
  part.encoding = base::lower(field_value(part.header, "content-transfer-encoding"));
  part.encoding = part.encoding.substr(0, part.encoding.find_first_of(" \t;("));
  if (default_subtype == "rfc822") {
    part.type = "message";
    part.subtype = "rfc822";
  }
  const std::string content_type = field_value(part.header, "content-type");
  if (!content_type.empty()) {
    const std::string media = base::lower(base::trim(std::string_view(content_type).substr(0, content_type.find_first_of(";("))));
    const auto slash = media.find('/');
    if (slash != std::string::npos && slash > 0 && slash + 1 < media.size()) {
      part.type = std::string(base::trim(std::string_view(media).substr(0, slash)));
      part.subtype = std::string(base::trim(std::string_view(media).substr(slash + 1)));
    }
    part.charset = parameter(content_type, "charset");
  }
  if (depth >= budget.limits.depth || budget.parts >= budget.limits.parts) return;
  if (part.type == "multipart") {
    const std::string boundary = parameter(content_type, "boundary");
    if (!boundary.empty() && boundary.size() <= 200) split_multipart(boundary, depth, budget, part);
  } else if (part.type == "message" && (part.subtype == "rfc822" || part.subtype == "global") && part.encoding != "base64" &&
             part.encoding != "quoted-printable") {
    part.children.emplace_back();
    parse_part(part.body, depth + 1, "plain", budget, part.children.back());
  }
}

}  // namespace

std::string field_value(const Header& header, std::string_view name) {
  for (const HeaderField& field : header.fields)
    if (base::equal_ignoring_case(field.name, name)) return unfold(field.raw);
  return {};
}

std::string parameter(std::string_view value, std::string_view wanted) { return find_parameter(value, wanted).value_or(std::string()); }

std::optional<std::string> find_parameter(std::string_view value, std::string_view wanted) {
  constexpr std::size_t kMostPieces = 100;  // RFC 2231 continuations
  ParameterReader in(value);
  std::string name, text;
  std::map<unsigned, std::pair<std::string, bool>> pieces;
  const std::string key = base::lower(wanted);
  while (in.next(name, text)) {
    if (name == key) return text;
    if (name.size() <= key.size() || !name.starts_with(key) || name[key.size()] != '*') continue;
    std::string_view suffix = std::string_view(name).substr(key.size() + 1);
    bool encoded = suffix.empty();
    if (!suffix.empty() && suffix.back() == '*') {
      encoded = true;
      suffix.remove_suffix(1);
    }
    const auto number = suffix.empty() ? std::optional<unsigned>(0) : base::number_from<unsigned>(suffix);
    if (number && *number < kMostPieces) pieces.try_emplace(*number, text, encoded);
  }
  if (pieces.empty()) return std::nullopt;
  std::string joined, charset;
  unsigned next = 0;
  for (auto& [number, piece] : pieces) {
    if (number != next++) break;
    std::string_view part = piece.first;
    if (piece.second && number == 0) {  // charset'language'text
      const auto first = part.find('\'');
      const auto second = first == std::string_view::npos ? first : part.find('\'', first + 1);
      if (second != std::string_view::npos) {
        charset = std::string(part.substr(0, first));
        part.remove_prefix(second + 1);
      }
    }
    joined += piece.second ? percent_decoded(part) : std::string(part);
  }
  if (!charset.empty())
    if (auto converted = to_utf8(joined, charset)) return *converted;
  return joined;
}

Part parse_structure(std::string_view message, const PartLimits& limits) {
  Budget budget{limits, 0};
  Part part;
  parse_part(message, 0, "plain", budget, part);
  return part;
}

std::vector<std::pair<std::string, std::string>> parameters(std::string_view value) {
  constexpr std::size_t kMost = 100;
  std::vector<std::pair<std::string, std::string>> all;
  ParameterReader in(value);
  for (std::string name, text; all.size() < kMost && in.next(name, text);) {
    name = name.substr(0, name.find('*'));
    if (name.empty() || std::any_of(all.begin(), all.end(), [&](const auto& known) { return known.first == name; })) continue;
    if (auto whole = find_parameter(value, name)) all.emplace_back(name, std::move(*whole));
  }
  return all;
}

std::string decoded_bytes(const Part& part, std::size_t limit_bytes) {
  if (part.encoding == "base64") return decode_base64(part.body, limit_bytes);
  if (part.encoding == "quoted-printable") return decode_quoted_printable(part.body, limit_bytes);
  return std::string(part.body.substr(0, limit_bytes));
}

std::string decoded_body(const Part& part, std::size_t limit_bytes) {
  std::string bytes = decoded_bytes(part, limit_bytes);
  if (part.type == "text" && !part.charset.empty())
    if (auto converted = to_utf8(bytes, part.charset)) return *converted;
  return bytes;
}

}  // namespace postern::mail
