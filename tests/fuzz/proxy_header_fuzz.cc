// SPDX-License-Identifier: Apache-2.0
// Headers of the PROXY protocol: the same outcome in one piece and in many, and never a byte too many.
#include "net/proxy_header.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using namespace postern;

namespace {

struct Outcome {
  bool bad = false, complete = false;
  std::size_t used = 0;
  std::string text;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome parse(std::string_view bytes, std::size_t piece) {
  net::ProxyHeaderParser parser;
  Outcome outcome;
  while (outcome.used < bytes.size() && !parser.complete()) {
    const std::string_view some = bytes.substr(outcome.used, piece);
    const auto used = parser.take(some);
    if (!used) {
      POSTERN_ASSERT(used.error().kind == Kind::invalid && !parser.complete());
      return {true, false, 0, {}};
    }
    POSTERN_ASSERT(*used == some.size() || (*used < some.size() && parser.complete()));
    outcome.used += *used;
  }
  outcome.complete = parser.complete();
  if (!outcome.complete) return outcome;
  const net::ProxyHeader& header = parser.header();
  POSTERN_ASSERT(outcome.used <= 16 + net::kProxyLengthBytes && header.server_name.size() <= 255);
  POSTERN_ASSERT(bytes.front() != 'P' || outcome.used <= net::kProxyLineBytes);
  outcome.text = header.source.to_string() + header.destination.to_string() + (header.own_addresses ? "o" : "") + (header.client_in_clear_text ? "c" : "") + header.server_name;
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Outcome whole = parse(bytes, std::string_view::npos);
  POSTERN_ASSERT(whole == parse(bytes, 1) && whole == parse(bytes, 7));
  // What follows the header changes nothing.
  if (whole.complete) POSTERN_ASSERT(whole == parse(std::string(bytes.substr(0, whole.used)) + "EHLO x\r\n", std::string_view::npos));
  return 0;
}
