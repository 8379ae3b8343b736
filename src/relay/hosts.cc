// SPDX-License-Identifier: Apache-2.0
#include "relay/hosts.h"

#include "base/random.h"
#include "base/text.h"

#include <algorithm>

namespace postern::relay {

net::Awaitable<MailHosts> mail_hosts(net::Resolver& resolver, std::string domain, std::vector<std::string> own_names) {
  MailHosts found;
  if (domain.starts_with('[')) {
    std::string_view literal = domain;
    literal.remove_prefix(1);
    if (literal.ends_with(']')) literal.remove_suffix(1);
    if (base::starts_with_ignoring_case(literal, "IPv6:")) literal.remove_prefix(5);
    const auto address = net::Address::parse(literal);
    if (!address) {
      found.failure = permanent_failure("5.1.2", domain + " is no address");
      co_return found;
    }
    found.literal = true;
    found.names.push_back(address->to_string());
    co_return found;
  }
  auto answer = co_await resolver.query(domain, net::dns::kMx);
  if (!answer && answer.error().kind != Kind::not_found) {
    found.failure = temporary_failure("4.4.3", "mail exchangers of " + domain + ": " + answer.error().what);
    co_return found;
  }
  std::vector<net::MailExchanger> exchangers;
  if (answer) exchangers = answer->mail_exchangers();
  found.secure = answer && answer->secure;
  if (exchangers.empty()) {
    // An answer without one that can be read is no answer.
    if (answer) {
      found.failure = temporary_failure("4.4.3", "the mail exchangers of " + domain + " can't be read");
      co_return found;
    }
    found.implicit = true;
    found.names.push_back(domain);
    co_return found;
  }
  const auto is_null = [](const net::MailExchanger& exchanger) { return exchanger.host == "."; };
  if (exchangers.size() == 1 && is_null(exchangers.front())) {
    found.failure = permanent_failure("5.1.10", domain + " takes no mail (null MX)");
    co_return found;
  }
  std::erase_if(exchangers, is_null);
  for (std::size_t i = exchangers.size(); i > 1; --i) std::swap(exchangers[i - 1], exchangers[base::random_u64() % i]);
  std::stable_sort(exchangers.begin(), exchangers.end(), [](const auto& a, const auto& b) { return a.preference < b.preference; });
  const auto own = std::find_if(exchangers.begin(), exchangers.end(), [&](const auto& exchanger) {
    return std::find(own_names.begin(), own_names.end(), exchanger.host) != own_names.end();
  });
  if (own != exchangers.end()) {
    // Others of the same preference are no better than we are (RFC 5321 section 5.1).
    const auto preference = own->preference;
    std::erase_if(exchangers, [&](const auto& exchanger) { return exchanger.preference >= preference; });
    if (exchangers.empty()) {
      found.failure = permanent_failure("5.4.6", "the best mail exchanger of " + domain + " is this server, which does not know the domain as its own");
      co_return found;
    }
  }
  for (auto& exchanger : exchangers) {
    if (found.names.size() == kMaxMailHosts) break;
    found.names.push_back(std::move(exchanger.host));
  }
  co_return found;
}

std::vector<net::Address> by_turns(std::vector<net::Address> addresses) {
  std::vector<net::Address> six, four, ordered;
  for (const net::Address& address : addresses) (address.is_ipv4() ? four : six).push_back(address);
  for (std::size_t i = 0; i < std::max(six.size(), four.size()); ++i) {
    if (i < six.size()) ordered.push_back(six[i]);
    if (i < four.size()) ordered.push_back(four[i]);
  }
  return ordered;
}

}  // namespace postern::relay
