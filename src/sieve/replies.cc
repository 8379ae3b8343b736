// SPDX-License-Identifier: Apache-2.0
#include "sieve/replies.h"

#include "config.h"

#include "base/text.h"
#include "mail/date.h"
#include "mail/delivery_status.h"
#include "mail/encode.h"
#include "sieve/modifiers.h"
#include "sieve/part_edit.h"

#include <algorithm>
#include <array>

namespace postern::sieve {

namespace {

constexpr std::string_view kEnd = "\r\n";
constexpr std::size_t kSubjectCharacters = 256;

GeneratedMail nothing(std::string why) {
  GeneratedMail mail;
  mail.why_not = std::move(why);
  return mail;
}

std::string field(std::string_view name, std::string_view value) { return mail::folded_field(name, value, kEnd); }

bool same_address(std::string_view a, std::string_view b) { return base::equal_ignoring_case(a, b); }

// Senders that are programs (RFC 5230 section 4.6, RFC 3834 section 2).
bool is_robot(std::string_view address) {
  const std::string whole = base::lower(address.substr(0, address.rfind('@')));
  // "noreply+case-4711" is no less a program: what stands behind the first "+" is a tag of the sender's own (RFC 5233).
  const std::string local = whole.substr(0, whole.find('+', 1));
  constexpr std::array<std::string_view, 10> kNames = {"mailer-daemon", "listserv", "majordomo", "noreply", "no-reply", "no_reply", "donotreply", "do-not-reply", "postmaster-daemon", "bounce"};
  if (std::find(kNames.begin(), kNames.end(), local) != kNames.end()) return true;
  return local.starts_with("owner-") || local.ends_with("-request") || local.ends_with("-bounces") || local.ends_with("-bounce");
}

// Why a message must not be answered by a program; empty if it may.
std::string automatic(const mail::MessageView& message, const EnvelopeView& envelope) {
  if (envelope.from.empty() || !envelope.from_valid) return "the sender is null";
  if (is_robot(envelope.from)) return "the sender is a program";
  for (const mail::HeaderField& one : message.header().fields)
    if (base::starts_with_ignoring_case(one.name, "List-")) return "the message is from a list";
  const auto lower_value = [&](std::string_view name) { return base::lower(message.first(name).value_or(std::string_view())); };
  const std::string precedence = lower_value("Precedence");
  if (precedence == "bulk" || precedence == "list" || precedence == "junk") return "its Precedence is " + precedence;
  const std::string submitted = lower_value("Auto-Submitted");
  if (!submitted.empty() && base::trim(submitted.substr(0, submitted.find_first_of(";("))) != "no") return "the message was made by a program";
  const std::string suppress = lower_value("X-Auto-Response-Suppress");
  for (const std::string_view word : base::split(suppress, ',')) {
    const std::string_view wish = base::trim(word);
    if (wish == "oof" || wish == "all" || wish == "autoreply") return "the sender asks for no automatic replies";
  }
  if (lower_value("X-Spam-Flag").starts_with("yes")) return "the message is spam";
  return {};
}

// The first of `own` that is among the recipients of the header.
std::optional<std::string> addressed_to(const mail::MessageView& message, const std::vector<std::string>& own) {
  for (const std::string& addressee : addressees(message, std::string::npos))
    for (const std::string& address : own)
      if (same_address(addressee, address)) return address;
  return std::nullopt;
}

std::string shortened(std::string_view text) {
  if (first_characters(text, kSubjectCharacters).size() == text.size()) return std::string(text);
  return std::string(first_characters(text, kSubjectCharacters - 1)) + "\xe2\x80\xa6";
}

// `wish` with names and addresses in the form that a field may have.
std::string sender_field(std::string_view wish) {
  const mail::AddressList list = mail::parse_address_list(wish);
  if (list.addresses.size() != 1 || !list.addresses.front().valid) return std::string(wish);
  const mail::ListedAddress& one = list.addresses.front();
  const std::string address = mail::quoted_local_part(one.local_part) + "@" + one.domain;
  return one.display_name.empty() ? address : mail::display_name(one.display_name) + " <" + address + ">";
}

std::string bare_address(std::string_view wish) {
  const mail::AddressList list = mail::parse_address_list(wish);
  return list.addresses.size() == 1 && list.addresses.front().valid ? list.addresses.front().address() : std::string(wish);
}

std::string beginning(const ReplySettings& settings, const Moment& moment) {
  return field("X-Sieve", std::string("Postern ") + PACKAGE_VERSION) + field("Message-ID", "<" + moment.id + "@" + settings.host_name + ">") +
         field("Date", mail::format_date({moment.now, moment.zone, false}));
}

// "<a@b>" and nothing that could get out of its place.
std::string message_ids(std::string_view text) {
  constexpr std::size_t kLongest = 4000;
  std::string out;
  for (std::size_t at = text.find('<'); at != std::string_view::npos; at = text.find('<', at)) {
    const auto end = text.find('>', at);
    if (end == std::string_view::npos) break;
    const std::string_view id = text.substr(at, end - at + 1);
    if (std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c < 0x7f; }) && out.size() + id.size() < kLongest) out.append(out.empty() ? "" : " ").append(id);
    at = end;
  }
  return out;
}

