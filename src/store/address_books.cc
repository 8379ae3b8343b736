// SPDX-License-Identifier: Apache-2.0
#include "store/address_books.h"

#include "base/text.h"
#include "store/names.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>

namespace postern::store {
namespace {

constexpr const char* kDirectory = "postern-address-books";
constexpr std::size_t kLongestName = 64;

}  // namespace

bool AddressBooks::is_name(std::string_view name) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || base::is_digit(c); };
  return !name.empty() && name.size() <= kLongestName && plain(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return plain(c) || c == '.' || c == '_' || c == '-'; });
}

Result<base::Descriptor> AddressBooks::open() const {
  if (!is_account_directory(account_directory_)) return Error{Kind::invalid, "bad mailbox directory"};
  auto account = base::open_directory(mail_directory_, account_directory_);
  if (!account) return account.error();
  return base::open_directory(account->get(), kDirectory);
}

Result<std::vector<std::string>> AddressBooks::names() const {
  std::vector<std::string> found{std::string(kDefault)};
  auto directory = open();
  if (!directory) {
    if (directory.error().kind == Kind::not_found) return found;
    return directory.error();
  }
  // A file may be just being replaced by another.
  auto all = base::list_directory(directory->get(), 2 * kMostBooks);
  if (!all) return all.error();
  for (std::string& name : *all)
    if (is_name(name) && name != kDefault) found.push_back(std::move(name));
  std::sort(found.begin(), found.end());
  return found;
}

Result<std::optional<std::string>> AddressBooks::text(std::string_view name) const {
  const auto none = [&] { return name == kDefault ? std::optional<std::string>("") : std::nullopt; };
  if (!is_name(name)) return std::optional<std::string>();
  auto directory = open();
  auto text = directory ? base::read_file(directory->get(), std::string(name), kMostBookBytes) : Result<std::string>(directory.error());
  if (text) return std::optional(std::move(*text));
  if (text.error().kind == Kind::not_found) return none();
  return text.error();
}

Result<void> AddressBooks::change(const std::string& name, const std::function<Result<std::optional<std::string>>(const std::string& before)>& change) {
  if (!is_name(name)) return Error{Kind::invalid, "no name for an address book: \"" + base::printable(name, 80) + "\""};
  if (!is_account_directory(account_directory_)) return Error{Kind::invalid, "bad mailbox directory"};
  // An account may know people before it gets mail.
  const auto slash = account_directory_.find('/');
  auto domain = base::make_and_open_directory(*files_, mail_directory_, account_directory_.substr(0, slash), 0700);
  if (!domain) return domain.error();
  auto account = base::make_and_open_directory(*files_, domain->get(), account_directory_.substr(slash + 1), 0700);
  if (!account) return account.error();
  auto directory = base::make_and_open_directory(*files_, account->get(), kDirectory, 0700);
  if (!directory) return directory.error();
  while (::flock(directory->get(), LOCK_EX) != 0)
    if (errno != EINTR) return system_error(errno, "lock address books");
  auto before = text(name);
  if (!before) return before.error();
  auto after = change(before->value_or(""));
  if (!after) return after.error();
  if (!*after) {
    auto removed = files_->unlink(directory->get(), name);
    if (!removed && removed.error().kind != Kind::not_found) return removed.error();
    return files_->sync_directory(directory->get());
  }
  if ((*after)->size() > kMostBookBytes) return Error{Kind::invalid, "an address book has at most " + std::to_string(kMostBookBytes) + " bytes"};
  if (!*before) {
    auto known = names();
    if (!known) return known.error();
    if (known->size() >= kMostBooks) return Error{Kind::invalid, "an account has at most " + std::to_string(kMostBooks) + " address books"};
  }
  return base::replace_file(*files_, directory->get(), name, **after);
}

}  // namespace postern::store
