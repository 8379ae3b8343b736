// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the Sieve engine asks while it runs a recipient's scripts (sieve/run.h): his mailboxes, memory and address books, scores of filters in
// front of us, the environment. What can't be found out counts as not there; nothing is changed.
#include "delivery/filtering.h"
#include "store/account_memory.h"
#include "store/folder_facts.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::delivery {

class FilterHost final : public sieve::Host {
 public:
  // All must outlive it.
  FilterHost(store::Store& store, const FilterSubject& subject, const FilterSettings& settings, const mail::MessageView& message, const SeenInBatch& seen, const FilterLists& lists)
      : store_(store), subject_(subject), settings_(settings), message_(message), seen_(seen), lists_(lists) {}
  bool mailbox_exists(const std::string& name) override;
  std::optional<std::string> mailbox_with_id(const std::string& id) override;
  std::optional<std::string> mailbox_with_use(const std::string& use, const std::optional<std::string>& among) override;
  std::optional<std::string> metadata(const std::optional<std::string>& mailbox, const std::string& entry) override;
  bool is_duplicate(const std::string& key) override;
  std::optional<sieve::Score> spam_score() override { return sieve::spam_score(message_, settings_.scores); }
  std::optional<sieve::Score> virus_score() override { return sieve::virus_score(message_, settings_.scores); }
  std::optional<std::string> environment(std::string_view item) override;
  bool list_exists(const std::string& list) override { return lists_.exists(list) || address_book(list) != nullptr; }
  bool list_contains(const std::string& list, const std::string& value) override;
  std::vector<std::string> list_members(const std::string& list, std::size_t most) override;
  std::string_view sub_address_delimiters() override { return settings_.recipient_delimiter; }
  void note(int line, int column, const std::string& text) override;

 private:
  const std::vector<store::NamedFolder>& folders();
  // The account's own address book of this name as a list; null if there is none.
  const ListedValues* address_book(const std::string& list);
  [[nodiscard]] std::optional<std::string> sender_item(std::string_view item) const;
  store::Store& store_;
  std::optional<std::vector<store::NamedFolder>> folders_;  // looked up at the first question
  std::map<std::string, std::optional<ListedValues>, std::less<>> address_books_;  // by name, once asked for
  const FilterSubject& subject_;
  const FilterSettings& settings_;
  const mail::MessageView& message_;
  const SeenInBatch& seen_;
  const FilterLists& lists_;
};

// The name of the address book that a list with this name is (RFC 6134 section 2.7, as sieve::list_name() gives it); nothing if it is none.
std::optional<std::string> address_book_of(std::string_view list);

// The memory of this account.
store::AccountMemory memory_of(store::Store& store, const std::string& mailbox_directory, const FilterSettings& settings);

}  // namespace postern::delivery
