// SPDX-License-Identifier: Apache-2.0
#include "tools/sendmail_message.h"

#include "base/text.h"
#include "mail/address.h"
#include "mail/encode.h"
#include "mail/header.h"
#include "mail/message.h"

#include <algorithm>

namespace postern::tools {
namespace {

// The input with CRLF line ends, as far as it goes.
std::string normalised(std::string_view input, bool dot_ends) {
  std::string text;
  text.reserve(input.size() + input.size() / 32);
  while (!input.empty()) {
    const auto end = input.find('\n');
    std::string_view line = input.substr(0, end);
    input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
    while (line.ends_with('\r')) line.remove_suffix(1);
    if (dot_ends && line == ".") break;
    for (const char c : line)
      // A lone CR is no line end and would be refused; so would NUL.
      if (c != '\0') text += c == '\r' ? ' ' : c;
    text += "\r\n";
  }
  return text;
}

// A name of this host, "anna" or "The Boss <boss>"; empty: it is something else.
std::string_view local_name(std::string_view entry) {
  std::string_view name = base::trim(entry);
  if (const auto opening = name.rfind('<'); opening != std::string_view::npos && name.ends_with('>')) name = name.substr(opening + 1, name.size() - opening - 2);
  return name.find_first_of("@<>\" \t") == std::string_view::npos ? name : std::string_view();
}

bool has(const mail::MessageView& view, std::string_view name) { return view.exists(name); }

}  // namespace

void add_recipients(std::string_view list, const std::string& host_name, std::vector<std::string>& recipients, std::vector<std::string>& unusable) {
  for (const mail::ListedAddress& entry : mail::parse_address_list(list).addresses) {
    std::string address;
    if (entry.valid) address = mail::quoted_local_part(entry.local_part) + "@" + entry.domain;
    else if (!entry.local_part.empty() && entry.domain.empty()) address = mail::quoted_local_part(entry.local_part) + "@" + host_name;
    else if (const std::string_view name = local_name(entry.raw); !name.empty()) address = std::string(name) + "@" + host_name;
    if (address.empty() || !mail::parse_mailbox(address)) {
      unusable.push_back(entry.raw);
      continue;
    }
    if (std::find(recipients.begin(), recipients.end(), address) == recipients.end()) recipients.push_back(std::move(address));
  }
}

SendmailMessage sendmail_message(std::string_view input, const SendmailFacts& facts) {
  if (input.starts_with("From ")) input.remove_prefix(std::min(input.find('\n'), input.size() - 1) + 1);
  const std::string text = normalised(input, facts.dot_ends);
  const mail::MessageView view(text);
  const bool resent = has(view, "Resent-To") || has(view, "Resent-Cc") || has(view, "Resent-Bcc");
  SendmailMessage made;
  std::string header;
  const auto& fields = view.header().fields;
  for (std::size_t number = 0; number < fields.size(); ++number) {
    const mail::HeaderField& field = fields[number];
    std::string_view name = field.name;
    const bool blind = base::equal_ignoring_case(name, resent ? "Resent-Bcc" : "Bcc");
    if (facts.header_recipients && (blind || base::equal_ignoring_case(name, resent ? "Resent-To" : "To") || base::equal_ignoring_case(name, resent ? "Resent-Cc" : "Cc")))
      add_recipients(view.value(number), facts.host_name, made.recipients, made.unusable);
    if (facts.header_recipients && blind) continue;
    header.append(field.name).append(":").append(field.raw).append("\r\n");
  }
  const auto add = [&](const char* name, const std::string& value) {
    if (!has(view, name)) header += mail::folded_field(name, value);
  };
  add("From", facts.full_name.empty() ? facts.sender : mail::display_name(facts.full_name) + " <" + facts.sender + ">");
  add("Date", base::rfc5322_date(facts.now));
  add("Message-ID", "<" + facts.message_id + ">");
  // RFC 5322 section 3.6.3 wants none; a message without any recipient field is spam to many.
  if (!facts.header_recipients && !has(view, "To") && !has(view, "Cc") && !has(view, "Bcc")) header += "To: undisclosed-recipients:;\r\n";
  made.text = std::move(header) + "\r\n";
  if (view.has_body()) made.text += view.body();
  else made.text += std::string_view(text).substr(view.header().bytes);
  return made;
}

}  // namespace postern::tools
