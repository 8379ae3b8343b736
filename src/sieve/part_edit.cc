// SPDX-License-Identifier: Apache-2.0
#include "sieve/part_edit.h"

#include "base/random.h"
#include "base/text.h"
#include "mail/charset.h"
#include "mail/encode.h"

#include <algorithm>
#include <vector>

namespace postern::sieve {

namespace {

constexpr std::string_view kMimeVersion = "MIME-Version";

// Each field of a header text with its name, the line end included.
struct FieldText {
  std::string_view name, text;
};

std::vector<FieldText> fields_of(std::string_view header) {
  const mail::Header parsed = mail::parse_header(header);
  std::vector<FieldText> list;
  for (std::size_t i = 0; i < parsed.fields.size(); ++i) {
    const std::size_t begin = parsed.fields[i].offset;
    const std::size_t end = i + 1 < parsed.fields.size() ? parsed.fields[i + 1].offset : parsed.bytes;
    list.push_back({parsed.fields[i].name, header.substr(begin, end - begin)});
  }
  return list;
}

// Needs no transfer encoding, and has no line that could be a boundary around it. A CR alone must never be sent (RFC 5321 section 2.3.8).
bool is_short_ascii(std::string_view text) {
  constexpr std::size_t kLongest = 998;
  if (text.starts_with("--") || text.find("\n--") != std::string_view::npos) return false;
  std::size_t column = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\r' && (i + 1 == text.size() || text[i + 1] != '\n')) return false;
    if (c == '\n') column = 0;
    else if (++column > kLongest || c == '\0' || static_cast<unsigned char>(c) >= 0x80) return false;
  }
  return true;
}

// A Content-Type value with its character set named anew.
std::string with_charset(std::string_view value) {
  std::string out;
  bool quoted = false;
  std::size_t begin = 0;
  const auto piece = [&](std::size_t end) {
    const std::string_view text = value.substr(begin, end - begin);
    if (base::starts_with_ignoring_case(base::trim(text), "charset")) return;
    out.append(out.empty() ? "" : ";").append(text);
  };
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '"') quoted = !quoted;
    else if (value[i] == '\\' && quoted) ++i;
    else if (value[i] == ';' && !quoted) {
      piece(i);
      begin = i + 1;
    }
  }
  piece(value.size());
  return out + "; charset=utf-8";
}

std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '\n') out += "<br>\n";
    else out += c;
  }
  return out;
}

// Behind the start tag of the body; at the begin of a page without one.
std::size_t html_body(std::string_view html) {
  for (std::size_t at = html.find('<'); at != std::string_view::npos; at = html.find('<', at + 1)) {
    if (!base::starts_with_ignoring_case(html.substr(at + 1), "body")) continue;
    const auto end = html.find('>', at);
    return end == std::string_view::npos ? 0 : end + 1;
  }
  return 0;
}

std::string content_type_of(const mail::Part& part) {
  std::string value = mail::field_value(part.header, "Content-Type");
  return value.empty() ? "text/plain" : value;
}

}  // namespace

std::string header_with(std::string_view header, std::string_view name, std::string_view value, std::string_view line_end) {
  std::string out;
  const std::string field = value.empty() ? std::string() : mail::folded_field(name, value, line_end);
  bool done = value.empty();
  for (const FieldText& one : fields_of(header)) {
    if (!base::equal_ignoring_case(one.name, name)) {
      out.append(one.text);
      if (!out.ends_with('\n')) out.append(line_end);
    } else if (!done) {
      out += field;
      done = true;
    }
  }
  return done ? out : out + field;
}

std::string mime_fields(std::string_view header, bool of_mime) {
  std::string out;
  for (const FieldText& one : fields_of(header)) {
    const bool content = base::starts_with_ignoring_case(one.name, "Content-");
    if (base::equal_ignoring_case(one.name, kMimeVersion) || content != of_mime) continue;
    out.append(one.text);
    if (!out.ends_with('\n')) out += "\r\n";
  }
  return out;
}

