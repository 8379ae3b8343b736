// SPDX-License-Identifier: Apache-2.0
#include "mail/received.h"

#include "base/text.h"
#include "mail/address.h"
#include "mail/header.h"

#include <algorithm>
#include <limits>

namespace postern::mail {

namespace {

// Of the field, as a rule.
constexpr std::size_t kUsualBytes = 400;

// Text that may stand in a comment: printable ASCII without parentheses and backslashes, cut.
std::string comment_text(std::string_view text, std::size_t limit) {
  std::string out(text.substr(0, limit));
  for (char& c : out)
    if (c < ' ' || c >= 0x7f || c == '(' || c == ')' || c == '\\') c = '?';
  return out;
}

std::string literal(std::string_view address) {
  std::string out = address.find(':') == std::string_view::npos ? "[" : "[IPv6:";
  out.append(comment_text(address, 80)).append("]");
  return out;
}

bool fits_a_path(std::string_view address) {
  return address.size() <= 300 && std::all_of(address.begin(), address.end(), [](char c) { return c >= ' ' && c < 0x7f && c != '<' && c != '>'; });
}

}  // namespace

std::string protocol_keyword(const ProtocolFacts& facts) {
  if (!facts.lmtp && !facts.extended) return "SMTP";
  std::string keyword = facts.smtputf8 ? (facts.lmtp ? "UTF8LMTP" : "UTF8SMTP") : (facts.lmtp ? "LMTP" : "ESMTP");
  if (facts.tls) keyword += 'S';
  if (facts.authenticated) keyword += 'A';
  return keyword;
}

std::string received_field(const ReceivedFacts& facts) {
  std::string out;
  out.reserve(kUsualBytes);
  out += "Received: from ";
  const auto name = canonical_domain(facts.helo);
  if (name) out += *name;
  else out += facts.client_address.empty() ? std::string("unknown") : literal(facts.client_address);
  std::string info;
  if (!facts.client_name.empty())
    if (const auto host = canonical_domain(facts.client_name)) info = *host;
  if (!facts.client_address.empty()) info.append(info.empty() ? "" : " ").append(literal(facts.client_address));
  if (!info.empty()) out.append(" (").append(info).append(")");
  // What is no name at all is shown in a comment, where it can do no harm.
  if (!name && !facts.helo.empty()) out.append(" (helo ").append(comment_text(facts.helo, 100)).append(")");
  out.append("\r\n\tby ").append(facts.host_name).append(" with ").append(facts.protocol);
  if (!facts.tls.empty()) out.append("\r\n\t(").append(comment_text(facts.tls, 100)).append(")");
  if (!facts.id.empty()) out.append(" id ").append(facts.id);
  if (!facts.recipient.empty() && fits_a_path(facts.recipient)) out.append("\r\n\tfor <").append(facts.recipient).append(">");
  // RFC 6710 section 6: one of RFC 5321's additional clauses, behind all others.
  if (facts.priority != 0) out.append("\r\n\tPRIORITY ").append(std::to_string(facts.priority));
  out.append(";\r\n\t").append(base::rfc5322_date(facts.time)).append("\r\n");
  return out;
}

std::size_t count_received_fields(std::string_view message) {
  HeaderLimits limits;
  limits.fields = std::numeric_limits<std::size_t>::max();  // trace fields behind many others count too
  const Header header = parse_header(message, limits);
  return static_cast<std::size_t>(std::count_if(header.fields.begin(), header.fields.end(),
                                                [](const HeaderField& field) { return base::equal_ignoring_case(field.name, "received"); }));
}

}  // namespace postern::mail
