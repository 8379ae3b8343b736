// SPDX-License-Identifier: Apache-2.0
#pragma once
// Bearer tokens that log somebody in: JSON Web Tokens (RFC 7519) in compact form (RFC 7515), signed by an issuer whose keys lie in files.
//
// What kind of signature is believed follows from the key, never from the token: an RSA key verifies RS256, one of curve P-256 ES256, a file that is
// no PEM is a secret for HS256, unless it looks like what anybody may know (JSON Web Keys, a public key in DER). So `none`, and a public key taken for a
// secret (RFC 8725 section 2.1), lead nowhere. Nothing that a token names is fetched (`jku`, `x5u`), extensions that must be understood (`crit`) are refused,
// and `exp`, `iss`, `aud` and the account's claim must be there; an `email` that the issuer has not verified (`email_verified`) is none.
//
// Failure: Kind::denied, with a reason for the log; Kind::temporary if no key can be read. Limits: kMaxTokenBytes, kMaxKeyBytes a file, eight levels of JSON.
#include "base/clock.h"
#include "base/result.h"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern::directory {

inline constexpr std::size_t kMaxTokenBytes = 8192, kMaxKeyBytes = 16 * 1024;
// RFC 7518 section 3.2: as long as the digest. Shorter secrets can be guessed from one token.
inline constexpr std::size_t kLeastSecretBytes = 32;
inline constexpr int kLeastRsaBits = 2048;

struct TokenSettings {
  std::vector<std::string> key_files;  // absolute; none: nobody logs in by token
  std::string issuer, audience, account_claim = "email";
  std::chrono::seconds clock_skew{60};
};

class TokenKey {
 public:
  // What a file has in it. Kind::invalid: no key that can be used.
  static Result<TokenKey> from(std::string_view text);
  [[nodiscard]] std::string_view algorithm() const;
  // Whether `signature` is of `text`.
  [[nodiscard]] bool verifies(std::string_view text, std::string_view signature) const;

 private:
  struct Parts;
  explicit TokenKey(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}
  std::shared_ptr<const Parts> parts_;
};

// What one file has in it. Kind::invalid: no key that can be used; or what the system says.
Result<TokenKey> read_token_key(const std::string& path);
// Reads the files. One that can't be used is logged and left out; Kind::temporary if none is left.
Result<std::vector<TokenKey>> read_token_keys(const std::vector<std::string>& files);

// The value of the account's claim, as it stands in the token, if it is good at `now`.
Result<std::string> verify_token(std::string_view token, const TokenSettings& settings, const std::vector<TokenKey>& keys, base::WallTime now);

// What a client says at first with OAUTHBEARER (RFC 7628 section 3.1) and XOAUTH2: for whom it wants to act (empty with OAUTHBEARER: itself), and the token.
struct BearerResponse {
  std::string authorization, token;
};
// Kind::invalid for what is none.
Result<BearerResponse> parse_oauthbearer(std::string_view response);
Result<BearerResponse> parse_xoauth2(std::string_view response);

}  // namespace postern::directory
