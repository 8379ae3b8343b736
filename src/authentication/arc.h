// SPDX-License-Identifier: Apache-2.0
#pragma once
// ARC: what the hosts on a message's way have seen of it, each signed over what those before it said (RFC 8617).
//
// Failure: an answer. A chain is good as a whole or not at all. Limits: kMostInstances sets.
#include "authentication/keys.h"
#include "mail/header.h"

#include <functional>
#include <string>
#include <vector>

namespace postern::authentication {

// One host's three fields; they point into the header.
struct ArcSet {
  const mail::HeaderField* results = nullptr;
  const mail::HeaderField* message = nullptr;
  const mail::HeaderField* seal = nullptr;
  Signature message_signature, seal_signature;
};

struct ArcChain {
  Outcome outcome = Outcome::none;  // none: there are no sets; fail: they are no chain; pass: they may be one
  std::string reason;
  std::vector<ArcSet> sets;         // by their instance, from 1
};
// Steps 1 to 3 of RFC 8617 section 5.2: which sets there are, and whether they can be a chain. Its views point into `header`.
ArcChain read_chain(const mail::Header& header);

struct ArcAnswer {
  Outcome outcome = Outcome::none;  // none, pass, fail, temperror
  std::string reason;
  unsigned instances = 0;           // sets in the message, as far as they could be read
  std::string sealer;               // domain of the newest seal
};
// `body`: the hash of the body that the newest set's ARC-Message-Signature asks for; empty: it can't be had, and is not looked at.
// `seconds`: now, since 1970.
net::Awaitable<ArcAnswer> check_chain(const mail::Header& header, const ArcChain& chain, std::string body, std::int64_t seconds, Keys& keys);

// What a seal signs: the fields of the sets 1 to `count`, the last one's seal being `own` with its b= emptied; only the last set's if the chain
// has failed (RFC 8617 section 5.1.2).
std::string sealed_header(const std::vector<ArcSet>& sets, std::size_t count, std::string_view own_results, std::string_view own_message, std::string_view own,
                          bool failed);

}  // namespace postern::authentication
