// SPDX-License-Identifier: Apache-2.0
#include "net/tls_material.h"

#include "net/openssl.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>

namespace postern::net {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

constexpr int kFormat = 1;

std::string hex(std::string_view bytes) { return lower_hex(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()); }

std::string from_hex(std::string_view text) {
  const auto digit = [](char c) {
    const auto at = std::string_view("0123456789abcdef").find(c);
    if (at == std::string_view::npos) throw std::invalid_argument("no hexadecimal number");
    return static_cast<unsigned>(at);
  };
  if (text.size() % 2 != 0) throw std::invalid_argument("no hexadecimal number");
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) bytes += static_cast<char>(digit(text[i]) << 4 | digit(text[i + 1]));
  return bytes;
}

std::string text_in(const object& from, std::string_view key) { return std::string(from.at(key).as_string()); }

}  // namespace

std::string TlsMaterial::to_text() const {
  array all_domains, all_listeners;
  for (const Domain& domain : domains) {
    array names, addresses, pairs;
    for (const auto& name : domain.names) names.emplace_back(name);
    for (const auto& address : domain.addresses) addresses.emplace_back(address.to_string());
    for (const Pair& pair : domain.pairs)
      pairs.push_back(object{{"chain", pair.chain}, {"key", pair.key}, {"ocsp", hex(pair.ocsp_response)}, {"ocsp_end", std::int64_t{pair.ocsp_end}}, {"valid", pair.valid}, {"place", pair.place}});
    all_domains.push_back(object{{"names", std::move(names)}, {"addresses", std::move(addresses)}, {"pairs", std::move(pairs)}});
  }
  for (const Listener& listener : listeners) all_listeners.push_back(object{{"name", listener.name}, {"asks", listener.asks_client_certificate}});
  return boost::json::serialize(object{{"format", kFormat},
                                       {"domains", std::move(all_domains)},
                                       {"main_domain", main_domain},
                                       {"listeners", std::move(all_listeners)},
                                       {"tls13_only", tls13_only},
                                       {"ciphers", ciphers},
                                       {"client_authorities", client_authorities},
                                       {"ticket_secret", hex(ticket_secret)},
                                       {"earlier_ticket_secret", hex(earlier_ticket_secret)},
                                       {"ticket_secret_made", std::chrono::duration_cast<std::chrono::milliseconds>(ticket_secret_made.time_since_epoch()).count()}});
}

Result<TlsMaterial> TlsMaterial::parse(std::string_view text) {
  // Written by our own master and sealed; what does not fit is a defect, or another version.
  try {
    const value whole = boost::json::parse({text.data(), text.size()});
    const object& from = whole.as_object();
    if (from.at("format").to_number<int>() != kFormat) return Error{Kind::invalid, "certificates: unknown format"};
    TlsMaterial material;
    for (const value& entry : from.at("domains").as_array()) {
      Domain domain;
      for (const value& name : entry.at("names").as_array()) domain.names.emplace_back(name.as_string());
      for (const value& address : entry.at("addresses").as_array()) {
        auto parsed = Address::parse(std::string_view(address.as_string()));
        if (!parsed) return parsed.error().in("certificates");
        domain.addresses.push_back(*parsed);
      }
      for (const value& item : entry.at("pairs").as_array()) {
        const object& pair = item.as_object();
        domain.pairs.push_back({text_in(pair, "chain"), text_in(pair, "key"), from_hex(text_in(pair, "ocsp")), pair.at("ocsp_end").to_number<std::time_t>(), true, domain.pairs.size()});
        // Not in the files of earlier versions.
        if (const value* const valid = pair.if_contains("valid")) domain.pairs.back().valid = valid->as_bool();
        if (const value* const place = pair.if_contains("place")) domain.pairs.back().place = place->to_number<std::size_t>();
      }
      material.domains.push_back(std::move(domain));
    }
    material.main_domain = from.at("main_domain").to_number<std::size_t>();
    if (!material.domains.empty() && material.main_domain >= material.domains.size()) return Error{Kind::invalid, "certificates: no such main domain"};
    for (const value& entry : from.at("listeners").as_array())
      material.listeners.push_back({text_in(entry.as_object(), "name"), entry.at("asks").as_bool()});
    material.tls13_only = from.at("tls13_only").as_bool();
    material.ciphers = text_in(from, "ciphers");
    material.client_authorities = text_in(from, "client_authorities");
    material.ticket_secret = from_hex(text_in(from, "ticket_secret"));
    material.earlier_ticket_secret = from_hex(text_in(from, "earlier_ticket_secret"));
    if (const value* const made = from.if_contains("ticket_secret_made"))
      material.ticket_secret_made = std::chrono::steady_clock::time_point(std::chrono::milliseconds(made->to_number<std::int64_t>()));
    return material;
  } catch (const std::exception& error) {
    return Error{Kind::invalid, std::string("certificates: ") + error.what()};
  }
}

}  // namespace postern::net
