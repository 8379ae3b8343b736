// SPDX-License-Identifier: Apache-2.0
#pragma once
// The message of a delivery status notification: RFC 3464 (with RFC 6522 around it), RFC 6533 where addresses are not ASCII, RFC 3834
// for its header.
//
// Whether one is due, and to whom it goes, is for queue/notification.h. Never fails; whatever a remote host said becomes one printable line.
#include "base/clock.h"
#include "mail/envelope.h"
#include "mail/notice_text.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace postern::mail {

// RFC 3464 section 2.3.3.
enum class DeliveryAction : std::uint8_t { failed, delayed, delivered, relayed, expanded };
std::string_view to_string(DeliveryAction action);

// What became of one recipient.
struct RecipientStatus {
  Recipient recipient;          // address, ORCPT, and what was asked by NOTIFY
  DeliveryAction action = DeliveryAction::failed;
  DeliveryFailure outcome;      // status "5.1.1", "2.0.0" …, what was said, by whom, when; an empty status is filled in by the action
  std::optional<base::WallTime> will_retry_until;  // for `delayed`
};

// A message that is made, not received: to be submitted by whoever asked for it.
struct GeneratedMail {
  Envelope envelope;            // its recipients have an address only: policy::resolve() says where that is
  std::string text;             // CRLF
};

struct ReportSettings {
  std::string host_name = "localhost";   // ours
  std::string postmaster;                // who signs; empty: postmaster@host_name
  std::uint64_t return_bytes = 100 * 1024;  // a larger message comes back as its header
  const NoticeText* text = nullptr;      // not null
};

// The report about `recipients` (not empty) of the message with this envelope. `id`: of the report (mail/message_id.h). `message` may be cut:
// then pass its full size in `message_bytes`, and its header comes back. `to`: whom it is sent to.
// With UTF-8 in addresses it is a global report if the sender is known to read those (`envelope.smtputf8`), and the envelope says so.
GeneratedMail delivery_status_report(const Envelope& envelope, std::string_view message, std::uint64_t message_bytes,
                                     std::span<const RecipientStatus> recipients, const std::string& to, const std::string& id,
                                     base::WallTime now, const ReportSettings& settings);

// An address behind "rfc822;" or "utf-8;", as a field of a report may have it (RFC 3464 section 2.1.2, RFC 6533 section 3): `global`, in a
// message/global-delivery-status, as it is, else in ASCII. `type` empty: by what the address looks like.
std::string typed_address(std::string_view type, std::string_view address, bool global);
// An address of type utf-8, which must be UTF-8, in ASCII; also as ORCPT has it (utf-8-addr-xtext of RFC 6533 section 3).
std::string utf8_address_in_ascii(std::string_view address);

}  // namespace postern::mail
