// SPDX-License-Identifier: Apache-2.0
#include "policy/dns_questions.h"

#include "authentication/spf.h"
#include "base/text.h"

#include <algorithm>
#include <chrono>

namespace postern::policy {
namespace {

using Text = std::optional<std::string>;

// For SPF; kQuestionsTime holds besides.
constexpr std::chrono::seconds kSpfTime(15);

// As DNS knows it: other scripts as A-labels. What can't be a mail domain (an underscore in it) is asked for as it is.
std::string dns_name(const std::string& name) {
  auto canonical = directory::canonical_domain(name);
  return canonical ? std::move(*canonical) : name;
}

net::Awaitable<Text> dns_verify(net::Resolver& resolver, std::string argument) {
  const auto parts = base::split(argument, ',');
  if (parts.size() > 3) co_return std::nullopt;
  const std::string name = dns_name(std::string(base::trim(parts[0])));
  const auto found = co_await net::exists(resolver, name);
  if (!found) co_return std::nullopt;
  if (*found) co_return parts.size() > 1 ? std::string(parts[1]) : std::string();
  if (parts.size() == 3) co_return std::string(parts[2]);
  co_return std::nullopt;
}

net::Awaitable<Text> dns_list(net::Resolver& resolver, std::string argument) {
  const auto comma = argument.find(',');
  if (comma == std::string::npos) co_return std::nullopt;
  const auto address = net::Address::parse(base::trim(std::string_view(argument).substr(0, comma)));
  const std::string list(base::trim(std::string_view(argument).substr(comma + 1)));
  if (!address || list.empty()) co_return std::nullopt;
  const auto listed = co_await net::is_listed(resolver, *address, list);
  if (!listed || !*listed) co_return std::nullopt;
  co_return std::string();
}

// The result of SPF for this client and sender, none without a client. With a list of results, whether it is one of them; with
// "explanation", what the domain says to a failure.
net::Awaitable<Text> spf(net::Resolver& resolver, std::string wanted, QuestionFacts facts) {
  if (!facts.remote) co_return std::nullopt;
  const auto answer =
      co_await authentication::check_spf(resolver, authentication::spf_question(*facts.remote, std::move(facts.helo), std::move(facts.sender), std::move(facts.host_name), kSpfTime));
  const std::string outcome(to_string(answer.outcome));
  if (wanted.empty()) co_return outcome;
  if (base::equal_ignoring_case(base::trim(wanted), "explanation")) {
    if (answer.outcome != authentication::Outcome::fail) co_return std::nullopt;
    // RFC 7208 section 6.2: whose words these are must be plain.
    if (!answer.explanation.empty()) co_return "the domain " + answer.domain + " explains: " + answer.explanation;
    co_return "the domain " + answer.domain + " does not let this client send its mail";
  }
  const auto words = base::split(wanted, ',');
  if (std::any_of(words.begin(), words.end(), [&](std::string_view word) { return base::equal_ignoring_case(base::trim(word), outcome); })) co_return std::string();
  co_return std::nullopt;
}

}  // namespace

void add_dns_questions(Questions& questions, net::Resolver& resolver) {
  questions.set_resolver(resolver);
  questions.add("dns_verify", [&resolver](const mapping::Question& question, const QuestionFacts&) { return dns_verify(resolver, question.argument); });
  questions.add("dnsbl", [&resolver](const mapping::Question& question, const QuestionFacts&) { return dns_list(resolver, question.argument); });
  questions.add("spf", [&resolver](const mapping::Question& question, const QuestionFacts& facts) { return spf(resolver, question.argument, facts); });
}

net::Awaitable<std::optional<Reply>> check_sender_domain(net::Resolver& resolver, std::string domain, std::string as_given) {
  if (domain.starts_with('[')) co_return std::nullopt;
  const auto found = co_await net::mail_domain(resolver, dns_name(domain));
  const std::string address = base::printable(as_given, 200);
  if (!found) co_return Reply{451, "4.1.8", "the sender's domain can't be looked up now, try again later: " + address};
  switch (*found) {
    case net::MailDomain::exists: break;
    case net::MailDomain::absent: co_return Reply{553, "5.1.8", "the sender's domain does not exist: " + address};
    case net::MailDomain::accepts_no_mail: co_return Reply{550, "5.7.27", "the sender's domain accepts no mail: " + address};
  }
  co_return std::nullopt;
}

}  // namespace postern::policy
