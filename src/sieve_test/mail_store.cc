// SPDX-License-Identifier: Apache-2.0
#include "sieve_test/mail_store.h"

#include "base/text.h"
#include "mail/message.h"

#include <algorithm>

namespace postern::sieve_test {

namespace {

constexpr std::size_t kLongestName = 1000;

bool is_name(std::string_view name) {
  if (name.empty() || name.size() > kLongestName || !base::is_utf8(name) || std::any_of(name.begin(), name.end(), base::is_control)) return false;
  const auto parts = base::split(name, '.');
  return std::none_of(parts.begin(), parts.end(), [](std::string_view part) { return part.empty(); });
}

// A disposition that says so, or a part other than text that has a name.
bool is_attachment(const mail::Part& part) {
  for (const mail::HeaderField& field : part.header.fields) {
    if (base::equal_ignoring_case(field.name, "Content-Disposition")) {
      const std::string value = mail::unfold(field.raw);
      if (base::equal_ignoring_case(base::trim(std::string_view(value).substr(0, value.find(';'))), "attachment")) return true;
      if (part.type != "text" && !mail::parameter(value, "filename").empty()) return true;
    }
    if (base::equal_ignoring_case(field.name, "Content-Type") && part.type != "text" && !mail::parameter(mail::unfold(field.raw), "name").empty()) return true;
  }
  return std::any_of(part.children.begin(), part.children.end(), is_attachment);
}

}  // namespace

std::string MailStore::canonical(std::string_view name) {
  const std::string_view first = name.substr(0, name.find('.'));
  return base::equal_ignoring_case(first, "INBOX") ? "INBOX" + std::string(name.substr(first.size())) : std::string(name);
}

bool MailStore::exists(std::string_view name) const { return mailboxes_.count(canonical(name)) > 0; }

Result<void> MailStore::create(std::string_view name, const std::string& special_use) {
  if (!is_name(name)) return Error{Kind::invalid, "invalid folder name \"" + base::printable(name, 80) + "\""};
  const std::string own = canonical(name);
  for (auto dot = own.find('.');; dot = own.find('.', dot + 1)) {
    Mailbox& mailbox = mailboxes_[own.substr(0, dot)];
    if (mailbox.id.empty()) mailbox.id = "M" + std::to_string(++made_);
    if (dot == std::string::npos) {
      if (mailbox.special_use.empty()) mailbox.special_use = special_use;
      return {};
    }
  }
}

Result<void> MailStore::append(std::string_view name, StoredMessage message) {
  if (!is_name(name)) return Error{Kind::invalid, "failed to store into mailbox '" + base::printable(name, 80) + "': invalid folder name"};
  const auto found = mailboxes_.find(canonical(name));
  if (found == mailboxes_.end()) return Error{Kind::not_found, "failed to store into mailbox '" + base::printable(name, 80) + "': mailbox doesn't exist: " + base::printable(name, 80)};
  const mail::MessageView view(message.text);
  message.flags.emplace_back(is_attachment(view.structure()) ? "$HasAttachment" : "$HasNoAttachment");
  found->second.messages.push_back(std::move(message));
  return {};
}

const StoredMessage* MailStore::message(std::string_view mailbox, std::size_t number) const {
  const auto found = mailboxes_.find(canonical(mailbox));
  if (found == mailboxes_.end() || number >= found->second.messages.size()) return nullptr;
  return &found->second.messages[number];
}

std::optional<std::string> MailStore::with_id(std::string_view id) const {
  for (const auto& [name, mailbox] : mailboxes_)
    if (!mailbox.id.empty() && mailbox.id == id) return name;
  return std::nullopt;
}

std::optional<std::string> MailStore::with_use(std::string_view use, const std::optional<std::string>& among) const {
  for (const auto& [name, mailbox] : mailboxes_)
    if (base::equal_ignoring_case(mailbox.special_use, use) && (!among || canonical(*among) == name)) return name;
  return std::nullopt;
}

void MailStore::set_metadata(const std::string& mailbox, const std::string& entry, const std::string& value) {
  // Entry names are the same in upper and lower case (RFC 5464 section 3.2).
  if (mailbox.empty()) server_metadata_[base::lower(entry)] = value;
  else mailboxes_[canonical(mailbox)].metadata[base::lower(entry)] = value;
}

std::optional<std::string> MailStore::metadata(const std::string& mailbox, const std::string& entry) const {
  const auto* entries = &server_metadata_;
  if (!mailbox.empty()) {
    const auto found = mailboxes_.find(canonical(mailbox));
    if (found == mailboxes_.end()) return std::nullopt;
    entries = &found->second.metadata;
  }
  const auto value = entries->find(base::lower(entry));
  return value != entries->end() ? std::optional(value->second) : std::nullopt;
}

}  // namespace postern::sieve_test
