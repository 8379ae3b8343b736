// SPDX-License-Identifier: Apache-2.0
#pragma once
// Who is told what became of a message: RFC 3461 sections 4.1 and 6.2 (what the sender asked for), RFC 3464 section 2 (what he gets).
//
// For delivery/, relay/ and the queue: each calls Notifier::tell() with what became of the recipients it is done with, before it
// forgets them (marks the record, removes the deferred file). What comes of it depends on the sender and on NOTIFY alone: nothing for the null
// reverse-path (a notice is never answered by a notice, RFC 5321 section 6.1) or NOTIFY=NEVER; of failures unless told otherwise; of
// delays unless told otherwise, once (delay_notified; the caller notes it); of the rest only if asked for.
//
// Ids are derived from the message's id, the recipients and what happened, so whoever tells the same again after a crash makes the same
// notice, which its store recognises.
#include "conf/configuration.h"
#include "mail/delivery_status.h"
#include "net/asio.h"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern::queue {

using mail::GeneratedMail;
using mail::RecipientStatus;

struct NotificationSettings {
  std::string host_name = "localhost";
  std::string postmaster;                   // who signs, and gets double bounces; empty: postmaster@host_name
  std::uint64_t return_bytes = 100 * 1024;  // a larger message comes back as its header
  std::size_t recipients = 100;             // in one notice
  bool double_bounces = false;              // failures of what can't be returned go to postmaster
  mail::NoticeText failure = mail::NoticeText::built_in("failure"), delay = mail::NoticeText::built_in("delay"),
                   success = mail::NoticeText::built_in("success");
};
NotificationSettings notification_settings(const conf::Configuration& configuration);
// The mistakes in the texts of notices, as posternd -t names them.
std::vector<conf::Mistake> check_notices(const conf::Configuration& configuration);

// Whether somebody is told.
bool wanted(const mail::Envelope& envelope, const RecipientStatus& status);

// The notices that are due, at most one for each hundred (settings.recipients) of failures, of delays and of the rest; none if nobody
// wants one. `message_bytes`: of the whole message, if `message` is only its beginning. Their envelopes have the null reverse-path; where the recipient's address is, is for policy::resolve().
std::vector<GeneratedMail> delivery_status_notifications(const mail::Envelope& envelope, std::string_view message,
                                                         std::span<const RecipientStatus> statuses, const NotificationSettings& settings,
                                                         std::optional<std::uint64_t> message_bytes = std::nullopt);

class Notifier {
 public:
  // The final recipients of an address (policy::resolve()).
  using Resolve = std::function<net::Awaitable<Result<std::vector<mail::Recipient>>>(std::string)>;
  // Puts a message into the journal, durable on return.
  using Submit = std::function<net::Awaitable<Result<void>>(mail::Envelope, std::string)>;
  Notifier(Resolve resolve, Submit submit, NotificationSettings settings)
      : resolve_(std::move(resolve)), submit_(std::move(submit)), settings_(std::move(settings)) {}
  void set_settings(NotificationSettings settings) { settings_ = std::move(settings); }

  // Tells whoever wants to know; durable on return. `message` must live until then. Where a sender can't be reached at all that is logged
  // (event notice-dropped), and no error. An error (Kind::temporary): try again later. Of a message that is larger than return_bytes its header
  // is enough, with the size of the whole in `message_bytes`.
  net::Awaitable<Result<void>> tell(mail::Envelope envelope, std::string_view message, std::vector<RecipientStatus> statuses,
                                    std::optional<std::uint64_t> message_bytes = std::nullopt);
  // The message is given up for all its recipients, with `status`. What each one's last attempt met says more than `why`, which is told where there was
  // none, or where `why_counts`. Both must live until then.
  net::Awaitable<Result<void>> tell_failed(const mail::Envelope& envelope, const std::string& message, std::string status, std::string why,
                                           bool why_counts = false);
  // It takes longer, and is tried until `until`: whoever was not told yet is, and noted as told. The same holds of both.
  net::Awaitable<Result<void>> tell_delay(mail::Envelope& envelope, const std::string& message, base::WallTime until);

 private:
  net::Awaitable<Result<void>> send(GeneratedMail notice, std::string id);
  Resolve resolve_;
  Submit submit_;
  NotificationSettings settings_;
};

}  // namespace postern::queue
