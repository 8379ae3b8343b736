// SPDX-License-Identifier: Apache-2.0
#include "net/dns_answer.h"

#include "base/text.h"

#include <algorithm>
#include <array>

namespace postern::net {
namespace {

constexpr std::size_t kMaxName = 253, kMaxLabel = 63;

struct TypeName {
  std::string_view name;
  std::uint16_t type;
};
constexpr TypeName kTypes[] = {{"A", dns::kA},     {"NS", dns::kNs},   {"CNAME", dns::kCname}, {"SOA", dns::kSoa},  {"PTR", dns::kPtr},
                               {"MX", dns::kMx},   {"TXT", dns::kTxt}, {"AAAA", dns::kAaaa},   {"TLSA", dns::kTlsa}, {"SRV", 33},
                               {"DS", 43},         {"DNSKEY", 48},     {"CAA", 257}};

constexpr unsigned byte(char c) { return static_cast<unsigned char>(c); }

// A dot inside a label could not be told from the one between labels; a backslash would be read as an escape by other programs.
constexpr bool fits_in_label(char c) { return c > 0x20 && c < 0x7f && c != '.' && c != '\\'; }

}  // namespace

Result<std::string> canonical_dns_name(std::string_view name) {
  if (name == ".") return std::string(name);
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty()) return Error{Kind::invalid, "the name is empty"};
  if (name.size() > kMaxName) return Error{Kind::invalid, "the name has more than 253 bytes"};
  for (const std::string_view label : base::split(name, '.')) {
    if (label.empty() || label.size() > kMaxLabel) return Error{Kind::invalid, "a label of the name has not 1 to 63 bytes"};
    if (!std::all_of(label.begin(), label.end(), fits_in_label)) return Error{Kind::invalid, "the name has a byte that is not printable ASCII"};
  }
  return base::lower(name);
}

std::string dns_name_to_wire(std::string_view canonical) {
  std::string bytes;
  if (canonical != ".")
    for (const std::string_view label : base::split(canonical, '.')) {
      bytes += static_cast<char>(label.size());
      bytes += label;
    }
  bytes += '\0';
  return bytes;
}

std::optional<std::string> take_dns_name(std::string_view& bytes) {
  std::string name;
  while (!bytes.empty()) {
    const std::size_t length = byte(bytes.front());
    bytes.remove_prefix(1);
    if (length == 0) {
      auto canonical = canonical_dns_name(name.empty() ? "." : std::string_view(name));
      return canonical ? std::optional(std::move(*canonical)) : std::nullopt;
    }
    if (length > kMaxLabel || length > bytes.size() || name.size() + length > kMaxName) return std::nullopt;
    const std::string_view label = bytes.substr(0, length);
    if (!std::all_of(label.begin(), label.end(), fits_in_label)) return std::nullopt;
    if (!name.empty()) name += '.';
    name += label;
    bytes.remove_prefix(length);
  }
  return std::nullopt;
}

std::vector<Address> DnsAnswer::addresses() const {
  std::vector<Address> found;
  for (const std::string& record : records) {
    if (type == dns::kA && record.size() == 4)
      found.push_back(Address::ipv4(byte(record[0]) << 24 | byte(record[1]) << 16 | byte(record[2]) << 8 | byte(record[3])));
    if (type == dns::kAaaa && record.size() == 16) {
      std::array<std::uint8_t, 16> bytes{};
      std::transform(record.begin(), record.end(), bytes.begin(), byte);
      found.push_back(Address::ipv6(bytes));
    }
  }
  return found;
}

std::vector<MailExchanger> DnsAnswer::mail_exchangers() const {
  std::vector<MailExchanger> found;
  if (type != dns::kMx) return found;
  for (const std::string_view record : records) {
    if (record.size() < 3) continue;
    std::string_view rest = record.substr(2);
    auto host = take_dns_name(rest);
    if (host && rest.empty()) found.push_back({static_cast<std::uint16_t>(byte(record[0]) << 8 | byte(record[1])), std::move(*host)});
  }
  std::stable_sort(found.begin(), found.end(), [](const MailExchanger& a, const MailExchanger& b) { return a.preference < b.preference; });
  return found;
}

std::vector<std::string> DnsAnswer::texts() const {
  std::vector<std::string> found;
  if (type != dns::kTxt) return found;
  for (std::string_view record : records) {
    std::string text;
    while (!record.empty() && byte(record.front()) < record.size()) {
      const std::size_t length = byte(record.front());
      text += record.substr(1, length);
      record.remove_prefix(1 + length);
    }
    if (record.empty()) found.push_back(std::move(text));
  }
  return found;
}

std::vector<std::string> DnsAnswer::names() const {
  std::vector<std::string> found;
  if (type != dns::kPtr && type != dns::kCname && type != dns::kNs) return found;
  for (std::string_view record : records) {
    auto name = take_dns_name(record);
    if (name && record.empty()) found.push_back(std::move(*name));
  }
  return found;
}

std::vector<TlsaRecord> DnsAnswer::tlsa() const {
  std::vector<TlsaRecord> found;
  if (type != dns::kTlsa) return found;
  const auto field = [](char c) { return static_cast<std::uint8_t>(byte(c)); };
  for (const std::string& record : records)
    if (record.size() > 3) found.push_back({field(record[0]), field(record[1]), field(record[2]), record.substr(3)});
  return found;
}

std::string reversed(const Address& address, std::string_view zone) {
  const std::string_view bytes = address.bytes();
  std::string name;
  for (auto at = bytes.rbegin(); at != bytes.rend(); ++at) {
    if (address.is_ipv4()) {
      name += std::to_string(byte(*at)) + '.';
      continue;
    }
    constexpr std::string_view digits = "0123456789abcdef";
    for (const unsigned nibble : {byte(*at) & 15, byte(*at) >> 4}) {
      name += digits[nibble];
      name += '.';
    }
  }
  return name += zone;
}

std::string reverse_name(const Address& address) { return reversed(address, address.is_ipv4() ? "in-addr.arpa" : "ip6.arpa"); }

std::optional<std::uint16_t> dns_type_from(std::string_view text) {
  for (const TypeName& known : kTypes)
    if (base::equal_ignoring_case(text, known.name)) return known.type;
  if (!base::starts_with_ignoring_case(text, "TYPE")) return std::nullopt;
  return base::number_from<std::uint16_t>(text.substr(4));
}

std::string dns_type_name(std::uint16_t type) {
  for (const TypeName& known : kTypes)
    if (type == known.type) return std::string(known.name);
  return "TYPE" + std::to_string(type);
}

}  // namespace postern::net