// RFC 5322 section 3.6.4.
std::string threading(const mail::MessageView& message) {
  const std::string id = message_ids(message.first("Message-ID").value_or(std::string_view()));
  if (id.empty()) return {};
  std::string references = message_ids(message.first("References").value_or(std::string_view()));
  if (references.empty()) {
    references = message_ids(message.first("In-Reply-To").value_or(std::string_view()));
    if (references.find(' ') != std::string::npos) references.clear();
  }
  return field("In-Reply-To", id) + field("References", references.empty() ? id : references + " " + id);
}

// Who gets the reply, with the name that the header has for the envelope's sender.
std::string reply_to(const mail::MessageView& message, const EnvelopeView& envelope, bool ignore_envelope) {
  for (const std::string_view name : {"Sender", "Resent-From", "From"}) {
    std::vector<std::size_t> fields;
    message.find(name, fields);
    for (const std::size_t number : fields)
      for (const mail::ListedAddress& entry : message.addresses(number).addresses) {
        if (!entry.valid || (!ignore_envelope && !same_address(entry.address(), envelope.from))) continue;
        const std::string address = mail::quoted_local_part(entry.local_part) + "@" + entry.domain;
        if (entry.display_name.empty()) return "<" + address + ">";
        const bool encoded = entry.display_name.find("=?") != std::string::npos;   // as it came
        const bool ascii = std::all_of(entry.display_name.begin(), entry.display_name.end(), [](char c) { return c >= ' ' && c < 0x7f; });
        return (encoded && ascii ? entry.display_name : mail::display_name(entry.display_name)) + " <" + address + ">";
      }
  }
  return "<" + std::string(envelope.from) + ">";
}

// The header of the message as it came, for reports.
std::string header_part(const mail::MessageView& message) {
  std::string out;
  for (const char c : message.text().substr(0, message.header().bytes)) {
    if (c == '\n' && !out.ends_with('\r')) out += '\r';
    out += c;
  }
  return out;
}

// With CRLF in the place of each line end of any kind: variables may bring lone ones.
std::string with_line_ends(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
    if (text[i] == '\r' || text[i] == '\n') out.append(kEnd);
    else out += text[i];
  }
  return out;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

std::vector<std::string> addressees(const mail::MessageView& message, std::size_t most) {
  std::vector<std::string> found;
  for (const std::string_view name : {"To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"}) {
    std::vector<std::size_t> fields;
    message.find(name, fields);
    for (const std::size_t number : fields)
      for (const mail::ListedAddress& entry : message.addresses(number).addresses)
        if (entry.valid && found.size() < most) found.push_back(entry.address());
  }
  return found;
}

