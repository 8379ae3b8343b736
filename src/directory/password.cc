// SPDX-License-Identifier: Apache-2.0
#include "directory/password.h"

#include "base/random.h"
#include "base/text.h"
#include "directory/directory.h"

#include <crypt.h>
#include <string.h>

#include <array>
#include <memory>

namespace postern::directory {
namespace {

struct Wiper {
  void operator()(crypt_data* data) const {
    explicit_bzero(data, sizeof *data);
    std::default_delete<crypt_data>()(data);
  }
};

// 32 KB, too much for the stack of a helper thread. Empty if there is no memory.
std::unique_ptr<crypt_data, Wiper> working_memory() {
  return std::unique_ptr<crypt_data, Wiper>(std::make_unique<crypt_data>().release());
}

bool can_be_password(std::string_view password) {
  return !password.empty() && password.size() <= kMaxPasswordBytes && password.find('\0') == std::string_view::npos;
}

// The hash, empty if libcrypt refuses the setting.
std::string crypt_with(std::string_view password, const std::string& setting) {
  auto data = working_memory();
  std::string copy(password);
  const char* made = crypt_rn(copy.c_str(), setting.c_str(), data.get(), sizeof *data);
  wipe(copy);
  return made == nullptr ? std::string() : std::string(made);
}

}  // namespace

Result<std::string> hash_password(std::string_view password) {
  if (password.empty()) return Error{Kind::invalid, "the password is empty"};
  if (!can_be_password(password)) return Error{Kind::invalid, "the password is longer than 511 bytes or has a zero byte in it"};
  std::array<char, CRYPT_GENSALT_OUTPUT_SIZE> setting;
  // No prefix: the library's best kind; no count: its default cost; no bytes: the kernel's randomness.
  if (crypt_gensalt_rn(nullptr, 0, nullptr, 0, setting.data(), static_cast<int>(setting.size())) == nullptr)
    return Error{Kind::temporary, "crypt_gensalt: no randomness"};
  std::string hash = crypt_with(password, setting.data());
  if (hash.empty() || hash[0] == '*') return Error{Kind::temporary, "crypt: the hash could not be made"};
  return hash;
}

bool password_matches(std::string_view password, const std::string& hash) {
  const bool possible = can_be_password(password);
  const std::string made = crypt_with(possible ? password : std::string_view("-"), hash);
  return possible && !made.empty() && made[0] != '*' && base::equal_in_constant_time(made, hash);
}

bool is_password_hash(const std::string& hash) {
  const int kind = crypt_checksalt(hash.c_str());
  return kind == CRYPT_SALT_OK || kind == CRYPT_SALT_METHOD_LEGACY || kind == CRYPT_SALT_TOO_CHEAP;
}

std::string generate_password() {
  constexpr std::string_view characters = "abcdefghijkmnpqrstuvwxyz23456789";  // 32 of them
  static_assert(characters.size() == 32);
  std::string password;
  for (int group = 0; group < 4; ++group) {
    if (group > 0) password += '-';
    std::uint64_t bits = base::random_u64();
    for (int i = 0; i < 5; ++i, bits >>= 5) password += characters[bits & 31];
  }
  return password;
}

void wipe(std::string& secret) {
  explicit_bzero(secret.data(), secret.size());
  secret.clear();
}

}  // namespace postern::directory
