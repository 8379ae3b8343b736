// SPDX-License-Identifier: Apache-2.0
#include "relay/dane.h"

#include <utility>

namespace postern::relay {
namespace {

std::string place_of(std::uint16_t port, const std::string& base_domain) { return "_" + std::to_string(port) + "._tcp." + base_domain; }

}  // namespace

std::string Dane::explain(std::uint16_t port) const {
  if (state == State::none) return "no TLSA records";
  if (state == State::unknown) return reason;
  std::string text;
  for (const net::TlsaRecord& record : records) text += (text.empty() ? "TLSA " : ", ") + record.kind();
  if (state == State::unusable) text = std::to_string(published) + " TLSA records, none usable,";
  return text + " of " + place_of(port, base_domain);
}

net::Awaitable<Dane> find_dane(net::Resolver& resolver, const net::TlsClient& tls, std::string host, std::uint16_t port, const net::HostAddresses& addresses) {
  Dane found;
  // Section 2.2.3: an alias that is validated all the way leads to the records of its end; else, or if there are none, those at the
  // host's own name count, if at least that name's own record is validated.
  std::vector<std::string> places;
  const bool alias = addresses.canonical_name != host;
  if (addresses.secure) {
    if (alias) places.push_back(addresses.canonical_name);
    places.push_back(host);
  } else if (alias) {
    const auto own = co_await resolver.query(host, net::dns::kCname);
    if (own && own->secure) places.push_back(host);
  }
  for (std::string& place : places) {
    const auto answer = co_await resolver.query(place_of(port, place), net::dns::kTlsa);
    if (!answer && answer.error().kind == Kind::not_found) continue;
    if (!answer) {
      found.state = Dane::State::unknown;
      found.base_domain = std::move(place);
      found.reason = "TLSA records of " + place_of(port, found.base_domain) + ": " + answer.error().what;
      co_return found;
    }
    if (!answer->secure) continue;
    found.published = answer->records.size();
    found.records = tls.usable(answer->tlsa());
    found.base_domain = std::move(place);
    found.state = found.records.empty() ? Dane::State::unusable : Dane::State::usable;
    co_return found;
  }
  co_return found;
}

}  // namespace postern::relay
