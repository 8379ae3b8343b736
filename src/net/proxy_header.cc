// SPDX-License-Identifier: Apache-2.0
#include "net/proxy_header.h"

#include "base/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace postern::net {
namespace {

constexpr std::string_view kLineStart = "PROXY ";
constexpr std::string_view kSignature{"\r\n\r\n\0\r\nQUIT\n", 12};
// Signature, version and command, family and transport, length.
constexpr std::size_t kFixedBytes = 16;
constexpr std::uint8_t kLocal = 0x20, kProxy = 0x21;
constexpr std::uint8_t kUnspecified = 0x00, kTcp4 = 0x11, kTcp6 = 0x21;
// A name in SNI is a DNS name (RFC 6066 section 3).
constexpr std::size_t kNameBytes = 255;
constexpr std::uint8_t kAuthority = 0x02, kSsl = 0x20;
constexpr std::uint8_t kClientSsl = 0x01;
// Client's bits, then the result of the check of its certificate.
constexpr std::size_t kSslFixedBytes = 5;

std::uint8_t byte_at(std::string_view bytes, std::size_t at) { return static_cast<std::uint8_t>(bytes[at]); }
std::uint16_t number_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

Error bad(std::string_view what) { return {Kind::invalid, std::string(what)}; }

// Version 1's addresses: strict, and of the family that the line names. IPv6 in hexadecimal groups only.
std::optional<Address> address_in(std::string_view text, bool ipv6) {
  const auto allowed = [&](char c) {
    if (!ipv6) return base::is_digit(c) || c == '.';
    return base::is_digit(c) || c == ':' || (base::ascii_lower(c) >= 'a' && base::ascii_lower(c) <= 'f');
  };
  if (!std::all_of(text.begin(), text.end(), allowed) || (ipv6 && text.find(':') == std::string_view::npos)) return std::nullopt;
  const auto address = Address::parse(text);
  if (!address) return std::nullopt;
  return *address;
}

std::optional<std::uint16_t> port_in(std::string_view text) {
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return base::number_from<std::uint16_t>(text);
}

Address ipv4_at(std::string_view bytes, std::size_t at) {
  return Address::ipv4(static_cast<std::uint32_t>(number_at(bytes, at)) << 16 | number_at(bytes, at + 2));
}

Address ipv6_at(std::string_view bytes, std::size_t at) {
  std::array<std::uint8_t, 16> value{};
  for (std::size_t i = 0; i < value.size(); ++i) value[i] = byte_at(bytes, at + i);
  return Address::ipv6(value);
}

}  // namespace

Result<std::size_t> ProxyHeaderParser::take(std::string_view bytes) {
  if (complete_ || bytes.empty()) return std::size_t{0};
  const char first = taken_.empty() ? bytes.front() : taken_.front();
  if (first == kLineStart.front()) return take_line(bytes);
  if (first == kSignature.front()) return take_binary(bytes);
  return bad("neither version of the header begins so");
}

Result<std::size_t> ProxyHeaderParser::take_line(std::string_view bytes) {
  std::size_t used = 0;
  while (used < bytes.size()) {
    const char c = bytes[used];
    const bool behind_cr = !taken_.empty() && taken_.back() == '\r';
    if (taken_.size() < kLineStart.size() && c != kLineStart[taken_.size()]) return bad("the line does not begin with \"PROXY \"");
    if (behind_cr != (c == '\n')) return bad("a CR or LF alone");
    if (taken_.size() + 1 > kProxyLineBytes || (c != '\n' && taken_.size() + 1 == kProxyLineBytes)) return bad("the line is longer than 107 bytes");
    taken_ += c;
    ++used;
    if (c != '\n') continue;
    if (auto parsed = parse_line(std::string_view(taken_).substr(0, taken_.size() - 2)); !parsed) return parsed.error();
    complete_ = true;
    break;
  }
  return used;
}

