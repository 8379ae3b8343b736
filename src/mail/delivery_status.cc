// SPDX-License-Identifier: Apache-2.0
#include "mail/delivery_status.h"

#include "base/text.h"
#include "mail/encode.h"
#include "mail/header.h"
#include "mail/message.h"

#include <algorithm>

namespace postern::mail {
namespace {

// Of what a remote host said, and of a Subject that is shown.
constexpr std::size_t kDiagnosticBytes = 800, kSubjectBytes = 200;
// Of a header that comes back.
constexpr std::size_t kHeaderBytes = 64 * 1024;

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string field(std::string_view name, std::string_view value) { return folded_field(name, value); }

// Bytes that are no UTF-8 can stand nowhere in a report; what is not ASCII only in a global one.
std::string reportable(std::string_view text, bool global, std::size_t limit_bytes = kDiagnosticBytes) {
  std::string out = base::printable(text, limit_bytes);
  const bool keep = global && base::is_utf8(out);
  if (!keep) std::replace_if(out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  return out;
}

std::string_view status_of(const RecipientStatus& status) {
  if (!status.outcome.status.empty()) return status.outcome.status;
  switch (status.action) {
    case DeliveryAction::failed: return "5.0.0";
    case DeliveryAction::delayed: return "4.0.0";
    default: return "2.0.0";
  }
}

// For a person: dates in UTC would be no help, those of our zone say which it is.
std::string shown(base::WallTime time) { return base::rfc5322_date(time); }

// A code point as RFC 6533 section 3 writes it in ASCII; the code point at `at`, which moves behind it.
std::string encoded_code_point(std::string_view text, std::size_t& at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  std::uint32_t point = length == 1 ? lead : lead & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) point = point << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3fU);
  at += length;
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string digits;
  do digits.insert(digits.begin(), kDigits[point & 15]);
  while ((point >>= 4) != 0);
  if (digits.size() % 2 != 0) digits.insert(digits.begin(), '0');
  return "\\x{" + digits + "}";
}

// The header with CRLF line ends, cut at the end of a line if it is long, and with one at its end.
std::string header_of(std::string_view message) {
  std::string_view header = message.substr(0, parse_header(message).bytes);
  if (header.size() > kHeaderBytes) {
    header = header.substr(0, kHeaderBytes);
    header = header.substr(0, header.rfind('\n') + 1);
  }
  std::string out;
  for (const char c : header) {
    if (c == '\n' && !out.ends_with('\r')) out += '\r';
    out += c;
  }
  if (!out.empty() && !out.ends_with('\n')) out += "\r\n";
  return out;
}

// Something that no line of these texts begins with, the same each time.
std::string boundary_for(const std::string& id, std::string_view message) {
  std::string boundary = "=_report_" + id;
  while (message.find(boundary) != std::string_view::npos) boundary += 'x';
  return boundary;
}

std::string per_recipient_fields(const RecipientStatus& status, const ReportSettings& settings, bool global) {
  const Recipient& recipient = status.recipient;
  std::string out;
  // RFC 3461 section 5.2.1: only what the sender gave.
  if (!recipient.orcpt.empty()) out += field("Original-Recipient", typed_address(recipient.orcpt_type, recipient.orcpt, global));
  out += field("Final-Recipient", typed_address({}, recipient.address, global));
  out += field("Action", to_string(status.action));
  out += field("Status", status_of(status));
  const DeliveryFailure& outcome = status.outcome;
  if (!outcome.remote_host.empty()) out += field("Remote-MTA", "dns; " + reportable(outcome.remote_host, global, 255));
  if (!outcome.diagnostic.empty())
    out += field("Diagnostic-Code", (outcome.remote_host.empty() ? "x-postern; " : "smtp; ") + reportable(outcome.diagnostic, global));
  if (outcome.when != base::WallTime{}) out += field("Last-Attempt-Date", shown(outcome.when));
  // RFC 3461 section 6.2.3: who relayed says that it knows no more.
  if (status.action == DeliveryAction::relayed && outcome.diagnostic.empty())
    out += field("Diagnostic-Code", "x-postern; handed by " + settings.host_name + " to a host that sends no notices of success");
  if (status.will_retry_until) out += field("Will-Retry-Until", shown(*status.will_retry_until));
  return out;
}

std::string reason_of(const RecipientStatus& status) {
  if (!status.outcome.diagnostic.empty()) return base::printable(status.outcome.diagnostic, kDiagnosticBytes);
  return std::string(to_string(status.action)) + " (" + std::string(status_of(status)) + ")";
}

}  // namespace

std::string_view to_string(DeliveryAction action) {
  constexpr std::string_view kNames[] = {"failed", "delayed", "delivered", "relayed", "expanded"};
  return kNames[static_cast<std::size_t>(action)];
}

std::string utf8_address_in_ascii(std::string_view address) {
  std::string out;
  for (std::size_t at = 0; at < address.size();) {
    const char c = address[at];
    // What may stand there as it is: printable ASCII without '\', '+' and '='.
    if (c > ' ' && c < 0x7f && c != '\\' && c != '+' && c != '=') {
      out += c;
      ++at;
    } else {
      out += encoded_code_point(address, at);
    }
  }
  return out;
}

