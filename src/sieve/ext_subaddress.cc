// SPDX-License-Identifier: Apache-2.0
// subaddress (RFC 5233): :user and :detail of "user+detail@example.com". Which characters separate is the host's setting.
#include "sieve/extensions.h"

namespace postern::sieve {

const Extension& subaddress_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"subaddress", "RFC 5233", ":user and :detail of an address", false, {}, {},
                                      {{Parameter::none, "address-part", "user", "address part"}, {Parameter::none, "address-part", "detail", "address part"}}};
  return extension;
}

}  // namespace postern::sieve
