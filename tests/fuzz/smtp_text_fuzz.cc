// SPDX-License-Identifier: Apache-2.0
// The decoder of message text against a plain one that looks at each byte, for all ways to cut the input into pieces.
#include "smtp/text_decoder.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

using namespace postern::smtp;

namespace {

struct Expected {
  std::string text;
  TextDecoder::State state = TextDecoder::State::more;
  std::size_t consumed = 0;
};

// By the words of RFC 5321 section 4.5.2, a line at a time.
Expected plain(std::string_view bytes, bool dots) {
  Expected expected;
  for (std::size_t at = 0; at < bytes.size();) {
    std::size_t end = at;
    while (end < bytes.size() && bytes[end] != '\r' && bytes[end] != '\n' && bytes[end] != '\0') ++end;
    if (end == bytes.size()) break;
    if (bytes[end] == '\r' && end + 1 == bytes.size()) break;
    if (bytes[end] != '\r' || bytes[end + 1] != '\n') {
      expected.state = TextDecoder::State::garbage;
      return expected;
    }
    std::string_view line = bytes.substr(at, end - at);
    at = end + 2;
    if (dots && line == ".") {
      expected.state = TextDecoder::State::end;
      expected.consumed = at;
      return expected;
    }
    if (dots && line.starts_with('.')) line.remove_prefix(1);
    expected.text += std::string(line) + "\r\n";
  }
  return expected;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const bool dots = (data[0] & 1) != 0;
  const std::size_t piece = 1 + data[1] % 64;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Expected expected = plain(bytes, dots);
  TextDecoder decoder(dots ? TextDecoder::Form::data : TextDecoder::Form::chunks, 100);
  std::string text;
  std::size_t at = 0;
  TextDecoder::Fed fed;
  while (at < bytes.size() && fed.state == TextDecoder::State::more) {
    fed = decoder.feed(bytes.substr(at, piece), text);
    at += fed.consumed;
  }
  if (fed.state != expected.state) std::abort();
  if (fed.state == TextDecoder::State::end && (text != expected.text || at != expected.consumed)) std::abort();
  if (fed.state == TextDecoder::State::more && !text.starts_with(expected.text)) std::abort();
  return 0;
}
