// SPDX-License-Identifier: Apache-2.0
#pragma once
// The address books of an account: lists of values, mostly mail addresses, that its filters may ask (RFC 6134 section 2.7). One small text
// file each, in the directory `postern-address-books` with the account's mailbox; so they are there for every account, wherever its record is.
// Every account has the book "default", which is empty as long as nobody wrote one. Format: doc/design/store.md.
//
// Failure: Result. Limits: kMostBooks of an account, kMostBookBytes each.
#include "base/files.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::store {

class AddressBooks {
 public:
  static constexpr std::size_t kMostBooks = 100, kMostBookBytes = 1024 * 1024;
  static constexpr std::string_view kDefault = "default";

  // `files` must outlive it; `account_directory` ("example.com/user") is below `mail_directory`.
  AddressBooks(base::Files& files, int mail_directory, std::string account_directory)
      : files_(&files), mail_directory_(mail_directory), account_directory_(std::move(account_directory)) {}

  // 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or a digit.
  static bool is_name(std::string_view name);

  // By name; "default" is always there.
  [[nodiscard]] Result<std::vector<std::string>> names() const;
  // The text of a book; nothing if there is none of that name.
  [[nodiscard]] Result<std::optional<std::string>> text(std::string_view name) const;
  // Makes a book, or changes it: `change` gets the text as it is (empty: there was none) and says what it becomes; without a text the book is
  // removed. Durable on return; waits for others that change a book of this account. An error of `change` is returned, and nothing was changed.
  Result<void> change(const std::string& name, const std::function<Result<std::optional<std::string>>(const std::string& before)>& change);

 private:
  [[nodiscard]] Result<base::Descriptor> open() const;
  base::Files* files_;
  int mail_directory_;
  std::string account_directory_;
};

}  // namespace postern::store
