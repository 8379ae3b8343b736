// SPDX-License-Identifier: Apache-2.0
#include "smtp/text_decoder.h"

#include "base/byte_search.h"

namespace postern::smtp {

TextDecoder::Fed TextDecoder::feed(std::string_view bytes, std::string& out) {
  const std::size_t size = bytes.size();
  std::size_t i = 0;
  std::size_t run = 0;  // bytes [run, i) are text and not yet copied
  const auto copy_run = [&](std::size_t end) { out.append(bytes.data() + run, end - run); };
  const auto count = [&](std::size_t more) {
    line_bytes_ += more;
    if (line_bytes_ > line_limit_bytes_) line_too_long_ = true;
  };
  while (i < size) {
    switch (at_) {
      case At::line_start:
        line_bytes_ = 0;
        if (form_ == Form::data && bytes[i] == '.') {
          copy_run(i);
          run = ++i;
          at_ = At::dot;
        } else {
          at_ = At::line;
        }
        break;
      case At::dot:
        if (bytes[i] == '\r') {
          run = ++i;
          at_ = At::dot_cr;
        } else {
          at_ = At::line;  // the dot was stuffing (RFC 5321 section 4.5.2)
        }
        break;
      case At::dot_cr:
        if (bytes[i] != '\n') return {i, State::garbage};
        return {i + 1, State::end};
      case At::cr:
        // The CR was the last byte of what came before; it is copied with its LF.
        if (bytes[i] != '\n') return {i, State::garbage};
        out += "\r\n";
        run = ++i;
        at_ = At::line_start;
        break;
      case At::line: {
        const char* const end = bytes.data() + size;
        const char* const found = base::find_byte<'\r', '\n', '\0'>(bytes.data() + i, end);
        const auto length = static_cast<std::size_t>(found - bytes.data()) - i;
        if (found == end) {
          count(length);
          i = size;
        } else if (*found == '\r' && found + 1 == end) {
          count(length);
          copy_run(size - 1);
          run = i = size;
          at_ = At::cr;
        } else if (*found == '\r' && found[1] == '\n') {
          count(length);
          i += length + 2;
          at_ = At::line_start;
        } else {
          copy_run(i);
          return {i, State::garbage};
        }
        break;
      }
    }
  }
  copy_run(i);
  return {i, State::more};
}

bool TextDecoder::finish(std::string& out) {
  if (at_ == At::cr) return false;
  if (at_ == At::line) out += "\r\n";
  at_ = At::line_start;
  return true;
}

}  // namespace postern::smtp
