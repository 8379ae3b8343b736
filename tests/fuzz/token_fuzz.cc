// SPDX-License-Identifier: Apache-2.0
// Bearer tokens: as they come; and, signed by a key that is known, any header (the first line) with any claims (the rest). Whatever is accepted
// names an account, and no other issuer's token is.
#include "base/base64.h"
#include "directory/password.h"
#include "directory/token.h"

#include <cstddef>
#include <cstdint>

using namespace postern;

namespace {

std::string base64url(std::string_view bytes) {
  std::string text = base::to_base64(bytes);
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  static const std::string secret = "0123456789abcdef0123456789abcdef";
  static const std::vector<directory::TokenKey> keys{directory::TokenKey::from(secret).value()};
  static const directory::TokenSettings settings{{"/k"}, "issuer.example", "mail", "email", std::chrono::seconds(60)};
  const base::WallTime now = base::from_microseconds(1'795'000'000'000'000);
  static_cast<void>(directory::verify_token(input, settings, keys, now));
  static_cast<void>(directory::TokenKey::from(input));
  const auto end = input.find('\n');
  if (end == std::string_view::npos) return 0;
  const std::string text = base64url(input.substr(0, end)) + "." + base64url(input.substr(end + 1));
  const auto account = directory::verify_token(text + "." + base64url(directory::hmac_sha256(secret, text)), settings, keys, now);
  if (account && (account->empty() || input.find("issuer") == std::string_view::npos)) __builtin_trap();
  return 0;
}
