// SPDX-License-Identifier: Apache-2.0
#pragma once
// DMARC: whether SPF or DKIM speak for the domain that readers see in From, and what that domain wants done if neither does (RFC 7489).
//
// Failure: an answer; temperror where nobody knows. No reports are sent.
#include "authentication/public_suffixes.h"
#include "authentication/spf.h"
#include "mail/header.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::authentication {

enum class Policy { none, quarantine, reject };
std::string_view to_string(Policy policy);

struct DmarcRecord {
  Policy policy = Policy::none;
  std::optional<Policy> subdomain_policy;  // sp=
  bool strict_dkim = false, strict_spf = false;
  unsigned percent = 100;
};
// Whether a TXT record is one of DMARC at all.
bool is_dmarc_record(std::string_view text);
// Kind::invalid: no policy can be read from it (RFC 7489 section 6.6.3).
Result<DmarcRecord> parse_dmarc_record(std::string_view text);

// The one domain that the addresses of From have, canonical. Kind::not_found: there is no From, or none with a domain; Kind::invalid: there
// are several fields, or several domains (RFC 7489 section 6.6.1).
Result<std::string> author_domain(const mail::Header& header);

// All of them, of all From fields, each once; kMostAuthors at most. A message should have one: readers see whichever they like.
inline constexpr std::size_t kMostAuthors = 16;
std::vector<std::string> author_domains(const mail::Header& header);

struct DmarcAnswer {
  Outcome outcome = Outcome::none;    // none, pass, fail, temperror, permerror
  std::string domain;                 // of From; empty if there is none
  std::string organisation;           // its organisational domain
  std::optional<Policy> published;    // what the domain asks for; nothing: it has no record
  Policy wanted = Policy::none;       // what is asked for this message: `published` if the outcome is fail and pct= takes it in
  std::string reason;                 // for people
};

// What speaks for a domain: SPF's, and those whose DKIM signatures are good.
struct Authenticated {
  std::optional<SpfAnswer> spf;
  std::vector<std::string> signers;
  bool uncertain = false;             // a signature could not be checked now
};

// `lot`: 0 to 99, drawn for this message; of pct=20, messages with 0 to 19 are those that the policy is for.
net::Awaitable<DmarcAnswer> check_dmarc(net::Resolver& resolver, const PublicSuffixes& suffixes, Result<std::string> author, Authenticated known, unsigned lot);
// Of the author of a message. With several domains in From the answer is that of the one that fails and wants most (RFC 7489 section 6.6.1), so that
// nobody gets past a policy by naming a second author; if none fails it is permerror. `header` must live until it returns.
net::Awaitable<DmarcAnswer> check_dmarc(net::Resolver& resolver, const PublicSuffixes& suffixes, const mail::Header& header, Authenticated known, unsigned lot);

}  // namespace postern::authentication
