// SPDX-License-Identifier: Apache-2.0
#pragma once
// How anybody asks the DNS. In the server a Resolver is the ResolverClient (net/resolver_client.h), which asks the resolver child, the
// one process that speaks to name servers; in unit tests it is a FixedResolver (net/fixed_resolver.h).
//
// Failure: Kind::not_found: there is no such name, or it has no such records, or the name can't be one. Kind::temporary: the servers fail or
// don't answer within the time limit (settings group `resolver`), DNSSEC says that the answer is forged, or the resolver child is away: nobody
// knows. There are no other kinds. No question delays anything but who asked it.
#include "net/asio.h"
#include "net/address_list.h"
#include "net/dns_answer.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace postern::net {

class Resolver {
 public:
  virtual ~Resolver() = default;
  // The records of type `type` at `name`, CNAME records followed.
  virtual Awaitable<Result<DnsAnswer>> query(std::string name, std::uint16_t type) = 0;
};

// At most this many names of an address, and addresses of a name, are looked at: whoever owns the zone says how many there are.
inline constexpr std::size_t kMaxNames = 8;
inline constexpr std::size_t kMaxAddresses = 64;

// A and AAAA records. Kind::not_found if there are neither; Kind::temporary if none was found and one of the questions failed.
Awaitable<Result<std::vector<Address>>> addresses_of(Resolver& resolver, std::string name);

// The same with what DNSSEC says of them.
struct HostAddresses {
  std::vector<Address> addresses;
  std::string canonical_name;  // where CNAME records led to; the name itself if there were none
  bool secure = false;         // every record that was found is validated, CNAME records included
};
Awaitable<Result<HostAddresses>> host_addresses(Resolver& resolver, std::string name);

// The names of an address (PTR) that lead back to it by their A or AAAA records: anybody can give his address any name. Kind::not_found if
// there is none.
Awaitable<Result<std::vector<std::string>>> names_of(Resolver& resolver, Address address);

// Whether a domain can have mail addresses: it has an MX record, or an address (RFC 5321 section 5.1).
enum class MailDomain {
  exists,
  absent,
  accepts_no_mail,  // its one MX is the null MX (RFC 7505)
};
// Errors: Kind::temporary only.
Awaitable<Result<MailDomain>> mail_domain(Resolver& resolver, std::string domain);

// Whether the name exists as one of mail or of a host: MX or address. Errors: Kind::temporary only.
Awaitable<Result<bool>> exists(Resolver& resolver, std::string name);

// Whether a DNS list (RFC 5782) has `address`: only answers within 127.0.0.0/8 say so. Errors: Kind::temporary only; one
// is that the list refuses to answer (127.255.255.0/24).
Awaitable<Result<bool>> is_listed(Resolver& resolver, Address address, std::string list);

// How long a name pattern of an address list may be waited for (listeners.md A-12).
inline constexpr std::chrono::seconds kNamesTime{5};

// Whether `address` is on the list, its name patterns included: DNS is asked only if they can change anything. Names that can't be had, within
// kNamesTime, match no pattern. `resolver` must live as long as the io_context that this runs on; null: as if there were no names.
Awaitable<bool> is_on_list(Resolver* resolver, AddressList list, Address address);

// The lists among `lists` that have the address are asked for all at once: the first one that says so, or nothing. `silent`: lists that gave no
// answer, if none said so. The same holds for `resolver`.
struct Listing {
  std::optional<std::size_t> list;  // position in `lists`
  std::vector<std::size_t> silent;
};
Awaitable<Listing> first_listing(Resolver& resolver, Address address, std::vector<std::string> lists);

}  // namespace postern::net