GeneratedMail vacation_reply(const Vacation& vacation, const mail::MessageView& message, const EnvelopeView& envelope, const ReplySettings& settings, const Moment& moment) {
  if (auto why = automatic(message, envelope); !why.empty()) return nothing(std::move(why));
  std::vector<std::string> own;
  if (!settings.user_address.empty()) own.push_back(settings.user_address);
  own.emplace_back(envelope.to);
  if (settings.use_original_recipient && !envelope.original_to.empty()) own.emplace_back(envelope.original_to);
  own.insert(own.end(), settings.own_addresses.begin(), settings.own_addresses.end());
  for (const std::string& address : vacation.addresses) own.push_back(bare_address(address));
  for (const std::string& address : own)
    if (same_address(address, envelope.from)) return nothing("the sender is the account itself");
  const auto matched = addressed_to(message, own);
  if (!matched && settings.check_recipient) return nothing("no own address is among the recipients");

  GeneratedMail mail;
  mail.from = settings.send_from_recipient ? std::string(envelope.to) : std::string();
  mail.to = {std::string(envelope.from)};
  const std::string from = !vacation.from.empty() ? sender_field(vacation.from) : "<" + (matched ? *matched : own.front()) + ">";
  std::string subject = settings.default_subject;
  if (vacation.subject) {
    subject = *vacation.subject;
  } else if (const auto original = message.first("Subject"); original && !original->empty()) {
    subject = settings.subject_template;
    constexpr std::string_view kPlace = "%{subject}";
    if (const auto at = subject.find(kPlace); at != std::string::npos) subject.replace(at, kPlace.size(), *original);
  }
  mail.text = beginning(settings, moment) + field("From", from) + field("To", reply_to(message, envelope, settings.to_ignores_envelope)) +
              field("Subject", mail::encode_words(shortened(subject))) + threading(message) + field("Auto-Submitted", "auto-replied (vacation)") + field("Precedence", "bulk") +
              field("X-Auto-Response-Suppress", "All") + field("MIME-Version", "1.0");
  if (vacation.mime) {
    const std::string entity = with_line_ends(vacation.reason);
    const mail::Header header = mail::parse_header(entity);
    const std::string_view body = std::string_view(entity).substr(header.body_offset);
    mail.text += with_8bit_said(mime_fields(std::string_view(entity).substr(0, header.bytes), true), body, kEnd).append(kEnd).append(body);
  } else {
    const EncodedText encoded = encode_text("text/plain", vacation.reason, kEnd);
    mail.text += encoded.fields + std::string(kEnd) + encoded.body;
  }
  if (!mail.text.ends_with('\n')) mail.text += kEnd;
  return mail;
}

