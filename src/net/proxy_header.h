// SPDX-License-Identifier: Apache-2.0
#pragma once
// The header of the PROXY protocol, versions 1 and 2, that a proxy sends in front of its client's bytes (listeners.md 4.4, T-22,
// T-23, T-28; "The PROXY protocol", HAProxy's doc/proxy-protocol.txt).
//
// Strict: whatever is not exactly such a header is a mistake; nothing is guessed. Takes the bytes of the header in pieces of any
// size and never one behind it: what follows belongs to the protocol, or to TLS.
//
// Limits: version 1 kProxyLineBytes, version 2 kProxyLengthBytes behind its first 16 bytes. Memory: what came of the header.
#include "net/address.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace postern::net {

// T-22: the whole line with its CRLF.
inline constexpr std::size_t kProxyLineBytes = 107;
// T-23: the most that the length field may announce.
inline constexpr std::size_t kProxyLengthBytes = 4096;

struct ProxyHeader {
  // The connection is the proxy's own, or from somebody whose address it can't say: LOCAL, UNKNOWN, or a family that we don't
  // know. The addresses of the connection itself hold then, and `source` and `destination` mean nothing (T-27).
  bool own_addresses = false;
  Endpoint source, destination;  // in normal form: mapped IPv6 is IPv4
  // The SSL TLV is there and says that the client did not use TLS (T-28).
  bool client_in_clear_text = false;
  // The AUTHORITY TLV: the name that the client asked for by SNI. Empty if there is none, or if it could be no name.
  std::string server_name;
};

// Reads one header.
//
//   while (!parser.complete()) {
//     auto used = parser.take(bytes);          // what has come; Kind::invalid: close the connection
//     …take *used bytes off the front; if all are used and it is not complete, wait for more…
//   }
class ProxyHeaderParser {
 public:
  // Takes from the front of `bytes` what belongs to the header, and says how many bytes that were: all of them unless the header
  // ends within. Error (Kind::invalid, with the reason): no header, or a bad one; the parser is then of no further use.
  [[nodiscard]] Result<std::size_t> take(std::string_view bytes);
  [[nodiscard]] bool complete() const { return complete_; }
  // When complete.
  [[nodiscard]] const ProxyHeader& header() const { return header_; }

 private:
  Result<std::size_t> take_line(std::string_view bytes);
  Result<std::size_t> take_binary(std::string_view bytes);
  Result<void> parse_line(std::string_view line);
  Result<void> parse_binary();
  Result<void> parse_extensions(std::string_view bytes);

  std::string taken_;
  ProxyHeader header_;
  bool complete_ = false;
};

}  // namespace postern::net
