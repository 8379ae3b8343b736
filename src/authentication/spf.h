// SPDX-License-Identifier: Apache-2.0
#pragma once
// SPF: whether the domain of a sender says that this client may send its mail (RFC 7208, all of it).
//
// Failure: an answer; temperror where nobody knows. Limits (RFC 7208 section 4.6.4): 10 terms that ask the DNS, 2 questions without an
// answer, 10 hosts of an MX record and 10 names of an address; all questions end when SpfQuestion::until is over.
#include "authentication/keys.h"
#include "net/resolver.h"

#include <chrono>
#include <string>

namespace postern::authentication {

inline constexpr unsigned kMostSpfQuestions = 10, kMostSpfVoid = 2, kMostSpfHosts = 10;
// Longest explanation that is passed on.
inline constexpr std::size_t kExplanationBytes = 300;

struct SpfQuestion {
  net::Address client;
  std::string helo;           // as given in HELO
  std::string sender;         // reverse-path without <>; empty: postmaster of the HELO name is checked (RFC 7208 section 2.4)
  std::string receiver;       // our host's name
  std::chrono::steady_clock::time_point until;
};

// What SPF is asked of a session and its sender, for that long at most from now on.
SpfQuestion spf_question(const net::Address& client, std::string helo, std::string sender, std::string receiver, std::chrono::seconds time);

struct SpfAnswer {
  Outcome outcome = Outcome::none;  // none, neutral, pass, fail, softfail, temperror, permerror
  std::string domain;               // that was checked, canonical; empty if it can't be one
  bool of_helo = false;             // that of the HELO name, there being no sender
  std::string reason;               // the term that matched, or what is wrong; for people
  std::string explanation;          // of the domain, with fail (RFC 7208 section 6.2); ASCII, one line; may be empty
};

// The MAIL FROM identity, or that of HELO if there is no sender. `resolver` must outlive the call.
net::Awaitable<SpfAnswer> check_spf(net::Resolver& resolver, SpfQuestion question);

}  // namespace postern::authentication
