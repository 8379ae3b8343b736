// SPDX-License-Identifier: Apache-2.0
#pragma once
// The part of an address that a test looks at (RFC 5228 section 2.7.4, RFC 5233).
#include "mail/address.h"
#include "sieve/compiler.h"

#include <optional>
#include <string>
#include <string_view>

namespace postern::sieve {

enum class AddressPart { all, local_part, domain, user, detail };

// The one that the tags ask for.
AddressPart address_part_of(const Arguments& arguments);

// The value of this part; nothing if there is none: of a text that is no address every part but `all`, of an address without a
// separator the detail. Local parts are compared without their quotes. `scratch` may hold the value.
std::optional<std::string_view> address_part(const mail::ListedAddress& entry, AddressPart part, std::string_view delimiters, std::string& scratch);

// The same of a canonical envelope address; the null path has the value "" for every part.
std::optional<std::string_view> envelope_part(std::string_view address, AddressPart part, std::string_view delimiters, std::string& scratch);

}  // namespace postern::sieve
