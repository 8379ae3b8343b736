// SPDX-License-Identifier: Apache-2.0
#include "relay/outgoing_text.h"

#include "base/text.h"
#include "mail/encode.h"
#include "mail/part.h"

#include <cstdint>
#include <cstring>
#include <utility>

namespace postern::relay {
namespace {

bool has_8bit(std::string_view text) {
  std::size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, text.data() + at, 8);
    if ((eight & 0x8080808080808080ULL) != 0) return true;
  }
  for (; at < text.size(); ++at)
    if ((static_cast<unsigned char>(text[at]) & 0x80) != 0) return true;
  return false;
}

// Where the header ends: behind the line end in front of the empty line, or at the end.
std::size_t header_end(std::string_view message) {
  for (std::size_t at = 0; at < message.size();) {
    if (message[at] == '\n' || message.substr(at, 2) == "\r\n") return at;
    const auto end = message.find('\n', at);
    if (end == std::string_view::npos) break;
    at = end + 1;
  }
  return message.size();
}

// Appends `message` with strict line ends.
void append_lines(std::string& out, std::string_view message, bool stuffing) {
  while (!message.empty()) {
    const auto end = message.find_first_of("\r\n");
    const std::string_view line = message.substr(0, end);
    if (stuffing && line.starts_with('.')) out += '.';
    out += line;
    out += "\r\n";
    if (end == std::string_view::npos) return;
    message.remove_prefix(end + (message.substr(end, 2) == "\r\n" ? 2 : 1));
  }
}

// A strict message: only its dots need care.
void append_stuffed(std::string& out, std::string_view message) {
  std::size_t from = message.starts_with('.') ? 0 : std::string_view::npos, done = 0;
  if (from == std::string_view::npos) from = message.find("\n.");
  while (from != std::string_view::npos) {
    const std::size_t dot = message[from] == '.' && from == 0 ? 0 : from + 1;
    out += message.substr(done, dot - done);
    out += '.';
    done = dot;
    from = message.find("\n.", dot);
  }
  out += message.substr(done);
}

// The header text of a part with another Content-Transfer-Encoding; `header` is without the empty line.
std::string with_encoding(std::string_view header, std::string_view encoding) {
  std::string out;
  bool dropping = false;
  while (!header.empty()) {
    const auto end = header.find('\n');
    const std::string_view line = header.substr(0, end == std::string_view::npos ? header.size() : end + 1);
    header.remove_prefix(line.size());
    const bool folded = line.front() == ' ' || line.front() == '\t';
    if (!folded) dropping = base::starts_with_ignoring_case(line, "content-transfer-encoding:");
    if (!dropping) out += line;
  }
  if (!out.empty() && out.back() != '\n') out += "\r\n";
  out += "Content-Transfer-Encoding: ";
  out += encoding;
  out += "\r\n";
  return out;
}

// Which bytes of the message are replaced by what; ranges come in the order of the text and don't overlap.
class Encoder {
 public:
  Encoder(std::string_view message, SealedParts sealed) : message_(message), sealed_(sealed) {}

  bool encode(const mail::Part& part) {
    if (!part.children.empty()) {
      if (part.type == "multipart") {
        if (has_8bit(part.header_text) || has_8bit(part.preamble) || has_8bit(part.epilogue)) return false;
        if (sealed_ == SealedParts::kept && (part.subtype == "signed" || part.subtype == "encrypted") && has_8bit(part.body)) return false;
        // What it says of its parts is no longer true.
        if (has_8bit(part.body)) replace(part.header_text, with_encoding(part.header_text, "7bit"));
        for (const mail::Part& child : part.children)
          if (!encode(child)) return false;
        return true;
      }
      if (!has_8bit(part.body)) return !has_8bit(part.header_text);
      if (has_8bit(part.header_text)) return false;
      replace(part.header_text, with_encoding(part.header_text, "7bit"));
      for (const mail::Part& child : part.children)
        if (!encode(child)) return false;
      return true;
    }
    if (has_8bit(part.header_text)) return false;
    if (!has_8bit(part.body)) return true;
    // Of these the standard forbids an encoding (RFC 2045 section 6.4, RFC 2046 section 5.2); RFC 6532 section 3.5 and RFC 6533 section 5 allow one of
    // messages and reports in UTF-8.
    const bool message = part.type == "message";
    const bool global = message && (part.subtype == "global-delivery-status" || part.subtype == "global-disposition-notification" || part.subtype == "global-headers");
    if (part.type == "multipart" || (message && !global)) return false;
    // Labelled as encoded already: what it means nobody can say.
    if (part.body.data() == part.header_text.data() + part.header_text.size()) return false;  // no empty line: no place for a field
    if (!part.encoding.empty() && part.encoding != "8bit" && part.encoding != "binary" && part.encoding != "7bit") return false;
    const bool text = (part.type == "text" || global) && part.encoding != "binary";
    replace(part.header_text, with_encoding(part.header_text, text ? "quoted-printable" : "base64"));
    replace(part.body, text ? mail::encode_quoted_printable(part.body) : mail::encode_base64(part.body));
    return true;
  }

  std::string result() {
    out_ += message_.substr(done_);
    return std::move(out_);
  }
  [[nodiscard]] bool good() const { return good_; }

