// SPDX-License-Identifier: Apache-2.0
#include "sieve/address_part.h"

namespace postern::sieve {

namespace {

std::optional<std::string_view> sub_address(std::string_view local_part, AddressPart part, std::string_view delimiters) {
  const mail::SubAddress split = mail::split_sub_address(local_part, delimiters);
  return part == AddressPart::user ? std::optional(split.user) : split.detail;
}

}  // namespace

AddressPart address_part_of(const Arguments& arguments) {
  if (arguments.has("localpart")) return AddressPart::local_part;
  if (arguments.has("domain")) return AddressPart::domain;
  if (arguments.has("user")) return AddressPart::user;
  if (arguments.has("detail")) return AddressPart::detail;
  return AddressPart::all;
}

std::optional<std::string_view> address_part(const mail::ListedAddress& entry, AddressPart part, std::string_view delimiters, std::string& scratch) {
  if (!entry.valid) return part == AddressPart::all ? std::optional<std::string_view>(entry.raw) : std::nullopt;
  switch (part) {
    case AddressPart::all:
      scratch.assign(entry.local_part).append("@").append(entry.domain);
      return scratch;
    case AddressPart::local_part: return entry.local_part;
    case AddressPart::domain: return entry.domain;
    case AddressPart::user:
    case AddressPart::detail: return sub_address(entry.local_part, part, delimiters);
  }
  return std::nullopt;
}

std::optional<std::string_view> envelope_part(std::string_view address, AddressPart part, std::string_view delimiters, std::string& scratch) {
  if (address.empty()) return address;
  const auto at = address.rfind('@');
  const std::string_view domain = at == std::string_view::npos ? std::string_view() : address.substr(at + 1);
  if (part == AddressPart::domain) return domain;
  // Canonical form: quotes only where they are needed.
  std::string_view local = address.substr(0, at);
  scratch.clear();
  if (local.size() >= 2 && local.front() == '"' && local.back() == '"') {
    local = local.substr(1, local.size() - 2);
    for (std::size_t i = 0; i < local.size(); ++i) {
      if (local[i] == '\\' && i + 1 < local.size()) ++i;
      scratch += local[i];
    }
  } else {
    scratch = local;
  }
  if (part == AddressPart::all) {
    if (at != std::string_view::npos) scratch.append("@").append(domain);
    return scratch;
  }
  if (part == AddressPart::local_part) return scratch;
  return sub_address(scratch, part, delimiters);
}

}  // namespace postern::sieve
