// SPDX-License-Identifier: Apache-2.0
#pragma once
// The envelope of a message on its way from the session that took it to the mailbox: what the spool stores beside the text.
#include "base/clock.h"
#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postern::mail {

struct Recipient {
  std::string address;              // final address in canonical form, after rewriting and aliases
  std::string original;             // as the client gave it in RCPT TO; on channel hold, the address that led there
  std::string orcpt;                // ORCPT parameter, decoded; empty if none
  std::string destination_channel;  // "ims-ms", "tcp_local" …
  std::string account;              // canonical name of the account that owns the mailbox; empty unless the channel is ims-ms
  std::string detail;               // sub-address, empty if none
  std::vector<std::string> conversion_tags;
  bool notify_success = false, notify_failure = true, notify_delay = false;  // RFC 3461 section 4.1
  friend bool operator==(const Recipient&, const Recipient&) = default;
};

struct Envelope {
  std::string id;  // mail/message_id.h
  base::WallTime received{};
  std::string reverse_path;   // without <>; empty: the null reverse-path
  std::string source_channel;
  std::string client_address;  // text form; empty if not from the network
  std::string helo;
  std::string authenticated;   // canonical address, empty if not
  std::string protocol;        // "ESMTP", "LMTP", "UTF8SMTP" … (RFC 3848, 6531)
  std::string envelope_id;     // ENVID, decoded
  bool body_8bit = false;      // BODY=8BITMIME
  bool smtputf8 = false;
  bool held = false;           // flag $H
  std::string held_by;         // the rule that said so, for people; empty if not held
  bool released = false;       // it was held, and the administrator has let it go: nothing holds it again
  bool discarded = false;      // flag $V
  bool jettisoned = false;     // flag $Z
  bool no_vacation = false;    // flag $!
  std::vector<std::string> added_header_fields;  // flag $A, "Name: value"
  std::vector<std::string> conversion_tags;      // for all recipients
  std::vector<std::string> spam_adjustments;     // flag $, : arguments of a Sieve spamadjust, in the order of the tables
  std::uint32_t attempts = 0;  // deliveries tried and put off before this record (deferred/)
  std::vector<Recipient> recipients;
  friend bool operator==(const Envelope&, const Envelope&) = default;
};

// The versions that decode_envelope() reads; encode() writes the newest.
inline constexpr unsigned kOldestEnvelopeVersion = 1, kEnvelopeVersion = 2;

// Length-prefixed, versioned bytes; never lines (hardening.md 3: encoded control characters). Described in doc/design/journal.md.
std::string encode(const Envelope& envelope);
// Kind::corrupt for anything that encode() of a known version did not write. Memory is bounded by a small multiple of the input.
Result<Envelope> decode_envelope(std::string_view bytes);

}  // namespace postern::mail
