// SPDX-License-Identifier: Apache-2.0
#include "mail/submission_header.h"

#include "base/text.h"
#include "mail/address.h"
#include "mail/encode.h"
#include "mail/header.h"

#include <algorithm>

namespace postern::mail {
namespace {

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view one) { return base::equal_ignoring_case(name, one); });
}

bool holds_addresses(std::string_view name) {
  return is_one_of(name, {"from", "sender", "reply-to", "to", "cc", "resent-from", "resent-sender", "resent-reply-to", "resent-to", "resent-cc"});
}

// The entry with "@domain" in its place; nothing if it has a domain, or is something else than "user" or "Name <user>".
std::optional<std::string> with_domain(const ListedAddress& entry, std::string_view domain) {
  if (entry.valid || entry.raw.empty()) return std::nullopt;
  const bool in_brackets = entry.raw.back() == '>';
  const auto begin = in_brackets ? entry.raw.rfind('<') + 1 : 0;  // no bracket: 0, and "<" or ">" is no character of a name
  const std::string_view name = std::string_view(entry.raw).substr(begin, entry.raw.size() - begin - (in_brackets ? 1 : 0));
  const auto belongs = [](char c) { return base::is_alpha(c) || base::is_digit(c) || std::string_view("!#$%&'*+-/=?^_`{|}~.").find(c) != std::string_view::npos; };
  if (name.empty() || !std::all_of(name.begin(), name.end(), belongs)) return std::nullopt;
  return entry.raw.substr(0, begin) + std::string(name) + "@" + std::string(domain) + (in_brackets ? ">" : "");
}

// The value with "@domain" behind each address that has none; nothing if all have one, or if it can't be taken apart without a loss.
std::optional<std::string> qualified(std::string_view raw, std::string_view domain) {
  if (domain.empty()) return std::nullopt;
  const AddressList list = parse_address_list(unfold(raw));
  if (list.grouped || list.cut) return std::nullopt;
  std::string value;
  bool changed = false;
  for (const ListedAddress& entry : list.addresses) {
    const auto completed = with_domain(entry, domain);
    changed |= completed.has_value();
    (value += value.empty() ? "" : ", ") += completed.value_or(entry.raw);
  }
  if (!changed) return std::nullopt;
  return value;
}

bool is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) > 127; });
}

bool is_blank(const HeaderField& field) { return base::trim(unfold(field.raw)).empty(); }

}  // namespace

std::optional<std::string> completed_header(std::string_view header, const SubmissionFacts& facts) {
  const Header parsed = parse_header(header);
  if (parsed.cut) return std::nullopt;
  const auto fits = [&](std::string_view text) { return facts.utf8 || is_ascii(text); };
  // Who sent it, as it may stand in this message; empty: can't be said.
  const std::string sender = fits(facts.account) ? facts.account : fits(facts.reverse_path) ? facts.reverse_path : std::string();
  std::string_view domain = std::string_view(facts.account).substr(std::min(facts.account.rfind('@'), facts.account.size() - 1) + 1);
  if (!fits(domain)) domain = {};
  bool has_date = false, has_id = false, has_from = false, has_sender = false, several = false, other = false;
  for (const HeaderField& field : parsed.fields) {
    if (is_blank(field)) continue;
    has_date |= base::equal_ignoring_case(field.name, "date");
    has_id |= base::equal_ignoring_case(field.name, "message-id");
    has_sender |= base::equal_ignoring_case(field.name, "sender");
    if (!base::equal_ignoring_case(field.name, "from")) continue;
    has_from = true;
    const std::string value = unfold(field.raw);
    const AddressList list = parse_address_list(qualified(value, domain).value_or(value));
    several |= list.addresses.size() > 1;
    for (const ListedAddress& address : list.addresses) other |= !base::equal_ignoring_case(address.address(), facts.account);
  }
  const bool replaces_sender = facts.add_sender && other, adds_sender = !sender.empty() && (replaces_sender || (facts.complete && several && !has_sender));
  const bool adds_date = facts.complete && !has_date, adds_from = facts.complete && !has_from && !sender.empty(), adds_id = facts.complete && !has_id;

  std::string out;
  const auto add = [&](std::string_view name, const std::string& value) { ((out += name) += ": ") += value + "\r\n"; };
  if (adds_date) add("Date", base::rfc5322_date(facts.now));
  if (adds_from) add("From", sender);
  if (adds_sender) add("Sender", sender);
  if (adds_id) add("Message-ID", "<" + facts.message_id + ">");
  bool changed = !out.empty();
  const auto is_replaced = [&](const HeaderField& field) {
    const auto is = [&](std::string_view name) { return base::equal_ignoring_case(field.name, name); };
    return (adds_date && is("date")) || (adds_from && is("from")) || (adds_id && is("message-id")) || (adds_sender && is("sender"));
  };
  for (std::size_t i = 0; i < parsed.fields.size(); ++i) {
    const HeaderField& field = parsed.fields[i];
    const std::size_t end = i + 1 < parsed.fields.size() ? parsed.fields[i + 1].offset : parsed.bytes;
    if ((facts.complete && is_one_of(field.name, {"bcc", "resent-bcc", "return-path"})) || (replaces_sender && base::equal_ignoring_case(field.name, "sender")) || is_replaced(field)) {
      changed = true;
      continue;
    }
    const auto value = facts.complete && holds_addresses(field.name) ? qualified(field.raw, domain) : std::nullopt;
    if (value) {
      out += folded_field(field.name, *value);
      changed = true;
    } else {
      out += header.substr(field.offset, end - field.offset);
    }
  }
  if (!changed) return std::nullopt;
  return out + std::string(header.substr(parsed.bytes));
}

bool hides_blind_copies(std::string_view message) {
  const Header parsed = parse_header(message);
  // An empty line ends it as it should.
  if (!parsed.has_body || parsed.body_offset != parsed.bytes) return false;
  for (std::string_view left = message.substr(parsed.bytes); !left.empty();) {
    const std::size_t end = std::min(left.find('\n'), left.size() - 1) + 1;
    const std::string_view line = left.substr(0, end);
    left.remove_prefix(end);
    if (line == "\r\n" || line == "\n") break;
    const auto colon = line.find(':');
    if (colon != std::string_view::npos && is_one_of(base::trim(line.substr(0, colon)), {"bcc", "resent-bcc"})) return true;
  }
  return false;
}

}  // namespace postern::mail
