// SPDX-License-Identifier: Apache-2.0
#include "conversion/part_change.h"

#include "base/text.h"
#include "conversion/entries.h"
#include "mail/encode.h"
#include "sieve/part_edit.h"

#include <algorithm>

namespace postern::conversion {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kNothing = "Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n";

// A parameter as it may stand in a field: quoted, or where it is not ASCII as RFC 2231 section 4 has it.
std::string parameter_text(std::string_view name, std::string_view value) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out = "; " + std::string(name);
  if (std::all_of(value.begin(), value.end(), [](char c) { return c >= ' ' && c < 0x7f; })) {
    out += "=\"";
    for (const char c : value) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    return out + '"';
  }
  out += "*=utf-8''";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (base::is_alpha(c) || base::is_digit(c) || c == '.' || c == '-' || c == '_') out += c;
    else ((out += '%') += kDigits[byte >> 4]) += kDigits[byte & 15];
  }
  return out;
}

std::string with_mail_lines(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) out += '\r';
    out += text[i];
  }
  return out;
}

struct Shape {
  bool ascii = true, lines = true;  // lines: short ones, ended by CRLF and nothing else
  bool dashes = false;              // a line that could be a boundary around it
};

Shape look_at(std::string_view text) {
  constexpr std::size_t kLongest = 998;
  Shape shape;
  std::size_t column = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (column == 0 && text.substr(i, 2) == "--") shape.dashes = true;
    if (static_cast<unsigned char>(c) >= 0x80) shape.ascii = false;
    if (c == '\0' || (c == '\n' && (i == 0 || text[i - 1] != '\r')) || (c == '\r' && (i + 1 == text.size() || text[i + 1] != '\n'))) shape.lines = false;
    if (c == '\n') column = 0;
    else if (++column > kLongest) shape.lines = false;
  }
  return shape;
}

struct Encoded {
  std::string name, body;
};

// RFC 2045 section 6, 2046 section 5.2.1: a message inside another is not encoded.
Encoded encode(std::string_view body, bool lines, bool is_message, const std::string& wish) {
  std::string text = lines ? with_mail_lines(body) : std::string(body);
  const Shape shape = look_at(text);
  if (is_message) return {shape.ascii ? "7bit" : "8bit", std::move(text)};
  const bool plain = shape.lines && !shape.dashes;
  if (plain && shape.ascii && (wish == "7bit" || wish == "8bit" || (wish.empty() && lines))) return {"7bit", std::move(text)};
  if (plain && wish == "8bit") return {"8bit", std::move(text)};
  if (lines && wish != "base64" && !shape.dashes) return {"quoted-printable", mail::encode_quoted_printable(text, kLineEnd)};
  return {"base64", mail::encode_base64(text, kLineEnd)};
}

std::string with_version(std::string header, bool begins_message) {
  return begins_message ? sieve::header_with(header, "MIME-Version", "1.0", kLineEnd) : header;
}

}  // namespace

std::string content_type(std::string_view type, std::string_view subtype, const std::vector<std::pair<std::string, std::string>>& parameters) {
  std::string value = std::string(type) + "/" + std::string(subtype);
  for (const auto& [name, text] : parameters) value += parameter_text(name, text);
  return value;
}

void Changes::change(const mail::Part& part, bool begins_message, const PartChange& change) {
  std::string header(part.header_text);
  if (!header.empty() && !header.ends_with('\n')) header += kLineEnd;
  std::string type = change.type.value_or(part.type), subtype = change.subtype.value_or(part.subtype);
  const auto set = [&](std::string_view name, const std::string& value) { header = sieve::header_with(header, name, value, kLineEnd); };
  if (change.header) {
    const std::string fields = sieve::mime_fields(with_mail_lines(*change.header), true);
    const mail::Part as_written = mail::parse_structure(fields);
    type = as_written.type;
    subtype = as_written.subtype;
    header = sieve::mime_fields(header, false) + fields;
  } else {
    if (change.type || change.subtype || !change.parameters.empty()) {
      std::vector<std::pair<std::string, std::string>> parameters;
      for (auto& known : mail::parameters(mail::field_value(part.header, "Content-Type"))) {
        const bool stays = (!change.type && !change.subtype) ||
                           std::any_of(change.copied.begin(), change.copied.end(), [&](const std::string& pattern) { return fits(pattern, known.first); });
        const bool replaced = std::any_of(change.parameters.begin(), change.parameters.end(), [&](const auto& one) { return base::equal_ignoring_case(one.first, known.first); });
        if (stays && !replaced) parameters.push_back(std::move(known));
      }
      parameters.insert(parameters.end(), change.parameters.begin(), change.parameters.end());
      set("Content-Type", content_type(type, subtype, parameters));
    }
    if (change.disposition) set("Content-Disposition", *change.disposition);
    if (change.description) set("Content-Description", mail::encode_words(*change.description));
  }
  const std::size_t begin = place(part.header_text.data());
  if (!change.body) {
    edits_.push_back({begin, place(part.body.data()), with_version(std::move(header), begins_message) + std::string(kLineEnd)});
    return;
  }
  const bool is_message = type == "message" && (subtype == "rfc822" || subtype == "global");
  Encoded encoded = encode(*change.body, change.lines.value_or(type == "text" || is_message), is_message, base::lower(change.encoding));
  set("Content-Transfer-Encoding", encoded.name);
  edits_.push_back({begin, place(part.body.data() + part.body.size()), with_version(std::move(header), begins_message) + std::string(kLineEnd) + encoded.body});
}

void Changes::remove(const mail::Part& part, const mail::Part* multipart, bool begins_message) {
  if (multipart != nullptr && !begins_message) {
    removed_[multipart].push_back(&part);
    return;
  }
  std::string header = sieve::mime_fields(part.header_text, false);
  edits_.push_back({place(part.header_text.data()), place(part.body.data() + part.body.size()), with_version(std::move(header) + std::string(kNothing), true) + std::string(kLineEnd)});
}

// From its boundary line to the one behind it.
Changes::Edit Changes::removal(std::string_view message, std::size_t begin, std::size_t end) {
  // The part begins behind the end of that line.
  const std::size_t line_end = begin == 0 ? 0 : begin - 1;
  const auto before = line_end == 0 ? std::string_view::npos : message.rfind('\n', line_end - 1);
  begin = before == std::string_view::npos ? 0 : before + 1;
  if (message.substr(end).starts_with('\r')) ++end;
  if (message.substr(end).starts_with('\n')) ++end;
  return {begin, end, {}};
}

std::string Changes::result() const {
  std::vector<Edit> edits = edits_;
  for (const auto& [multipart, parts] : removed_) {
    const bool all = parts.size() == multipart->children.size();
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::size_t begin = place(parts[i]->header_text.data()), end = place(parts[i]->body.data() + parts[i]->body.size());
      if (all && i == 0) edits.push_back({begin, end, std::string(kNothing) + std::string(kLineEnd)});
      else edits.push_back(removal(message_, begin, end));
    }
  }
  std::sort(edits.begin(), edits.end(), [](const Edit& a, const Edit& b) { return a.begin < b.begin; });
  std::string out;
  std::size_t at = 0;
  for (const Edit& edit : edits) {
    if (edit.begin < at) continue;  // two parts never share bytes; a removed one may begin at the end of another
    out.append(message_.substr(at, edit.begin - at)).append(edit.text);
    at = edit.end;
  }
  return out.append(message_.substr(at));
}

}  // namespace postern::conversion
