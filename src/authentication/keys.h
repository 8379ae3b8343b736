// SPDX-License-Identifier: Apache-2.0
#pragma once
// Looks public keys up in the DNS and checks signatures by them, for DKIM and ARC alike; each key is asked for once a message.
//
// Failure: an answer; it says whether trying later may help. Limits: kMostKeyRecords of the records at a name are looked at. All questions end
// when `until` is over, those left are answered "nobody knows".
#include "authentication/signature.h"
#include "net/resolver.h"

#include <chrono>
#include <map>
#include <memory>
#include <string>

namespace postern::authentication {

// Results of RFC 8601 section 2.7. Not all of them are results of every method.
enum class Outcome { none, pass, fail, policy, neutral, softfail, temperror, permerror };
// "none", "pass" …
std::string_view to_string(Outcome outcome);

inline constexpr std::size_t kMostKeyRecords = 4;

// What became of one signature.
struct Checked {
  Outcome outcome = Outcome::none;
  std::string reason;   // for people; may be empty
  int bits = 0;         // of the key, if it was read
  bool testing = false; // the key says t=y
};

// What can be said of a signature without its key: pass, or why it counts no more (RFC 8301 section 3.1, RFC 6376 sections 3.5 and 6.1.1, which RFC
// 8617 section 4.1.2 has for ARC-Message-Signature, too). `seconds`: now, since 1970.
Checked check_validity(const Signature& signature, std::int64_t seconds);

class Keys {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // `resolver` must outlive this.
  Keys(net::Resolver& resolver, Time until) : resolver_(resolver), until_(until) {}
  // Whether the signature is one of the data with this digest, by the key that it names.
  net::Awaitable<Checked> check(const Signature& signature, std::string digest);

 private:
  struct Found {
    std::optional<Checked> trouble;  // no key
    std::vector<KeyRecord> records;
  };
  net::Awaitable<std::shared_ptr<const Found>> find(std::string name);
  net::Resolver& resolver_;
  Time until_;
  std::map<std::string, std::shared_ptr<const Found>> known_;
};

}  // namespace postern::authentication