GeneratedMail rejection_notice(const Action& action, const mail::MessageView& message, const EnvelopeView& envelope, const ReplySettings& settings, const Moment& moment) {
  if (auto why = automatic(message, envelope); !why.empty()) return nothing(std::move(why));
  if (same_address(envelope.to, envelope.from)) return nothing("the sender is the account itself");
  const bool disposition = action.kind == Action::Kind::reject;
  const std::string recipient = settings.user_address.empty() ? std::string(envelope.to) : settings.user_address;
  const std::string original_id = message_ids(message.first("Message-ID").value_or(std::string_view()));
  const std::string old_header = header_part(message);
  const std::string boundary = new_boundary({action.reason, old_header});
  // Who has an address in UTF-8 reads such reports (RFC 6533); for others addresses are put in ASCII.
  const bool global = !is_ascii(envelope.from);

  GeneratedMail mail;
  mail.to = {std::string(envelope.from)};
  mail.text = beginning(settings, moment) + field("From", disposition ? "<" + recipient + ">" : "Mail Delivery Subsystem <" + settings.postmaster + ">") +
              field("To", "<" + std::string(envelope.from) + ">") + field("Subject", disposition ? "Automatically rejected mail" : "Undelivered mail: rejected by the recipient") +
              threading(message) + field("Auto-Submitted", disposition ? "auto-replied (rejected)" : "auto-replied") + field("MIME-Version", "1.0") +
              field("Content-Type", std::string("multipart/report; report-type=") + (disposition ? "disposition-notification" : "delivery-status") + "; boundary=\"" + boundary + "\"");
  if (global || !is_ascii(old_header)) mail.text += field("Content-Transfer-Encoding", "8bit");
  const std::string line = "\r\n--" + boundary + "\r\n";
  const EncodedText explanation = encode_text("text/plain", "Your message to <" + std::string(envelope.to) + "> was automatically rejected:\r\n\r\n" + action.reason + "\r\n", kEnd);
  mail.text += line + explanation.fields + "\r\n" + explanation.body;
  const auto typed = [global](std::string_view address) { return mail::typed_address({}, address, global); };
  const std::string encoding = global ? "Content-Transfer-Encoding: 8bit\r\n" : "";
  if (disposition) {
    mail.text += line + "Content-Type: message/" + (global ? "global-" : "") + "disposition-notification\r\n" + encoding + "\r\n" +
                 field("Reporting-UA", settings.host_name + "; Postern") + (envelope.original_to.empty() ? "" : field("Original-Recipient", typed(envelope.original_to))) +
                 field("Final-Recipient", typed(envelope.to)) + (original_id.empty() ? "" : field("Original-Message-ID", original_id)) +
                 field("Disposition", "automatic-action/MDN-sent-automatically; deleted");
  } else {
    mail.text += line + "Content-Type: message/" + (global ? "global-" : "") + "delivery-status\r\n" + encoding + "\r\n" +
                 field("Reporting-MTA", "dns; " + settings.host_name) + "\r\n" +
                 (envelope.original_to.empty() ? "" : field("Original-Recipient", typed(envelope.original_to))) + field("Final-Recipient", typed(envelope.to)) +
                 field("Action", "failed") + field("Status", "5.7.1");
  }
  mail.text += line + "Content-Type: " + (global ? "message/global-headers" : "text/rfc822-headers") + "\r\nContent-Transfer-Encoding: " + (is_ascii(old_header) ? "7bit" : "8bit") + "\r\n\r\n" + old_header;
  if (!mail.text.ends_with('\n')) mail.text += kEnd;
  mail.text += "\r\n--" + boundary + "--\r\n";
  return mail;
}

