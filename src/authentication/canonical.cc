// SPDX-License-Identifier: Apache-2.0
#include "authentication/canonical.h"

#include "base/text.h"

#include <algorithm>

namespace postern::authentication {
namespace {

constexpr std::size_t kWaitingBytes = 8192;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

}  // namespace

std::string_view to_string(Form form) { return form == Form::simple ? "simple" : "relaxed"; }

std::string canonical_field(std::string_view field, Form form) {
  std::string out;
  out.reserve(field.size() + 2);
  if (form == Form::simple) return out.append(field).append("\r\n");
  const auto colon = std::min(field.find(':'), field.size());
  for (const char c : base::trim(field.substr(0, colon))) out += base::ascii_lower(c);
  out += ':';
  const std::size_t begin = out.size();
  bool blank = false;
  for (const char c : field.substr(std::min(colon + 1, field.size()))) {
    if (c == '\r' || c == '\n') continue;  // unfolding: the white space behind it stays
    if (is_blank(c)) {
      blank = true;
      continue;
    }
    if (blank && out.size() > begin) out += ' ';
    blank = false;
    out += c;
  }
  return out.append("\r\n");
}

BodyHash::BodyHash(Form form, std::optional<std::uint64_t> length) : form_(form), length_(length) {}

void BodyHash::flush() {
  std::string_view bytes = waiting_;
  if (length_) bytes = bytes.substr(0, std::min<std::uint64_t>(bytes.size(), *length_ - std::min(*length_, bytes_)));
  hash_.add(bytes);
  bytes_ += waiting_.size();
  waiting_.clear();
}

void BodyHash::put(std::string_view bytes) {
  waiting_.append(bytes);
  if (waiting_.size() >= kWaitingBytes) flush();
}

void BodyHash::put_line_ends() {
  for (; line_ends_ > 0; --line_ends_) put("\r\n");
  if (blank_) put(" ");
  blank_ = false;
}

void BodyHash::add(std::string_view piece) {
  const bool relaxed = form_ == Form::relaxed;
  const auto is_special = [](char c) { return c == '\r' || is_blank(c); };
  while (!piece.empty()) {
    if (return_) {
      return_ = false;
      if (piece.front() == '\n') {
        blank_ = false;  // white space at the end of a line
        ++line_ends_;
        piece.remove_prefix(1);
        continue;
      }
      put_line_ends();
      put("\r");
      continue;
    }
    if (piece.front() == '\r') {
      return_ = true;
      piece.remove_prefix(1);
      continue;
    }
    if (relaxed && is_blank(piece.front())) {
      blank_ = true;
      piece.remove_prefix(1);
      continue;
    }
    const auto end = relaxed ? static_cast<std::size_t>(std::find_if(piece.begin(), piece.end(), is_special) - piece.begin()) : std::min(piece.find('\r'), piece.size());
    put_line_ends();
    put(piece.substr(0, end));
    piece.remove_prefix(end);
  }
}

std::string BodyHash::finish() {
  if (return_) {
    put_line_ends();
    put("\r");
    line_ends_ = 1;
  }
  flush();
  // One line end behind the last text, whether it was there or not. A body without text is empty if it is relaxed.
  if (bytes_ > 0 || form_ == Form::simple) {
    put("\r\n");
    flush();
  }
  return hash_.finish();
}

}  // namespace postern::authentication
