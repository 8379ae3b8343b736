// SPDX-License-Identifier: Apache-2.0
#include "authentication/results.h"

#include "base/text.h"

#include <algorithm>

namespace postern::authentication {
namespace {

// RFC 2045 section 5.1, and what keeps an address in one word (RFC 8601 section 2.2).
bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) > ' ' && c != 0x7f && std::string_view("()<>,;:\\\"/[]?=").find(c) == std::string_view::npos;
  });
}

std::string word_or_quoted(std::string_view text) {
  const std::string clean = base::printable(text, 320);
  if (is_word(clean)) return clean;
  std::string quoted = "\"";
  for (const char c : clean) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string comment_of(std::string_view text) {
  std::string comment = " (";
  for (const char c : base::printable(text, 200)) {
    if (c == '(' || c == ')' || c == '\\') comment += '\\';
    comment += c;
  }
  return comment + ')';
}

// Skips white space and comments (RFC 5322 section 3.2.2). False: a comment does not end.
bool skip_folding(std::string_view& text) {
  std::size_t depth = 0;
  while (!text.empty()) {
    const char c = text.front();
    if (depth > 0) {
      if (c == '\\' && text.size() > 1) text.remove_prefix(1);
      else if (c == '(') ++depth;
      else if (c == ')') --depth;
    } else if (c == '(') {
      depth = 1;
    } else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
      return true;
    }
    text.remove_prefix(1);
  }
  return depth == 0;
}

}  // namespace

std::string results_text(std::string_view service, const std::vector<MethodResult>& results) {
  std::string text(service);
  if (results.empty()) return text + "; none";
  for (const MethodResult& result : results) {
    text.append(";\r\n\t").append(result.method).append("=").append(to_string(result.outcome));
    if (!result.comment.empty()) text += comment_of(result.comment);
    for (const auto& [name, value] : result.properties)
      if (!value.empty()) text.append("\r\n\t ").append(name).append("=").append(word_or_quoted(value));
  }
  return text;
}

bool claims_to_be_of(std::string_view value, std::string_view service) {
  if (!skip_folding(value)) return true;
  std::string name;
  if (value.starts_with('"')) {
    value.remove_prefix(1);
    while (!value.empty() && value.front() != '"') {
      if (value.front() == '\\' && value.size() > 1) value.remove_prefix(1);
      name += value.front();
      value.remove_prefix(1);
    }
    if (value.empty()) return true;
  } else {
    const auto end = std::min(value.find_first_of(" \t\r\n;(\""), value.size());
    name = std::string(value.substr(0, end));
  }
  if (name.ends_with('.')) name.pop_back();
  // Without a name nobody can say whose it is.
  return name.empty() || base::equal_ignoring_case(name, service);
}

std::vector<std::pair<std::size_t, std::size_t>> forged_results(const mail::Header& header, std::string_view service) {
  std::vector<std::pair<std::size_t, std::size_t>> places;
  for (std::size_t i = 0; i < header.fields.size(); ++i) {
    const mail::HeaderField& field = header.fields[i];
    if (!base::equal_ignoring_case(field.name, "Authentication-Results") || !claims_to_be_of(field.raw, service)) continue;
    const std::size_t end = i + 1 < header.fields.size() ? header.fields[i + 1].offset : header.bytes;
    places.emplace_back(field.offset, end - field.offset);
  }
  return places;
}

}  // namespace postern::authentication
