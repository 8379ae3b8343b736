// SPDX-License-Identifier: Apache-2.0
#include "authentication/srs.h"

#include "base/text.h"
#include "mail/address.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

namespace postern::authentication {
namespace {

// Letters and digits that stay what they are when a host on the way changes their case.
constexpr std::string_view kDigits = "abcdefghijklmnopqrstuvwxyz234567";
// 50 bits.
constexpr std::size_t kHashDigits = 10;
// Days are counted in two digits: 1024 of them.
constexpr int kDayCount = 1024;

bool is_separator(char c) { return c == '=' || c == '-' || c == '+'; }

std::string hash_of(std::string_view secret, std::string_view text) {
  // Hosts may change the case of a local part.
  const std::string data = base::lower(text);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), reinterpret_cast<const unsigned char*>(data.data()), data.size(), digest, &size);
  std::string hash;
  unsigned bits = 0, count = 0;
  for (std::size_t at = 0; hash.size() < kHashDigits;) {
    if (count < 5) {
      bits = bits << 8 | digest[at++];
      count += 8;
    }
    count -= 5;
    hash += kDigits[bits >> count & 31];
  }
  return hash;
}

int day_of(base::WallTime now) { return static_cast<int>(std::chrono::floor<std::chrono::days>(now).time_since_epoch().count() % kDayCount); }

std::string day_text(int day) { return {kDigits[static_cast<std::size_t>(day) >> 5], kDigits[static_cast<std::size_t>(day) & 31]}; }

std::optional<int> day_from(std::string_view text) {
  if (text.size() != 2) return std::nullopt;
  const auto high = kDigits.find(base::ascii_lower(text[0])), low = kDigits.find(base::ascii_lower(text[1]));
  if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
  return static_cast<int>(high << 5 | low);
}

// "SRS0" and "SRS1" with a separator behind it.
bool has_tag(std::string_view local_part, char digit) {
  return local_part.size() > 5 && base::starts_with_ignoring_case(local_part, "SRS") && local_part[3] == digit && is_separator(local_part[4]);
}

Error not_ours() { return {Kind::denied, "the address was not made here"}; }

}  // namespace

SenderRewriting::SenderRewriting(std::string domain, std::vector<std::string> secrets, std::chrono::days lifetime)
    : domain_(std::move(domain)), secrets_(std::move(secrets)), lifetime_(lifetime) {
  POSTERN_ASSERT(!secrets_.empty());
}

bool SenderRewriting::is_right(std::string_view hash, std::string_view text) const {
  const std::string given = base::lower(hash);
  return std::any_of(secrets_.begin(), secrets_.end(), [&](const std::string& secret) { return base::equal_in_constant_time(given, hash_of(secret, text)); });
}

Result<std::string> SenderRewriting::rewritten(std::string_view sender, base::WallTime now) const {
  const auto at = sender.rfind('@');
  if (at == std::string_view::npos || at == 0) return Error{Kind::invalid, "not an address"};
  const auto parsed = mail::parse_mailbox(sender);
  if (!parsed) return parsed.error();
  const std::string& local = parsed->local_part;
  const std::string& domain = parsed->domain;
  std::string made;
  if (has_tag(local, '0')) {
    // What stands behind "SRS0" belongs to who wrote it; it comes back to him as it is.
    const std::string text = domain + "=" + local.substr(4);
    made = "SRS1=" + hash_of(secrets_.front(), text) + "=" + text;
  } else if (has_tag(local, '1')) {
    // The first forwarder stays in it, whoever comes between is left out.
    const auto hash_end = local.find('=', 5);
    const auto text = hash_end == std::string::npos ? std::string() : local.substr(hash_end + 1);
    const auto host_end = text.find('=');
    if (host_end == std::string::npos || host_end == 0 || host_end + 1 >= text.size() || !is_separator(text[host_end + 1])) return Error{Kind::invalid, "not an SRS1 address"};
    made = "SRS1=" + hash_of(secrets_.front(), text) + "=" + text;
  } else {
    const std::string text = day_text(day_of(now)) + "=" + domain + "=" + local;
    made = "SRS0=" + hash_of(secrets_.front(), text) + "=" + text;
  }
  if (made.size() > mail::kLocalPartBytes) return Error{Kind::invalid, "the rewritten address would be too long"};
  return mail::quoted_local_part(made) + "@" + domain_;
}

bool SenderRewriting::is_rewritten(std::string_view local_part, std::string_view domain) const {
  return (has_tag(local_part, '0') || has_tag(local_part, '1')) && base::equal_ignoring_case(domain, domain_);
}

Result<std::string> SenderRewriting::original(std::string_view local_part, base::WallTime now) const {
  const bool again = has_tag(local_part, '1');
  if (!again && !has_tag(local_part, '0')) return not_ours();
  const std::string_view rest = local_part.substr(5);
  const auto hash_end = rest.find('=');
  if (hash_end == std::string_view::npos) return not_ours();
  const std::string_view hash = rest.substr(0, hash_end), text = rest.substr(hash_end + 1);
  if (!is_right(hash, text)) return not_ours();
  std::string_view domain, local;
  std::string given_back;
  if (again) {
    const auto end = text.find('=');
    domain = text.substr(0, end);
    // Behind it, beginning with a separator, what the first forwarder wrote.
    given_back = "SRS0" + std::string(text.substr(std::min(end + 1, text.size())));
    local = given_back;
    if (end == std::string_view::npos || !has_tag(local, '0')) return not_ours();
  } else {
    const auto day_end = text.find('=');
    const auto domain_end = day_end == std::string_view::npos ? day_end : text.find('=', day_end + 1);
    if (domain_end == std::string_view::npos) return not_ours();
    const auto made = day_from(text.substr(0, day_end));
    if (!made) return not_ours();
    const int age = (day_of(now) - *made + kDayCount) % kDayCount;
    // A day more: the clock of whoever made it may have been ahead.
    if (age > lifetime_.count() && age != kDayCount - 1) return Error{Kind::denied, "the address has expired"};
    domain = text.substr(day_end + 1, domain_end - day_end - 1);
    local = text.substr(domain_end + 1);
  }
  const auto address = mail::parse_mailbox(mail::quoted_local_part(local) + "@" + std::string(domain));
  if (!address) return not_ours();
  return address->to_string();
}

Result<std::vector<std::string>> secrets_in(std::string_view text) {
  std::vector<std::string> secrets;
  for (std::string_view line : base::split(text, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = base::trim(line);
    if (line.empty()) continue;
    if (line.size() < kLeastSecretBytes) return Error{Kind::invalid, "a secret of fewer than " + std::to_string(kLeastSecretBytes) + " characters"};
    secrets.emplace_back(line);
  }
  if (secrets.empty()) return Error{Kind::invalid, "there is no secret"};
  return secrets;
}

}  // namespace postern::authentication
