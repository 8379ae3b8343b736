// SPDX-License-Identifier: Apache-2.0
#include "net/fixed_resolver.h"

namespace postern::net {

void FixedResolver::add(std::string_view name, std::uint16_t type, std::string record) {
  records_[{canonical_dns_name(name).value(), type}].push_back(std::move(record));
}

void FixedResolver::add_address(std::string_view name, std::string_view address) {
  const Address parsed = Address::parse(address).value();
  add(name, parsed.is_ipv4() ? dns::kA : dns::kAaaa, std::string(parsed.bytes()));
}

void FixedResolver::add_mail_exchanger(std::string_view domain, std::uint16_t preference, std::string_view host) {
  std::string record{static_cast<char>(preference >> 8), static_cast<char>(preference)};
  add(domain, dns::kMx, record += dns_name_to_wire(canonical_dns_name(host).value()));
}

void FixedResolver::add_text(std::string_view name, std::string_view text) {
  std::string record;
  for (std::size_t at = 0; at < text.size() || at == 0; at += 255) {
    const std::string_view piece = text.substr(at, 255);
    record += static_cast<char>(piece.size());
    record += piece;
  }
  add(name, dns::kTxt, std::move(record));
}

void FixedResolver::add_name(std::string_view address, std::string_view name) {
  add(reverse_name(Address::parse(address).value()), dns::kPtr, dns_name_to_wire(canonical_dns_name(name).value()));
}

void FixedResolver::set_secure(std::string_view name) { secure_.insert(canonical_dns_name(name).value()); }

void FixedResolver::add_alias(std::string_view name, std::string_view target) {
  const std::string to = canonical_dns_name(target).value();
  add(name, dns::kCname, dns_name_to_wire(to));
  aliases_[canonical_dns_name(name).value()] = to;
}

void FixedResolver::set_failing(std::string_view name) { failing_.insert(canonical_dns_name(name).value()); }

Awaitable<Result<DnsAnswer>> FixedResolver::query(std::string name, std::uint16_t type) {
  const auto canonical = canonical_dns_name(name);
  if (!canonical) co_return Error{Kind::not_found, canonical.error().what};
  asked_.push_back(*canonical + " " + dns_type_name(type));
  if (down_ || failing_.contains(*canonical)) co_return Error{Kind::temporary, "DNS: no answer"};
  std::string at = *canonical;
  bool secure = secure_.contains(at);
  if (const auto alias = aliases_.find(at); alias != aliases_.end() && type != dns::kCname) {
    at = alias->second;
    secure = secure && secure_.contains(at);
  }
  const auto found = records_.find({at, type});
  if (found == records_.end()) co_return Error{Kind::not_found, "DNS: no such records"};
  DnsAnswer answer;
  answer.type = type;
  answer.records = found->second;
  answer.canonical_name = at;
  answer.secure = secure;
  answer.time_to_live = std::chrono::seconds(300);
  co_return answer;
}

}  // namespace postern::net
