// SPDX-License-Identifier: Apache-2.0
#pragma once
// A signature over a message as it stands in a header field: DKIM-Signature (RFC 6376 section 3.5), ARC-Message-Signature and ARC-Seal (RFC
// 8617 section 4.1), which have its tags.
//
// Failure: Kind::invalid for a field that breaks the rules; the error says which.
#include "authentication/canonical.h"
#include "base/clock.h"
#include "mail/header.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::authentication {

// How many names h= may have.
inline constexpr std::size_t kMostSignedFields = 500;

struct Signature {
  KeyType type = KeyType::rsa;
  bool historic = false;                 // rsa-sha1, which signs nothing any more (RFC 8301 section 3.1)
  std::string signature;                 // b=
  std::string signature_text;            // as it stands, without white space
  std::string body_hash;                 // bh=; empty in a seal
  Form header_form = Form::simple, body_form = Form::simple;
  std::string domain;                    // d=, canonical (net::canonical_dns_name)
  std::string selector;                  // s=, likewise
  std::string identity;                  // i= of DKIM: "@example.com" if there was none
  std::string identity_domain;           // canonical
  std::vector<std::string> fields;       // h=, in lower case
  std::optional<std::uint64_t> length;   // l=
  std::optional<std::int64_t> signed_at, expires_at;  // t=, x=: seconds since 1970
  unsigned instance = 0;                 // i= of ARC, from 1
  std::string chain;                     // cv= of a seal: "none", "pass", "fail"
};

// RFC 8617 section 4.2.1.
inline constexpr unsigned kMostInstances = 50;

enum class SignatureKind { dkim, arc_message, arc_seal };
// `value`: what stands behind the colon, still folded.
Result<Signature> parse_signature(std::string_view value, SignatureKind kind);

// The header field as canonical_field() takes it.
std::string_view whole_field(const mail::HeaderField& field);

// What the signature of `own` signs of the header: the fields that h= names, each time the next one from below, then the field itself with its
// b= emptied (RFC 6376 section 3.7). `own` may point into another text than `header`: for a field that is being made.
std::string signed_header(const mail::Header& header, const std::vector<std::string>& fields, Form form, std::string_view own);
// The field without the value of its b=.
std::string without_signature(std::string_view field);

}  // namespace postern::authentication
