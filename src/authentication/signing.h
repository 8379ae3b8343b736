// SPDX-License-Identifier: Apache-2.0
#pragma once
// Makes signatures: DKIM-Signature fields, and the three fields by which a message that is forwarded joins an ARC chain. The private key is
// somebody else's: who calls says how a digest is signed.
//
// Failure: what signing gives. Text has CRLF as line ends. The body is hashed in pieces with turns of the event loop between them.
#include "authentication/arc.h"
#include "mail/header.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::authentication {

struct SigningKey {
  std::string domain, selector;
  KeyType type = KeyType::rsa;
  friend bool operator==(const SigningKey&, const SigningKey&) = default;
};

// Signs a SHA-256 with the private half of the key.
using SignDigest = std::function<net::Awaitable<Result<std::string>>(SigningKey key, std::string digest)>;

// A message that is to be signed; views into `text`, which must outlive it.
class SignedText {
 public:
  explicit SignedText(std::string_view text);
  [[nodiscard]] const mail::Header& header() const { return header_; }
  // Relaxed; worked out at the first call.
  net::Awaitable<std::string> body_hash();

 private:
  std::string_view text_;
  mail::Header header_;
  std::string body_hash_;
};

// The DKIM-Signature field, with its line end, for relaxed/relaxed. `lifetime_seconds`: x=, 0 for none. All references must outlive the call.
net::Awaitable<Result<std::string>> make_signature(SignedText& text, SigningKey key, std::int64_t now, std::int64_t lifetime_seconds, const SignDigest& sign);

// What joins the chain that `earlier` says is in the message. `results`: what Authentication-Results says here (results_text()). Nothing if no
// set may be added: the chain has failed already where it came through, has too many sets, or could not be checked.
struct ArcState {
  Outcome outcome = Outcome::none;  // of the chain when it came in
  unsigned instances = 0;
};
net::Awaitable<Result<std::string>> make_seal(SignedText& text, SigningKey key, std::string results, ArcState earlier, std::int64_t now, const SignDigest& sign);

// A TXT record's text as strings of at most 255 bytes in quotation marks, as zone files have it (RFC 6376 section 3.6.2.2).
std::string zone_file_strings(std::string_view text);
// The key record of a public key: for RSA the SubjectPublicKeyInfo, for Ed25519 the 32 bytes.
std::string key_record_text(KeyType type, std::string_view public_key);

}  // namespace postern::authentication
