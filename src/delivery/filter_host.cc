// SPDX-License-Identifier: Apache-2.0
#include "delivery/filter_host.h"

#include "base/log.h"
#include "base/text.h"
#include "store/address_books.h"

#include <algorithm>

namespace postern::delivery {

store::AccountMemory memory_of(store::Store& store, const std::string& mailbox_directory, const FilterSettings& settings) {
  return {store.files(), store.mail_directory(), mailbox_directory, settings.memory_entries};
}

bool FilterHost::mailbox_exists(const std::string& name) {
  if (!subject_.account) return false;
  auto exists = store_.folder_exists(subject_.account->mailbox_directory, name == "INBOX" ? "" : name);
  return exists && *exists;
}

const std::vector<store::NamedFolder>& FilterHost::folders() {
  if (!folders_) {
    folders_.emplace();
    if (subject_.account)
      if (auto found = store::list_folders(store_.mail_directory(), subject_.account->mailbox_directory)) folders_ = std::move(*found);
  }
  return *folders_;
}

std::optional<std::string> FilterHost::mailbox_with_id(const std::string& id) {
  for (const store::NamedFolder& folder : folders())
    if (folder.facts.id == id) return folder.name;
  return std::nullopt;
}

// Of several the first by name.
std::optional<std::string> FilterHost::mailbox_with_use(const std::string& use, const std::optional<std::string>& among) {
  for (const store::NamedFolder& folder : folders())
    if ((!among || folder.name == *among) &&
        std::any_of(folder.facts.uses.begin(), folder.facts.uses.end(), [&](const std::string& one) { return base::equal_ignoring_case(one, use); }))
      return folder.name;
  return std::nullopt;
}

// Of the server there is what RFC 5464 section 6.2.1 has for all: whom to write to.
std::optional<std::string> FilterHost::metadata(const std::optional<std::string>& mailbox, const std::string& entry) {
  if (!mailbox) return base::equal_ignoring_case(entry, "/shared/admin") ? std::optional("mailto:postmaster@" + settings_.host_name) : std::nullopt;
  for (const store::NamedFolder& folder : folders())
    if (folder.name == *mailbox)
      if (const auto found = folder.facts.annotations.find(base::lower(entry)); found != folder.facts.annotations.end()) return found->second;
  return std::nullopt;
}

std::optional<std::string> address_book_of(std::string_view list) {
  if (!list.starts_with(sieve::kAddressBooks)) return std::nullopt;
  list.remove_prefix(sieve::kAddressBooks.size());
  return store::AddressBooks::is_name(list) ? std::optional(std::string(list)) : std::nullopt;
}

const ListedValues* FilterHost::address_book(const std::string& list) {
  const auto name = address_book_of(list);
  if (!name || !subject_.account) return nullptr;
  auto known = address_books_.find(*name);
  if (known == address_books_.end()) {
    const store::AddressBooks books(store_.files(), store_.mail_directory(), subject_.account->mailbox_directory);
    const auto text = books.text(*name);
    known = address_books_.emplace(*name, text && *text ? std::optional(ListedValues::read(**text)) : std::nullopt).first;
  }
  return known->second ? &*known->second : nullptr;
}

bool FilterHost::list_contains(const std::string& list, const std::string& value) {
  if (lists_.exists(list)) return lists_.contains(list, value);
  const ListedValues* book = address_book(list);
  return book != nullptr && book->contains(value);
}

std::vector<std::string> FilterHost::list_members(const std::string& list, std::size_t most) {
  if (lists_.exists(list)) return lists_.members(list, most);
  const ListedValues* book = address_book(list);
  return book != nullptr ? book->members(most) : std::vector<std::string>();
}

bool FilterHost::is_duplicate(const std::string& key) {
  // Of a message without an id nobody knows whether it was this one that was seen.
  if (!subject_.account || subject_.envelope.id.empty()) return false;
  const std::string& directory = subject_.account->mailbox_directory;
  if (const auto earlier = seen_.find({directory, key}); earlier != seen_.end() && earlier->second != subject_.envelope.id) return true;
  // What this very message left, before a crash, is no earlier one. A memory that can't be read knows nothing: nobody loses mail to a guess.
  auto found = memory_of(store_, directory, settings_).find(store::AccountMemory::Kind::duplicate, key, base::wall_now(), subject_.envelope.id);
  return found && found->has_value();
}

// RFC 5183 section 4.1. The name of the client's host nobody has looked up.
std::optional<std::string> FilterHost::environment(std::string_view item) {
  if (item == "host") return settings_.host_name;
  if (item == "domain") {
    const auto dot = settings_.host_name.find('.');
    return dot == std::string::npos ? std::nullopt : std::optional(settings_.host_name.substr(dot + 1));
  }
  if (item == "location") return "MDA";
  if (item == "phase") return "during";
  if (item == "remote-ip" && !subject_.envelope.client_address.empty()) return subject_.envelope.client_address;
  return sender_item(item);
}

// Who sent the message, as it was found when it came in (sieve(5)).
std::optional<std::string> FilterHost::sender_item(std::string_view item) const {
  const mail::SenderAuthentication& known = subject_.envelope.authentication;
  const struct {
    std::string_view name;
    const std::string& value;
  } items[] = {{"vnd.postern.spf", known.spf}, {"vnd.postern.spf-domain", known.spf_domain}, {"vnd.postern.dkim", known.dkim}, {"vnd.postern.dkim-domains", known.dkim_domains},
               {"vnd.postern.dmarc", known.dmarc}, {"vnd.postern.dmarc-domain", known.dmarc_domain}, {"vnd.postern.dmarc-policy", known.dmarc_policy}, {"vnd.postern.arc", known.arc},
               {"vnd.postern.authenticated", subject_.envelope.authenticated}};
  for (const auto& one : items)
    if (item == one.name && !one.value.empty()) return one.value;
  return std::nullopt;
}

void FilterHost::note(int line, int column, const std::string& text) {
  base::log_event(base::Severity::info, "filter-note",
                  {{"id", subject_.envelope.id}, {"recipient", subject_.recipient.address}, {"line", line}, {"column", column}, {"text", text}});
}

}  // namespace postern::delivery
