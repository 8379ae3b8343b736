// SPDX-License-Identifier: Apache-2.0
#pragma once
// SPF records as text: which terms they have, and what their macros stand for (RFC 7208 sections 4.6, 5, 6 and 7). No question is asked here.
//
// Failure: Kind::invalid for anything that the grammar does not have, anywhere in the record (RFC 7208 section 4.6); the result is then permerror.
// Limits: kMostSpfTerms terms, kMostSpfBytes bytes of a record.
#include "net/address.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::authentication {

inline constexpr std::size_t kMostSpfTerms = 500, kMostSpfBytes = 16384;

enum class Mechanism { all, include, a, mx, ptr, ip4, ip6, exists };
std::string_view to_string(Mechanism mechanism);

struct Directive {
  char qualifier = '+';             // + - ? ~
  Mechanism mechanism = Mechanism::all;
  std::string domain;               // macro string; empty: the domain that is checked
  std::string text;                 // the term as it stands, for people
  net::Address network;             // ip4, ip6
  unsigned bits4 = 32, bits6 = 128; // length of the prefix; for ip4 and ip6 one of them
};

struct SpfRecord {
  std::vector<Directive> directives;
  std::string redirect, explanation;  // macro strings; empty: none
};

// Whether a TXT record is one of SPF at all: "v=spf1", then a blank or nothing.
bool is_spf_record(std::string_view text);
Result<SpfRecord> parse_spf_record(std::string_view text);

// What macros stand for.
struct MacroFacts {
  net::Address client;
  std::string sender;       // "local@domain"
  std::string helo;
  std::string domain;       // the one that is checked now
  std::string validated;    // %{p}: a confirmed name of the client, or "unknown"
  std::string receiver;     // %{r}: our host's name
  std::int64_t now = 0;     // %{t}: seconds since 1970
};
// Whether `text` asks for %{p}, which costs a question.
bool asks_validated_name(std::string_view text);
// `explaining`: c, r and t may stand there too (RFC 7208 section 7.2). Kind::invalid: it is no macro string.
Result<std::string> expand_macros(std::string_view text, const MacroFacts& facts, bool explaining);
// The same for a name: of one longer than the DNS has, labels are cut off on the left (RFC 7208 section 7.3).
Result<std::string> expand_domain(std::string_view text, const MacroFacts& facts);

}  // namespace postern::authentication