std::string typed_address(std::string_view type, std::string_view address, bool global) {
  std::string clean = base::printable(address, 1000);
  if (!base::is_utf8(clean)) std::replace_if(clean.begin(), clean.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  const bool utf8 = base::equal_ignoring_case(type, "utf-8") || (type.empty() && !is_ascii(clean)) || !is_ascii(clean);
  if (!utf8) return reportable(type.empty() ? "rfc822" : type, false, 64) + "; " + clean;
  return "utf-8; " + (global ? clean : utf8_address_in_ascii(clean));
}

GeneratedMail delivery_status_report(const Envelope& envelope, std::string_view message, std::uint64_t message_bytes,
                                     std::span<const RecipientStatus> recipients, const std::string& to, const std::string& id,
                                     base::WallTime now, const ReportSettings& settings) {
  POSTERN_ASSERT(!recipients.empty() && settings.text != nullptr);
  const std::string postmaster = settings.postmaster.empty() ? "postmaster@" + settings.host_name : settings.postmaster;
  const MessageView view(message);
  const bool global = envelope.smtputf8 || !is_ascii(to);

  // What a person reads.
  std::string lines;
  std::optional<base::WallTime> until;
  for (const RecipientStatus& status : recipients) {
    if (status.will_retry_until) until = until ? std::max(*until, *status.will_retry_until) : status.will_retry_until;
    const auto value = [&](std::string_view name) -> std::string {
      if (name == "address") return base::printable(status.recipient.original.empty() ? status.recipient.address : status.recipient.original, 1000);
      if (name == "reason") return reason_of(status);
      if (name == "status") return std::string(status_of(status));
      return base::printable(status.outcome.remote_host, 255);
    };
    lines += settings.text->line(value, !status.outcome.remote_host.empty()) + "\r\n";
  }
  if (lines.ends_with("\r\n")) lines.resize(lines.size() - 2);
  const auto value = [&](std::string_view name) -> std::string {
    if (name == "host") return settings.host_name;
    if (name == "sender") return to;
    if (name == "recipients") return lines;
    if (name == "subject") return base::printable(view.first("Subject").value_or(std::string_view()), kSubjectBytes);
    if (name == "arrival") return shown(envelope.received);
    if (name == "retry_until") return until ? shown(*until) : std::string("-");
    if (name == "id") return envelope.id;
    return postmaster;
  };
  std::string human = settings.text->text(value);
  if (!base::is_utf8(human)) std::replace_if(human.begin(), human.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');

  // What comes back of the message. RFC 3461 section 4.3: RET counts for failures; a message that only waits or arrived is known to its sender.
  const bool failed = std::any_of(recipients.begin(), recipients.end(), [](const RecipientStatus& one) { return one.action == DeliveryAction::failed; });
  // RFC 8689 section 5: whatever RET says, the text of a message with REQUIRETLS does not go back over ways that nobody knows.
  const bool whole = failed && envelope.ret != Return::headers && !envelope.require_tls && message_bytes == message.size() && message_bytes <= settings.return_bytes;
  const std::string returned = whole ? std::string(message) : header_of(message);
  const std::string boundary = boundary_for(id, message);

  GeneratedMail made;
  const std::string original_id = reportable(view.first("Message-ID").value_or(std::string_view()), false, 900);
  const bool is_id = original_id.size() > 2 && original_id.front() == '<' && original_id.back() == '>' && original_id.find(' ') == std::string::npos;
  std::string& text = made.text;
  text = field("From", display_name(settings.text->from()) + " <" + postmaster + ">") + field("To", "<" + to + ">") +
         field("Subject", encode_words(settings.text->subject(value))) + field("Date", base::rfc5322_date(now)) +
         field("Message-ID", "<" + id + "@" + settings.host_name + ">");
  if (is_id) text += field("In-Reply-To", original_id) + field("References", original_id);
  text += field("Auto-Submitted", "auto-replied") + field("MIME-Version", "1.0") +
          field("Content-Type", "multipart/report; report-type=delivery-status; boundary=\"" + boundary + "\"");
  // RFC 2045 section 6.1: without it the whole claims to be 7-bit.
  const bool eight = !is_ascii(returned);
  if (eight || global) text += field("Content-Transfer-Encoding", "8bit");
  const std::string separator = "\r\n--" + boundary + "\r\n";
  text += separator + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + encode_quoted_printable(human);
  text += separator + (global ? "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
                              : "Content-Type: message/delivery-status\r\n\r\n");
  if (!envelope.envelope_id.empty()) text += field("Original-Envelope-Id", reportable(envelope.envelope_id, global, 200));
  text += field("Reporting-MTA", "dns; " + settings.host_name) + field("Arrival-Date", shown(envelope.received));
  // What RFC 2852 and RFC 4865 add to RFC 3464.
  if (envelope.deliver_by) text += field("Deliver-By-Date", shown(envelope.deliver_by->until));
  if (envelope.hold_until) text += field("Future-Release-Request", "until; " + base::iso8601(*envelope.hold_until));
  for (const RecipientStatus& status : recipients) text += "\r\n" + per_recipient_fields(status, settings, global);
  text += separator;
  if (whole) text += global ? "Content-Type: message/global\r\n" : "Content-Type: message/rfc822\r\n";
  else text += global ? "Content-Type: message/global-headers\r\n" : "Content-Type: text/rfc822-headers\r\n";
  text += std::string("Content-Transfer-Encoding: ") + (eight ? "8bit" : "7bit") + "\r\n\r\n" + returned;
  if (!returned.ends_with('\n')) text += "\r\n";
  text += separator.substr(0, separator.size() - 2) + "--\r\n";

  made.envelope.id = id;
  made.envelope.received = now;
  made.envelope.source_channel = "process";
  made.envelope.protocol = "local";
  made.envelope.body_8bit = eight || global;
  made.envelope.smtputf8 = global;
  made.envelope.require_tls = envelope.require_tls;
  Recipient& recipient = made.envelope.recipients.emplace_back();
  recipient.address = recipient.original = to;
  recipient.notify_given = recipient.notify_never = true;  // RFC 3461 section 6.1: nobody is told about a notice
  recipient.notify_failure = false;
  return made;
}

}  // namespace postern::mail