Result<void> ProxyHeaderParser::parse_line(std::string_view line) {
  const auto words = base::split(line.substr(kLineStart.size()), ' ');
  // What stands behind UNKNOWN has no meaning.
  if (words.front() == "UNKNOWN") {
    header_.own_addresses = true;
    return {};
  }
  if (words.front() != "TCP4" && words.front() != "TCP6") return bad("a family other than TCP4, TCP6 and UNKNOWN");
  if (words.size() != 5) return bad("not two addresses and two ports");
  const bool ipv6 = words.front() == "TCP6";
  const auto source = address_in(words[1], ipv6), destination = address_in(words[2], ipv6);
  if (!source || !destination) return bad("an address that is none of its family");
  const auto source_port = port_in(words[3]), destination_port = port_in(words[4]);
  if (!source_port || !destination_port) return bad("a port that is none");
  header_.source = {*source, *source_port};
  header_.destination = {*destination, *destination_port};
  return {};
}

Result<std::size_t> ProxyHeaderParser::take_binary(std::string_view bytes) {
  std::size_t used = 0;
  while (used < bytes.size() && taken_.size() < kFixedBytes) {
    const std::size_t at = taken_.size();
    const std::uint8_t value = byte_at(bytes, used);
    if (at < kSignature.size() && value != byte_at(kSignature, at)) return bad("the signature is not that of version 2");
    if (at == kSignature.size() && value != kLocal && value != kProxy) return bad("a version or command that is unknown");
    taken_ += bytes[used++];
  }
  if (taken_.size() < kFixedBytes) return used;
  const std::size_t length = number_at(taken_, kFixedBytes - 2);
  if (length > kProxyLengthBytes) return bad("its length is over 4096");
  const std::size_t more = std::min(kFixedBytes + length - taken_.size(), bytes.size() - used);
  taken_.append(bytes.substr(used, more));
  used += more;
  if (taken_.size() < kFixedBytes + length) return used;
  if (auto parsed = parse_binary(); !parsed) return parsed.error();
  complete_ = true;
  return used;
}

Result<void> ProxyHeaderParser::parse_binary() {
  const std::uint8_t command = byte_at(taken_, 12), family = byte_at(taken_, 13);
  const std::string_view rest = std::string_view(taken_).substr(kFixedBytes);
  if (command == kLocal) {
    header_.own_addresses = true;
    return {};
  }
  switch (family) {
    case kTcp4:
      if (rest.size() < 12) return bad("too short for two IPv4 addresses");
      header_.source = {ipv4_at(rest, 0), number_at(rest, 8)};
      header_.destination = {ipv4_at(rest, 4), number_at(rest, 10)};
      return parse_extensions(rest.substr(12));
    case kTcp6:
      if (rest.size() < 36) return bad("too short for two IPv6 addresses");
      header_.source = {ipv6_at(rest, 0), number_at(rest, 32)};
      header_.destination = {ipv6_at(rest, 16), number_at(rest, 34)};
      return parse_extensions(rest.substr(36));
    case kUnspecified:
      header_.own_addresses = true;
      return parse_extensions(rest);
    default:
      // How long its addresses are is not ours to know, so neither is where extensions begin.
      header_.own_addresses = true;
      return {};
  }
}

// Type, two bytes of length, value; types that we don't know are skipped.
Result<void> ProxyHeaderParser::parse_extensions(std::string_view bytes) {
  while (!bytes.empty()) {
    if (bytes.size() < 3) return bad("an extension is cut short");
    const std::uint8_t type = byte_at(bytes, 0);
    const std::size_t length = number_at(bytes, 1);
    if (length > bytes.size() - 3) return bad("an extension runs past the header");
    const std::string_view value = bytes.substr(3, length);
    bytes.remove_prefix(3 + length);
    if (type == kSsl) {
      if (value.size() < kSslFixedBytes) return bad("the SSL extension is cut short");
      // Once said, another one does not take it back.
      if ((byte_at(value, 0) & kClientSsl) == 0) header_.client_in_clear_text = true;
    } else if (type == kAuthority && header_.server_name.empty()) {
      const bool name = !value.empty() && value.size() <= kNameBytes &&
                        std::none_of(value.begin(), value.end(), [](char c) { return base::is_control(c) || c == ' '; });
      if (name) header_.server_name = value;
    }
  }
  return {};
}

}  // namespace postern::net
