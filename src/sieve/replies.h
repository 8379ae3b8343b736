// SPDX-License-Identifier: Apache-2.0
#pragma once
// The mail that scripts cause: vacation replies, notices of rejected messages, notifications. Whether one is due, and its whole text;
// sending it, and remembering who got one, is for the caller (remember before sending: a reply too few is better than a circle).
//
// Nothing here answers the null sender, robots, lists or other automatic mail (RFC 3834, RFC 5230 section 4.6): the result is empty
// then, and says why.
#include "mail/message.h"
#include "sieve/run.h"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

struct ReplySettings {
  std::string user_address;                     // the account's own; empty: the recipient of the envelope stands for it
  std::vector<std::string> own_addresses;       // further ones of the account
  std::string postmaster = "postmaster";        // who signs reports
  std::string host_name = "localhost";          // ours
  std::string default_subject = "Automated reply";       // of a reply to a message without a Subject
  std::string subject_template = "Auto: %{subject}";     // and to one with
  bool check_recipient = true;                  // reply only if an own address is among To, Cc, Bcc …
  bool use_original_recipient = false;          // the original recipient is an own address too
  bool send_from_recipient = false;             // the envelope sender of a reply is the recipient, not null
  bool to_ignores_envelope = false;             // the reply's To is the first of Sender, Resent-From, From whatever the envelope says
  std::optional<std::string> notify_sender;     // envelope sender of notifications; nothing: :from if given, else postmaster
};

// What makes one message differ from the next.
struct Moment {
  std::chrono::sys_seconds now{};
  std::chrono::minutes zone{0};
  std::string id;                               // left part of the Message-ID: the same when the same mail is made again
};

struct GeneratedMail {
  std::string from;                             // envelope; empty: null
  std::vector<std::string> to;                  // envelope; empty: nothing is to be sent
  std::string text;                             // the whole message, CRLF
  std::string why_not;                          // if nothing is to be sent
};

// The addresses in To, Cc, Bcc and the Resent- fields, one of which has to be the account's own for a reply (RFC 5230 section 4.5); at most `most`.
std::vector<std::string> addressees(const mail::MessageView& message, std::size_t most);

// `message` is as it came, not as scripts edited it.
GeneratedMail vacation_reply(const Vacation& vacation, const mail::MessageView& message, const EnvelopeView& envelope, const ReplySettings& settings, const Moment& moment);
// For reject a message disposition notification (RFC 8098), for ereject and refuse a delivery status notification (RFC 3464).
GeneratedMail rejection_notice(const Action& action, const mail::MessageView& message, const EnvelopeView& envelope, const ReplySettings& settings, const Moment& moment);
GeneratedMail notification_mail(const Notification& notification, const mail::MessageView& message, const EnvelopeView& envelope, const ReplySettings& settings, const Moment& moment);

// A copy of a message for `to`, enclosed as it stands in `text`, with what its envelope said (access-control.md 6.3, capture). Nothing that
// it causes comes back.
GeneratedMail captured_copy(const std::string& to, std::string_view text, const EnvelopeView& envelope, const ReplySettings& settings, const Moment& moment);
// Tells the owner of a script something. Nothing that it causes comes back.
GeneratedMail owner_notice(const std::string& owner, std::string_view subject, std::string_view body, const ReplySettings& settings, const Moment& moment);

}  // namespace postern::sieve
