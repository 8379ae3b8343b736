// SPDX-License-Identifier: Apache-2.0
#pragma once
// The envelope of a message on its way from the session that took it to the mailbox or the next host: what the spool stores beside
// the text, with what the sender asked for (RFC 3461, 2852, 4865, 6710, 8689) and what became of each recipient so far.
#include "base/clock.h"
#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::mail {

// Why a recipient could not be served at the last attempt, in the terms of a delivery status notification (RFC 3464 section 2.3).
struct DeliveryFailure {
  std::string status;       // enhanced status code, "4.4.1" (RFC 3463); empty: nothing has failed yet
  std::string diagnostic;   // what the remote host replied ("450 4.2.0 busy, come later"), or what we say ourselves; one line
  std::string remote_host;  // name of the host that replied; empty: it did not come to that, and the diagnostic is our own
  base::WallTime when{};
  friend bool operator==(const DeliveryFailure&, const DeliveryFailure&) = default;
};

struct Recipient {
  std::string address;              // final address in canonical form, after rewriting and aliases
  std::string original;             // as the client gave it in RCPT TO; on channel hold, the address that led there
  std::string orcpt;                // ORCPT parameter, decoded; empty if none
  std::string orcpt_type;           // its address type, "rfc822" or "utf-8" (RFC 3461 section 4.2, 6533 section 3)
  std::string destination_channel;  // "ims-ms", "tcp_local" …
  std::string account;              // canonical name of the account that owns the mailbox, here or on its mail host; empty unless the channel is ims-ms
  std::string detail;               // sub-address, empty if none
  std::vector<std::string> conversion_tags;
  // RFC 3461 section 4.1. Without the parameter: failures are told, delays may be; notify_never: nothing, whatever happens, and the
  // other three are false.
  bool notify_given = false, notify_never = false;
  bool notify_success = false, notify_failure = true, notify_delay = false;
  bool delay_notified = false;  // the sender has been told that it takes longer
  DeliveryFailure last_failure;
  std::string next_host;   // outgoing only: the host that has the mailbox of `account`, which is not this one; empty: by route and domain
  std::string list_owner;  // a group with an owner led here: delivery sends it on with this reverse-path (RFC 5321 section 3.9.2); empty: none
  // The conversion channel (access-control.md 7): table CONVERSIONS has not been asked yet; the address itself asks for it; it has been passed.
  enum class Conversion : std::uint8_t { unasked, wanted, done } conversion = Conversion::unasked;
  friend bool operator==(const Recipient&, const Recipient&) = default;
};

// RET (RFC 3461 section 4.3): what of the message comes back with a notice of failure.
enum class Return : std::uint8_t { unspecified, full, headers };

// BY (RFC 2852): until when the message must be delivered, and what happens if it is not.
struct DeliverBy {
  enum class Mode : std::uint8_t { return_message, notify };
  base::WallTime until{};
  Mode mode = Mode::return_message;
  bool trace = false;  // each host that relays it says so
  friend bool operator==(const DeliverBy&, const DeliverBy&) = default;
};

// RFC 6710 section 5.
inline constexpr int kLowestPriority = -9, kHighestPriority = 9;

// What was found out about the sender of a message when it came in (RFC 8601's words); empty: not checked.
struct SenderAuthentication {
  std::string spf, dkim, dmarc, arc;     // results: "pass", "fail" …
  std::string spf_domain, dmarc_domain;  // that were checked
  std::string dkim_domains;              // of good signatures, with blanks between
  std::string dmarc_policy;              // that the domain publishes: "none", "quarantine", "reject"
  std::string arc_instances;             // of a chain: how many sets
  std::string results;                   // what Authentication-Results says, with our name in front
  [[nodiscard]] bool checked() const { return !results.empty(); }
  friend bool operator==(const SenderAuthentication&, const SenderAuthentication&) = default;
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
  Return ret = Return::unspecified;
  bool require_tls = false;    // RFC 8689
  int priority = 0;            // MT-PRIORITY, kLowestPriority to kHighestPriority
  std::optional<base::WallTime> hold_until;  // FUTURERELEASE (RFC 4865): not before
  std::optional<DeliverBy> deliver_by;
  bool body_8bit = false;      // BODY=8BITMIME
  bool smtputf8 = false;
  bool held = false;           // flag $H
  std::string held_by;         // the rule that said so, for people; empty if not held
  bool released = false;       // it was held, and the administrator has let it go: nothing holds it again
  bool discarded = false;      // flag $V
  bool jettisoned = false;     // flag $Z
  bool no_vacation = false;    // flag $!
  bool restored = false;       // it was discarded, and the administrator wants it delivered: no filter is asked
  bool returned = false;       // the administrator gives it up: its sender gets it back at the next look at it
  std::vector<std::string> added_header_fields;  // flag $A, "Name: value"
  std::vector<std::string> conversion_tags;      // for all recipients
  std::vector<std::string> spam_adjustments;     // flag $, : arguments of a Sieve spamadjust, in the order of the tables
  SenderAuthentication authentication;
  bool forwarded = false;      // whoever got it first has sent it on (redirect)
  bool defragmented = false;   // it has been through channel defragment: put together, or given up as the piece that it is
  std::uint32_t attempts = 0;  // deliveries tried and put off before this record (deferred/)
  std::vector<Recipient> recipients;
  friend bool operator==(const Envelope&, const Envelope&) = default;
};

// The versions that decode_envelope() reads; encode() writes the newest.
inline constexpr unsigned kOldestEnvelopeVersion = 1, kEnvelopeVersion = 6;

// Length-prefixed, versioned bytes; never lines (hardening.md 3: encoded control characters). Described in doc/design/envelope.md.
std::string encode(const Envelope& envelope);
// Kind::corrupt for anything that encode() of a known version did not write. Memory is bounded by a small multiple of the input.
Result<Envelope> decode_envelope(std::string_view bytes);

}  // namespace postern::mail
