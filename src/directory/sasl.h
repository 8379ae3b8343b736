// SPDX-License-Identifier: Apache-2.0
#pragma once
// The server's side of SASL mechanisms (RFC 4422), as GNU SASL has them: PLAIN (RFC 4616), LOGIN, SCRAM-SHA-1 (RFC 5802), SCRAM-SHA-256 (RFC
// 7677), both with -PLUS (channel binding by tls-exporter or tls-unique), EXTERNAL. And OAUTHBEARER (RFC 7628) and XOAUTH2, by directory/token.h.
//
// Only the directory child runs them, and only here is the library's header included. A session waits for nothing and computes no slow
// hash: where a password has to be checked, step() hands it out and the mechanism is over; SCRAM works on secrets that are stored.
//
// Failure: whatever the client sends, an outcome. Limits: kMaxSaslBytes a message, a few messages an exchange.
#include "directory/directory.h"
#include "directory/password.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace postern::directory {

class SaslSession {
 public:
  struct Outcome {
    enum class Kind {
      challenge,       // `data` for the client
      proved,          // it is `name`; `data`, if there is any, is what the mechanism says last
      check_password,  // it is `name`, if `password` is right
      refused,         // a proof that is wrong, or a demand that is never granted
      malformed,
      temporary,       // the secret could not be found out, or there is no memory
    } kind = Kind::temporary;
    std::string data;
    std::string name;           // as the client gave it; empty with EXTERNAL
    std::string authorization;  // whom it wants to act for; empty: itself
    std::string password;
    std::string reason;         // refused: why, for the log, if it is not simply wrong
  };

  // The secret of an account by the name that the client gave: a made-up one if there is none, or the account has no such secret. An error: it
  // can't be found out now.
  using FindSecret = std::function<Result<ScramSecret>(const std::string& name, ScramDigest digest)>;

  // The account's name that a bearer token proves; Kind::denied with a reason for the log, or Kind::temporary.
  using CheckToken = std::function<Result<std::string>(std::string_view token)>;

  // OAUTHBEARER (RFC 7628) and XOAUTH2; null: another mechanism. The library's own OAUTHBEARER knows nothing of tokens, and XOAUTH2 it does not have.
  static std::unique_ptr<SaslSession> begin_bearer(std::string_view mechanism, CheckToken check);

  // Null: no mechanism of these. Of `facts` only the channel bindings play a part.
  static std::unique_ptr<SaslSession> begin(std::string_view mechanism, const SaslFacts& facts, FindSecret find);
  virtual ~SaslSession() = default;

  // Nothing: the client has said nothing yet. Not to be called after anything but a challenge.
  virtual Outcome step(std::optional<std::string_view> response) = 0;
};

}  // namespace postern::directory
