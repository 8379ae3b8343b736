// SPDX-License-Identifier: Apache-2.0
#pragma once
// One line of a client as a command: its verb, its argument, the parameters of MAIL and RCPT (RFC 5321 section 4.1).
//
// Failure: what can't be read comes back as the reply to give. Limits: the line is bounded by whoever read it.
#include "mail/envelope.h"
#include "policy/access.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace postern::smtp {

using policy::Reply;

enum class Verb { helo, ehlo, lhlo, mail, rcpt, data, bdat, rset, noop, quit, vrfy, expn, help, starttls, auth, etrn, not_offered, other_protocol, unknown };

struct Command {
  Verb verb = Verb::unknown;
  std::string_view argument;  // behind the verb, without blanks at both ends
};

// `not_offered`: verbs of extensions that this server doesn't offer (TURN …) and of old times (SEND …).
// `other_protocol`: somebody speaks HTTP to us.
Command parse_command(std::string_view line);

// What stands behind "FROM:" or "TO:" (`keyword`, any case), blanks skipped; nothing if it isn't there.
std::optional<std::string_view> behind_keyword(std::string_view argument, std::string_view keyword);

struct MailParameters {
  std::optional<std::uint64_t> size_bytes;  // RFC 1870; the largest there is for what has more bits
  bool body_8bit = false;                   // RFC 6152
  bool smtputf8 = false;                    // RFC 6531
  std::string envelope_id;                  // RFC 3461 section 4.4, decoded
  bool submitter_given = false;             // RFC 4954 section 5: AUTH=, which nobody is trusted to say
  mail::Return ret = mail::Return::unspecified;  // RFC 3461 section 4.3
  std::optional<int> priority;              // RFC 6710 section 4.1
  std::optional<base::WallTime> hold_until; // RFC 4865 section 5
  std::optional<mail::DeliverBy> deliver_by;  // RFC 2852 section 4
  bool require_tls = false;                   // RFC 8689 section 2
};
// `text` is what stood behind the path. Without EHLO there are no parameters. `now`: what times in the parameters count from.
// `longest_hold`: how far ahead HOLDFOR and HOLDUNTIL may lie; 0: they are not known to this client.
std::variant<MailParameters, Reply> parse_mail_parameters(std::string_view text, bool extended, base::WallTime now = {},
                                                          std::chrono::seconds longest_hold = {});

// RFC 3461 sections 4.1 and 4.2. The access tables see them (access-control.md 2.5).
struct RecipientParameters {
  std::string original;       // ORCPT, decoded, without its "rfc822;"; empty: none
  std::string original_type;  // "rfc822", "utf-8"
  bool notify_given = false;
  bool notify_success = false, notify_failure = false, notify_delay = false;
};
std::variant<RecipientParameters, Reply> parse_recipient_parameters(std::string_view text, bool extended);

struct ChunkCommand {
  std::uint64_t size_bytes = 0;
  bool last = false;
};
// RFC 3030 section 2.
std::optional<ChunkCommand> parse_chunk(std::string_view argument);

// The name given with HELO, EHLO or LHLO: the first word. Nothing for one that is empty, longer than 255 bytes, or no printable
// UTF-8. What it says is not checked: half the world gets it wrong, and it proves nothing.
std::optional<std::string_view> parse_hello(std::string_view argument);

}  // namespace postern::smtp