 private:
  void replace(std::string_view piece, const std::string& by) {
    const auto at = static_cast<std::size_t>(piece.data() - message_.data());
    // Views of the message, in its order; anything else is not understood.
    if (at < done_ || at > message_.size()) {
      good_ = false;
      return;
    }
    out_ += message_.substr(done_, at - done_);
    out_ += by;
    done_ = at + piece.size();
  }

  std::string_view message_;
  SealedParts sealed_;
  std::string out_;
  std::size_t done_ = 0;
  bool good_ = true;
};

}  // namespace

TextFacts look_at(std::string_view message) {
  TextFacts facts;
  const std::size_t header = header_end(message);
  facts.eight_bit_header = has_8bit(message.substr(0, header));
  facts.eight_bit_body = has_8bit(message.substr(header));
  facts.strict = message.ends_with("\r\n");
  // Each LF has its CR, and there are no more CRs than LFs.
  std::size_t line_ends = 0;
  for (std::size_t at = 0; facts.strict && at < message.size();) {
    const void* const found = std::memchr(message.data() + at, '\n', message.size() - at);
    if (found == nullptr) break;
    const auto end = static_cast<std::size_t>(static_cast<const char*>(found) - message.data());
    facts.strict = end > 0 && message[end - 1] == '\r';
    ++line_ends;
    at = end + 1;
  }
  for (std::size_t at = 0, returns = 0; facts.strict && at < message.size();) {
    const void* const found = std::memchr(message.data() + at, '\r', message.size() - at);
    if (found == nullptr) break;
    facts.strict = ++returns <= line_ends;
    at = static_cast<std::size_t>(static_cast<const char*>(found) - message.data()) + 1;
  }
  return facts;
}

void TextScan::add(std::string_view piece) {
  bytes_ += piece.size();
  if (!piece.empty()) open_ = piece.back() != '\r' && piece.back() != '\n';
  while (!piece.empty()) {
    const auto end = piece.find_first_of("\r\n");
    const std::string_view line = piece.substr(0, end);
    if (!line.empty()) {
      after_return_ = false;
      line_bytes_ += line.size();
      if (has_8bit(line)) (in_header_ ? eight_bit_header_ : eight_bit_body_) = true;
    }
    if (end == std::string_view::npos) return;
    if (piece[end] == '\n') {
      ++feeds_;
      if (after_return_) ++pairs_;
      // The empty line, whatever its end.
      if (line_bytes_ == 0) in_header_ = false;
      line_bytes_ = 0;
      after_return_ = false;
    } else {
      // Alone it ends a line of what goes out, and none of the header as look_at() sees it.
      if (after_return_) ++line_bytes_;
      ++returns_;
      after_return_ = true;
    }
    piece.remove_prefix(end + 1);
  }
}

TextFacts TextScan::facts() const {
  TextFacts facts;
  facts.eight_bit_header = eight_bit_header_;
  facts.eight_bit_body = eight_bit_body_;
  facts.strict = bytes_ > 0 && returns_ == pairs_ && feeds_ == pairs_ && !open_ && !after_return_;
  return facts;
}

std::uint64_t TextScan::strict_bytes() const {
  const std::uint64_t ends = returns_ + feeds_ - pairs_;
  return bytes_ - returns_ - feeds_ + 2 * ends + (open_ ? 2 : 0);
}

void LineStream::add(std::string_view piece, std::string& out) {
  while (!piece.empty()) {
    if (std::exchange(after_return_, false) && piece.front() == '\n') {
      piece.remove_prefix(1);
      continue;
    }
    const auto end = piece.find_first_of("\r\n");
    const std::string_view line = piece.substr(0, end);
    if (!line.empty()) {
      if (at_line_start_ && stuffing_ && line.front() == '.') out += '.';
      out += line;
      at_line_start_ = false;
    }
    if (end == std::string_view::npos) return;
    out += "\r\n";
    at_line_start_ = true;
    after_return_ = piece[end] == '\r';
    piece.remove_prefix(end + 1);
  }
}

void LineStream::end(std::string& out) {
  if (!at_line_start_) out += "\r\n";
  if (stuffing_) out += ".\r\n";
}

std::string with_strict_lines(std::string_view message) {
  if (look_at(message).strict) return std::string(message);
  std::string out;
  out.reserve(message.size() + message.size() / 32);
  append_lines(out, message, false);
  return out;
}

std::string dot_stuffed(std::string_view message) {
  std::string out;
  out.reserve(message.size() + message.size() / 64 + 8);
  if (look_at(message).strict) append_stuffed(out, message);
  else append_lines(out, message, true);
  out += ".\r\n";
  return out;
}

std::optional<std::string> without_8bit(std::string_view message, SealedParts sealed) {
  const std::string strict = with_strict_lines(message);
  const mail::Part structure = mail::parse_structure(strict);
  Encoder encoder(strict, sealed);
  if (!encoder.encode(structure) || !encoder.good()) return std::nullopt;
  std::string out = with_strict_lines(encoder.result());
  // MIME-Version must be there for the encoding to mean anything.
  bool mime = false;
  for (const auto& field : structure.header.fields) mime |= base::equal_ignoring_case(field.name, "mime-version");
  if (!mime) out.insert(0, "MIME-Version: 1.0\r\n");
  if (has_8bit(out)) return std::nullopt;
  return out;
}

}  // namespace postern::relay
