// SPDX-License-Identifier: Apache-2.0
#pragma once
// The trace field that a server puts in front of every message it takes (RFC 5321 section 4.4).
#include "base/clock.h"

#include <string>
#include <string_view>

namespace postern::mail {

// The keyword behind "with" (RFC 3848, and RFC 6531 section 4.3 for the UTF8 forms).
struct ProtocolFacts {
  bool extended = true;       // EHLO, not HELO
  bool lmtp = false;
  bool tls = false;
  bool authenticated = false;
  bool smtputf8 = false;
};
std::string protocol_keyword(const ProtocolFacts& facts);

struct ReceivedFacts {
  std::string helo;            // as the client said it; whatever it holds, nothing of it gets out of its place
  std::string client_address;  // "192.0.2.1", "2001:db8::1"; empty if not from the network
  std::string client_name;     // the address' verified name; empty: unknown
  std::string host_name;       // ours
  std::string protocol;        // protocol_keyword()
  std::string tls;             // "TLSv1.3 with TLS_AES_256_GCM_SHA384"; empty: none. Goes into a comment
  std::string id;
  std::string recipient;       // canonical; only if the message has just one (RFC 5321 section 7.2); else empty
  int priority = 0;            // what the server gives it (RFC 6710); 0: is not told
  base::WallTime time{};
};

// The whole field, folded, lines below 998 octets, ending in CRLF.
std::string received_field(const ReceivedFacts& facts);

// How many Received fields stand in the header of `message`: loop detection (RFC 5321 section 6.3).
std::size_t count_received_fields(std::string_view message);

}  // namespace postern::mail