std::string with_8bit_said(std::string header, std::string_view body, std::string_view line_end) {
  if (std::none_of(body.begin(), body.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) return header;
  const std::string known = mail::parse_structure(header).encoding;
  if (!known.empty() && known != "7bit") return header;
  return header_with(header, "Content-Transfer-Encoding", "8bit", line_end);
}

EncodedText encode_text(std::string_view type, std::string_view text, std::string_view line_end) {
  EncodedText made;
  const bool plain = is_short_ascii(text);
  const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  made.fields = "Content-Type: " + std::string(type) + "; charset=" + (ascii ? "us-ascii" : "utf-8") + std::string(line_end);
  made.fields += "Content-Transfer-Encoding: " + std::string(plain ? "7bit" : "quoted-printable") + std::string(line_end);
  if (!plain) {
    made.body = mail::encode_quoted_printable(text, line_end);
  } else {
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
      if (text[i] == '\n') made.body.append(line_end);
      else made.body += text[i];
    }
  }
  return made;
}

bool is_mime_entity(std::string_view text) { return text.starts_with("\n") || text.starts_with("\r\n") || !mail::parse_header(text).fields.empty(); }

std::string_view part_text(const mail::Part& part) {
  const char* begin = part.header_text.data();
  return {begin, static_cast<std::size_t>(part.body.data() + part.body.size() - begin)};
}

void replace_part(Message& message, const mail::Part& part, std::string_view entity) {
  const mail::MessageView& whole = message.whole();
  const std::string_view text = whole.text(), old = part_text(part);
  const auto begin = static_cast<std::size_t>(old.data() - text.data());
  const mail::Header& header = whole.header();
  std::string body(text.substr(header.body_offset, begin - header.body_offset));
  body.append(entity).append(text.substr(begin + old.size()));
  message.replace(std::string(text.substr(0, header.bytes)), std::move(body));
}

void replace_content(Message& message, std::string_view fields, std::string_view body) {
  const std::string_view header = message.header().text().substr(0, message.header().header().bytes);
  std::string text = mime_fields(header, false);
  text.append(kMimeVersion).append(": 1.0").append(message.line_end()).append(fields);
  message.replace(std::move(text), std::string(body));
}

const mail::Part* first_text_part(const mail::Part& part) {
  if (part.type == "text") {
    return base::starts_with_ignoring_case(mail::field_value(part.header, "Content-Disposition"), "attachment") ? nullptr : &part;
  }
  if (part.type != "multipart") return nullptr;
  for (const mail::Part& child : part.children)
    if (const mail::Part* found = first_text_part(child)) return found;
  return nullptr;
}

void add_prefix(Message& message, std::string_view prefix) {
  constexpr std::size_t kLargest = 64 * 1024 * 1024;
  const mail::Part& top = message.whole().structure();
  const mail::Part* part = first_text_part(top);
  if (part == nullptr) return;
  std::string text = mail::decoded_body(*part, kLargest);
  if (text.size() >= kLargest || !base::is_utf8(text)) return;
  const std::string line_end(message.line_end());
  if (part->subtype == "html") text.insert(html_body(text), "<p>" + html_escaped(prefix) + "</p>" + line_end);
  else text.insert(0, std::string(prefix) + (prefix.ends_with('\n') ? "" : line_end));

  const EncodedText encoded = encode_text("text/plain", text, line_end);
  const bool seven_bit = encoded.fields.find("7bit") != std::string::npos;
  std::string header(part->header_text);
  header = header_with(header, "Content-Type", with_charset(content_type_of(*part)), line_end);
  header = header_with(header, "Content-Transfer-Encoding", seven_bit ? "7bit" : "quoted-printable", line_end);
  if (part == &top) {
    header = header_with(header, kMimeVersion, "1.0", line_end);
    message.replace(std::move(header), encoded.body);
  } else {
    replace_part(message, *part, header + line_end + encoded.body);
  }
}

std::string new_boundary(std::initializer_list<std::string_view> texts) {
  for (;;) {
    std::string boundary = "postern-" + base::random_name();
    if (std::none_of(texts.begin(), texts.end(), [&](std::string_view text) { return text.find(boundary) != std::string_view::npos; })) return boundary;
  }
}

}  // namespace postern::sieve
