// SPDX-License-Identifier: Apache-2.0
#include "authentication/dmarc.h"

#include "authentication/tag_list.h"
#include "base/text.h"
#include "mail/address.h"

#include <algorithm>

namespace postern::authentication {
namespace {

std::optional<Policy> policy_of(std::string_view text) {
  for (const Policy policy : {Policy::none, Policy::quarantine, Policy::reject})
    if (base::equal_ignoring_case(text, to_string(policy))) return policy;
  return std::nullopt;
}

// The record at _dmarc.NAME; nothing: there is none that counts. Errors: Kind::temporary; Kind::invalid: it is bad.
net::Awaitable<Result<std::optional<DmarcRecord>>> record_at(net::Resolver& resolver, std::string name) {
  const auto answer = co_await resolver.query("_dmarc." + name, net::dns::kTxt);
  if (!answer && answer.error().kind == Kind::not_found) co_return std::optional<DmarcRecord>();
  if (!answer) co_return answer.error();
  std::vector<std::string> texts = answer->texts();
  std::erase_if(texts, [](const std::string& text) { return !is_dmarc_record(text); });
  // RFC 7489 section 6.6.3 step 5: several are none.
  if (texts.size() != 1) co_return std::optional<DmarcRecord>();
  auto record = parse_dmarc_record(texts.front());
  if (!record) co_return record.error();
  co_return std::optional<DmarcRecord>(*record);
}

bool is_aligned(const PublicSuffixes& suffixes, const std::string& domain, const DmarcAnswer& answer, bool strict) {
  if (domain == answer.domain) return true;
  return !strict && suffixes.organisation_of(domain) == answer.organisation;
}

// Calls `take(domain)` for each address in a From field that has a domain. False: there are more addresses than anybody reads.
template <class Take>
bool each_author(const mail::HeaderField& from, Take take) {
  const mail::AddressList list = mail::parse_address_list(mail::unfold(from.raw));
  for (const mail::ListedAddress& one : list.addresses) {
    if (!one.valid || one.domain.starts_with('[')) continue;
    auto canonical = mail::canonical_domain(one.domain);
    if (canonical && canonical->find('.') != std::string::npos) take(std::move(*canonical));
  }
  return !list.cut;
}

bool is_from(const mail::HeaderField& field) { return base::equal_ignoring_case(field.name, "From"); }

Policy weaker(Policy policy) { return policy == Policy::reject ? Policy::quarantine : Policy::none; }

}  // namespace

std::string_view to_string(Policy policy) {
  switch (policy) {
    case Policy::none: return "none";
    case Policy::quarantine: return "quarantine";
    case Policy::reject: break;
  }
  return "reject";
}

bool is_dmarc_record(std::string_view text) {
  // RFC 7489 section 6.4: the version is the first tag, and written so.
  const auto end = text.find(';');
  const auto equals = text.find('=');
  if (end == std::string_view::npos || equals == std::string_view::npos || equals > end) return false;
  return trim_folding(text.substr(0, equals)) == "v" && trim_folding(text.substr(equals + 1, end - equals - 1)) == "DMARC1";
}

Result<DmarcRecord> parse_dmarc_record(std::string_view text) {
  const auto tags = TagList::parse(text);
  if (!tags) return tags.error();
  DmarcRecord record;
  const auto policy = tags->find("p");
  const auto known = policy ? policy_of(*policy) : std::nullopt;
  const auto subdomains = tags->find("sp");
  if (subdomains) record.subdomain_policy = policy_of(*subdomains);
  if (known) record.policy = *known;
  // RFC 7489 section 6.6.3 step 6: without a policy that can be read, the record asks for reports at most.
  const bool readable = known && (!subdomains || record.subdomain_policy);
  if (!readable) {
    const auto reports = tags->find("rua");
    if (!reports || !base::starts_with_ignoring_case(*reports, "mailto:")) return Error{Kind::invalid, "p= or sp= is missing or can't be read"};
    record.policy = Policy::none;
    record.subdomain_policy.reset();
  }
  // What can't be read in other tags is as if it were not there (RFC 7489 section 6.3).
  record.strict_dkim = tags->find("adkim") == "s";
  record.strict_spf = tags->find("aspf") == "s";
  if (const auto percent = tags->find("pct"))
    if (const auto number = base::number_from<unsigned>(*percent); number && *number <= 100) record.percent = *number;
  return record;
}

Result<std::string> author_domain(const mail::Header& header) {
  const mail::HeaderField* from = nullptr;
  for (const mail::HeaderField& field : header.fields) {
    if (!is_from(field)) continue;
    if (from != nullptr) return Error{Kind::invalid, "several From fields"};
    from = &field;
  }
  if (from == nullptr) return Error{Kind::not_found, "no From field"};
  std::string domain;
  bool several = false;
  const bool whole = each_author(*from, [&](std::string one) {
    several = several || (!domain.empty() && domain != one);
    domain = std::move(one);
  });
  if (several) return Error{Kind::invalid, "From has addresses of several domains"};
  if (!whole) return Error{Kind::invalid, "From has too many addresses"};
  if (domain.empty()) return Error{Kind::not_found, "no domain in From"};
  return domain;
}

std::vector<std::string> author_domains(const mail::Header& header) {
  std::vector<std::string> domains;
  for (const mail::HeaderField& field : header.fields)
    if (is_from(field))
      each_author(field, [&](std::string one) {
        if (domains.size() < kMostAuthors && std::find(domains.begin(), domains.end(), one) == domains.end()) domains.push_back(std::move(one));
      });
  return domains;
}

net::Awaitable<DmarcAnswer> check_dmarc(net::Resolver& resolver, const PublicSuffixes& suffixes, Result<std::string> author, Authenticated known, unsigned lot) {
  DmarcAnswer answer;
  if (!author) {
    answer.outcome = author.error().kind == Kind::invalid ? Outcome::permerror : Outcome::none;
    answer.reason = author.error().what;
    co_return answer;
  }
  answer.domain = *author;
  answer.organisation = suffixes.organisation_of(answer.domain);
  bool of_organisation = false;
  auto record = co_await record_at(resolver, answer.domain);
  if (record && !*record && answer.organisation != answer.domain) {
    of_organisation = true;
    record = co_await record_at(resolver, answer.organisation);
  }
  if (!record) {
    const bool temporary = record.error().kind == Kind::temporary;
    answer.outcome = temporary ? Outcome::temperror : Outcome::permerror;
    answer.reason = temporary ? "the policy can't be looked up now" : "bad record: " + record.error().what;
    co_return answer;
  }
  if (!*record) {
    answer.reason = "no policy";
    co_return answer;
  }
  const DmarcRecord& found = **record;
  answer.published = of_organisation ? found.subdomain_policy.value_or(found.policy) : found.policy;
  for (const std::string& signer : known.signers)
    if (is_aligned(suffixes, signer, answer, found.strict_dkim)) answer.outcome = Outcome::pass;
  if (known.spf && known.spf->outcome == Outcome::pass && is_aligned(suffixes, known.spf->domain, answer, found.strict_spf)) answer.outcome = Outcome::pass;
  if (answer.outcome == Outcome::pass) co_return answer;
  // RFC 7489 section 6.6.2 leaves open what an error in between is; nobody is refused because a name server was silent.
  if (known.uncertain || (known.spf && known.spf->outcome == Outcome::temperror)) {
    answer.outcome = Outcome::temperror;
    answer.reason = "what speaks for the domain can't be looked up now";
    co_return answer;
  }
  answer.outcome = Outcome::fail;
  answer.wanted = lot < found.percent ? *answer.published : weaker(*answer.published);
  co_return answer;
}

net::Awaitable<DmarcAnswer> check_dmarc(net::Resolver& resolver, const PublicSuffixes& suffixes, const mail::Header& header, Authenticated known, unsigned lot) {
  Result<std::string> author = author_domain(header);
  const bool several = !author && author.error().kind == Kind::invalid;
  const std::string trouble = several ? author.error().what : std::string();
  DmarcAnswer answer = co_await check_dmarc(resolver, suffixes, std::move(author), known, lot);
  if (!several) co_return answer;
  for (std::string& domain : author_domains(header)) {
    DmarcAnswer one = co_await check_dmarc(resolver, suffixes, Result<std::string>(std::move(domain)), known, lot);
    if (one.outcome != Outcome::fail || (answer.outcome == Outcome::fail && one.wanted <= answer.wanted)) continue;
    answer = std::move(one);
    answer.reason = trouble;
  }
  co_return answer;
}

}  // namespace postern::authentication
