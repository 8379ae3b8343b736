// SPDX-License-Identifier: Apache-2.0
#include "directory/record.h"

#include "base/text.h"

#include <algorithm>
#include <cstdint>

namespace postern::directory {
namespace {

constexpr char kDomain = 'D', kAccount = 'A';
constexpr char kVersion = 1;
constexpr unsigned char kEnabled = 1;
constexpr std::size_t kMaxNameBytes = 64 + 1 + 253;
constexpr std::size_t kMaxMailboxBytes = 253 + 1 + 3 * 64;

class Writer {
 public:
  Writer(char kind) : bytes_{kind, kVersion} {}
  Writer& number(std::uint64_t value) {
    for (int shift = 56; shift >= 0; shift -= 8) bytes_ += static_cast<char>(value >> shift);
    return *this;
  }
  Writer& byte(unsigned char value) {
    bytes_ += static_cast<char>(value);
    return *this;
  }
  Writer& text(std::string_view value) {
    const auto size = static_cast<std::uint32_t>(value.size());
    for (int shift = 24; shift >= 0; shift -= 8) bytes_ += static_cast<char>(size >> shift);
    bytes_ += value;
    return *this;
  }
  std::string bytes() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Remembers the first failure; everything behind it reads as empty.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}
  std::uint64_t number(std::size_t width = 8) {
    std::uint64_t value = 0;
    for (const char c : take(width)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::string text(std::size_t limit_bytes) {
    const auto size = static_cast<std::size_t>(number(4));
    if (size > limit_bytes) ok_ = false;
    return std::string(take(size));
  }
  // All was read and nothing is left.
  [[nodiscard]] bool complete() const { return ok_ && left_.empty(); }

 private:
  std::string_view take(std::size_t count) {
    if (!ok_ || count > left_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view taken = left_.substr(0, count);
    left_.remove_prefix(count);
    return taken;
  }
  std::string_view left_;
  bool ok_ = true;
};

Error corrupt(const char* what) { return {Kind::corrupt, what}; }
Error invalid(const char* what) { return {Kind::invalid, what}; }

bool is_text(std::string_view text) { return base::is_utf8(text) && text.find('\0') == std::string_view::npos; }

}  // namespace

std::string encode(const Domain& domain) {
  return Writer(kDomain).number(static_cast<std::uint64_t>(base::to_microseconds(domain.created))).text(domain.name).text(domain.filter).bytes();
}

std::string encode(const AccountRecord& record) {
  const Account& account = record.account;
  return Writer(kAccount)
      .number(static_cast<std::uint64_t>(base::to_microseconds(account.created)))
      .byte(account.enabled ? kEnabled : 0)
      .number(account.quota_bytes)
      .text(account.name)
      .text(account.mailbox_directory)
      .text(record.password_hash)
      .text(account.description)
      .text(account.filter)
      .bytes();
}

Result<Domain> decode_domain(std::string_view bytes) {
  if (bytes.size() < 2 || bytes[0] != kDomain) return corrupt("not the record of a domain");
  if (bytes[1] != kVersion) return corrupt("record of a domain in an unknown version");
  Reader in(bytes.substr(2));
  Domain domain;
  domain.created = base::from_microseconds(static_cast<std::int64_t>(in.number()));
  domain.name = in.text(kMaxNameBytes);
  domain.filter = in.text(kMaxFilterBytes);
  if (!in.complete()) return corrupt("record of a domain is damaged");
  if (auto good = check(domain); !good) return Error{Kind::corrupt, "record of a domain: " + good.error().what};
  return domain;
}

Result<AccountRecord> decode_account(std::string_view bytes) {
  if (bytes.size() < 2 || bytes[0] != kAccount) return corrupt("not the record of an account");
  if (bytes[1] != kVersion) return corrupt("record of an account in an unknown version");
  Reader in(bytes.substr(2));
  AccountRecord record;
  Account& account = record.account;
  account.created = base::from_microseconds(static_cast<std::int64_t>(in.number()));
  const auto flags = in.number(1);
  account.enabled = (flags & kEnabled) != 0;
  account.quota_bytes = in.number();
  account.name = in.text(kMaxNameBytes);
  account.mailbox_directory = in.text(kMaxMailboxBytes);
  record.password_hash = in.text(kMaxHashBytes);
  account.description = in.text(kMaxDescriptionBytes);
  account.filter = in.text(kMaxFilterBytes);
  if (!in.complete() || (flags & ~std::uint64_t{kEnabled}) != 0) return corrupt("record of an account is damaged");
  if (auto good = check(record); !good) return Error{Kind::corrupt, "record of an account: " + good.error().what};
  return record;
}

Result<void> check(const Domain& domain) {
  const auto canonical = canonical_domain(domain.name);
  if (!canonical || *canonical != domain.name) return invalid("the domain's name is not in canonical form");
  if (domain.filter.size() > kMaxFilterBytes) return invalid("the filter is longer than 1,000,000 bytes");
  if (!is_text(domain.filter)) return invalid("the filter is not UTF-8 text");
  return {};
}

Result<void> check(const AccountRecord& record) {
  const Account& account = record.account;
  const auto canonical = canonical_account(account.name);
  if (!canonical || *canonical != account.name) return invalid("the account's name is not in canonical form");
  // Today's names give today's directories; an older one is kept as long as it can't lead out of mail/.
  const auto slash = account.mailbox_directory.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == account.mailbox_directory.size() ||
      account.mailbox_directory.find('/', slash + 1) != std::string::npos || account.mailbox_directory.front() == '.' ||
      account.mailbox_directory[slash + 1] == '.' || account.mailbox_directory.find("..") != std::string::npos ||
      account.mailbox_directory.size() > kMaxMailboxBytes || !is_text(account.mailbox_directory) ||
      std::any_of(account.mailbox_directory.begin(), account.mailbox_directory.end(), base::is_control))
    return invalid("the mailbox directory is not \"domain/name\"");
  if (record.password_hash.size() > kMaxHashBytes) return invalid("the password's hash is too long");
  if (!std::all_of(record.password_hash.begin(), record.password_hash.end(), [](char c) { return c > ' ' && c < 0x7f && c != ':'; }))
    return invalid("the password's hash has characters that hashes don't have");
  if (account.description.size() > kMaxDescriptionBytes) return invalid("the description is longer than 1024 bytes");
  if (!is_text(account.description) || std::any_of(account.description.begin(), account.description.end(), base::is_control))
    return invalid("the description is not one line of UTF-8 text");
  if (account.filter.size() > kMaxFilterBytes) return invalid("the filter is longer than 1,000,000 bytes");
  if (!is_text(account.filter)) return invalid("the filter is not UTF-8 text");
  return {};
}

}  // namespace postern::directory
