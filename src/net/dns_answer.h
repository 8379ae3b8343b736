// SPDX-License-Identifier: Apache-2.0
#pragma once
// Names and records of the DNS as our processes hand them to each other: no packets here, those are parsed in the resolver child.
//
// Everything in a record was written by a stranger. What is not of the form that its type demands (RFC 1035 section 3.3, RFC 3596) is left
// out by the typed readers below, never guessed. Limits: a name has 253 bytes of printable ASCII in labels of 1 to 63 (RFC 1035 section 2.3.4).
#include "net/address.h"
#include "net/tlsa.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::net {

// Types of records that we ask for (the numbers are those of the DNS).
namespace dns {
inline constexpr std::uint16_t kA = 1, kNs = 2, kCname = 5, kSoa = 6, kPtr = 12, kMx = 15, kTxt = 16, kAaaa = 28, kTlsa = 52;
}

struct MailExchanger {
  std::uint16_t preference = 0;
  std::string host;  // "." for the null MX (RFC 7505)
  friend bool operator==(const MailExchanger&, const MailExchanger&) = default;
};

// The records of one name and type; there is at least one.
struct DnsAnswer {
  std::uint16_t type = 0;
  std::vector<std::string> records;  // their data; names in it are not compressed
  std::string canonical_name;        // where CNAME records led to; the name that was asked for if there were none
  bool secure = false;               // DNSSEC: validated up to the trust anchor
  bool cut = false;                  // there were more records than resolver.answer_bytes holds
  std::chrono::seconds time_to_live{0};

  // A and AAAA. Empty for other types, like the following.
  [[nodiscard]] std::vector<Address> addresses() const;
  // MX, by preference.
  [[nodiscard]] std::vector<MailExchanger> mail_exchangers() const;
  // TXT: the strings of each record, joined (RFC 7208 section 3.3). Bytes, not text.
  [[nodiscard]] std::vector<std::string> texts() const;
  // PTR, CNAME, NS.
  [[nodiscard]] std::vector<std::string> names() const;
  // TLSA, whatever their numbers mean (RFC 6698 section 2.1).
  [[nodiscard]] std::vector<TlsaRecord> tlsa() const;
};

// A name as it is asked for and compared: lower case, without its final dot; "." for the root. Kind::invalid if it can't be one; names in
// other scripts come as A-labels (directory::canonical_domain()).
Result<std::string> canonical_dns_name(std::string_view name);
// The same name as bytes of a record. `canonical` as above.
std::string dns_name_to_wire(std::string_view canonical);
// Reads an uncompressed name from the beginning of `bytes` and takes it off; nothing if it is none, or none that canonical_dns_name() takes.
std::optional<std::string> take_dns_name(std::string_view& bytes);

// "7.2.0.192.in-addr.arpa" and the like (RFC 1035 section 3.5, RFC 3596 section 2.5); the zone is what comes behind.
std::string reversed(const Address& address, std::string_view zone);
std::string reverse_name(const Address& address);

// "MX" (upper or lower case), "TYPE65" (RFC 3597), and back. Nothing if it is no type.
std::optional<std::uint16_t> dns_type_from(std::string_view text);
std::string dns_type_name(std::uint16_t type);

}  // namespace postern::net