GeneratedMail notification_mail(const Notification& notification, const mail::MessageView& message, const EnvelopeView& envelope, const ReplySettings& settings, const Moment& moment) {
  const std::string submitted = base::lower(message.first("Auto-Submitted").value_or(std::string_view()));
  if (!submitted.empty() && base::trim(submitted.substr(0, submitted.find_first_of(";("))) != "no") return nothing("the message was made by a program");
  const std::string owner = settings.user_address.empty() ? std::string(envelope.to) : settings.user_address;

  GeneratedMail mail;
  for (const auto* list : {&notification.to, &notification.cc, &notification.bcc}) mail.to.insert(mail.to.end(), list->begin(), list->end());
  if (mail.to.empty()) return nothing("nobody is to be told");
  // RFC 5436 section 2.7: a notification about a bounce must not bounce.
  if (envelope.from.empty()) mail.from = {};
  else if (settings.notify_sender) mail.from = *settings.notify_sender;
  else mail.from = notification.from.empty() ? settings.postmaster : bare_address(notification.from);

  const auto uri_field = [&](std::string_view name) -> const std::string* {
    for (const auto& [known, value] : notification.fields)
      if (base::equal_ignoring_case(known, name)) return &value;
    return nullptr;
  };
  std::string subject;
  if (!notification.message.empty()) subject = notification.message;
  else if (const std::string* given = uri_field("Subject")) subject = *given;
  else subject = std::string(message.first("Subject").value_or("New mail"));
  const auto list_of = [](const std::vector<std::string>& addresses) {
    std::string out;
    for (const std::string& address : addresses) out.append(out.empty() ? "" : ", ").append("<" + address + ">");
    return out;
  };
  mail.text = beginning(settings, moment) + field("From", notification.from.empty() ? "<" + (owner.empty() ? settings.postmaster : owner) + ">" : sender_field(notification.from));
  if (!notification.to.empty()) mail.text += field("To", list_of(notification.to));
  if (!notification.cc.empty()) mail.text += field("Cc", list_of(notification.cc));
  if (notification.to.empty() && notification.cc.empty()) mail.text += field("To", "undisclosed-recipients:;");
  mail.text += field("Subject", mail::encode_words(shortened(subject)));
  mail.text += field("Auto-Submitted", owner.empty() ? "auto-notified" : "auto-notified; owner-email=\"" + owner + "\"");
  constexpr std::array<std::string_view, 3> kImportance = {"High", "Normal", "Low"}, kPriority = {"1 (Highest)", "3 (Normal)", "5 (Lowest)"};
  const auto level = static_cast<std::size_t>(std::clamp(notification.importance, 1, 3) - 1);
  mail.text += field("X-Priority", kPriority[level]) + field("Importance", kImportance[level]);
  for (const auto& [name, value] : notification.fields)
    if (!base::equal_ignoring_case(name, "Subject") && !base::equal_ignoring_case(name, "X-Priority") && !base::equal_ignoring_case(name, "Importance") &&
        !base::equal_ignoring_case(name, "Precedence"))
      mail.text += field(name, mail::encode_words(value));
  mail.text += field("Precedence", "bulk") + field("MIME-Version", "1.0");
  std::string body = notification.body;
  if (body.empty()) {
    body = "Notification of new message.\r\n\r\nFrom: " + std::string(message.first("From").value_or("?")) + "\r\nSubject: " + std::string(message.first("Subject").value_or("")) + "\r\n";
    for (char& c : body)
      if (base::is_control(c) && c != '\r' && c != '\n' && c != '\t') c = ' ';
  }
  if (!base::is_utf8(body)) std::replace_if(body.begin(), body.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  const EncodedText encoded = encode_text("text/plain", body, kEnd);
  mail.text += encoded.fields + std::string(kEnd) + encoded.body;
  if (!mail.text.ends_with('\n')) mail.text += kEnd;
  return mail;
}

namespace {

// What the server itself has to say.
GeneratedMail server_mail(const std::string& to, std::string_view subject, const ReplySettings& settings, const Moment& moment) {
  GeneratedMail mail;
  mail.to = {to};
  mail.text = beginning(settings, moment) + field("From", "Mail Delivery Subsystem <" + settings.postmaster + ">") + field("To", "<" + to + ">") +
              field("Subject", mail::encode_words(shortened(subject))) + field("Auto-Submitted", "auto-generated") + field("Precedence", "bulk") + field("MIME-Version", "1.0");
  return mail;
}

}  // namespace

GeneratedMail captured_copy(const std::string& to, std::string_view text, const EnvelopeView& envelope, const ReplySettings& settings, const Moment& moment) {
  GeneratedMail mail = server_mail(to, "Copy of a message to " + std::string(envelope.to), settings, moment);
  const std::string boundary = new_boundary({text});
  mail.text += field("Content-Type", "multipart/mixed; boundary=\"" + boundary + "\"");
  if (!is_ascii(text)) mail.text += field("Content-Transfer-Encoding", "8bit");
  const std::string line = "\r\n--" + boundary + "\r\n";
  std::string facts = "Envelope of the enclosed message:\r\n\r\nSender: <" + std::string(envelope.from) + ">\r\nRecipient: <" + std::string(envelope.to) + ">\r\n";
  if (!envelope.original_to.empty() && envelope.original_to != envelope.to) facts += "Original recipient: <" + std::string(envelope.original_to) + ">\r\n";
  if (!envelope.authenticated.empty()) facts += "Authenticated: " + std::string(envelope.authenticated) + "\r\n";
  const EncodedText encoded = encode_text("text/plain", facts, kEnd);
  mail.text += line + encoded.fields + "\r\n" + encoded.body;
  mail.text += line + "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: " + (is_ascii(text) ? "7bit" : "8bit") + "\r\n\r\n";
  mail.text.append(text);
  if (!mail.text.ends_with('\n')) mail.text += kEnd;
  mail.text += "\r\n--" + boundary + "--\r\n";
  return mail;
}

GeneratedMail owner_notice(const std::string& owner, std::string_view subject, std::string_view body, const ReplySettings& settings, const Moment& moment) {
  GeneratedMail mail = server_mail(owner, subject, settings, moment);
  const EncodedText encoded = encode_text("text/plain", body, kEnd);
  mail.text += encoded.fields + std::string(kEnd) + encoded.body;
  return mail;
}

}  // namespace postern::sieve
