// SPDX-License-Identifier: Apache-2.0
// The comparators' capabilities (RFC 5228 section 2.7.3, RFC 4790). Those of the base language may be required and need not be.
#include "sieve/extensions.h"

namespace postern::sieve {

const Extension& comparator_octet() {
  static const Extension extension = {"comparator-i;octet", "RFC 4790", "compare bytes (always there)", false, {}, {}, {}};
  return extension;
}

const Extension& comparator_ascii_casemap() {
  static const Extension extension = {"comparator-i;ascii-casemap", "RFC 4790", "compare without regard to ASCII case (always there, the default)", false, {}, {}, {}};
  return extension;
}

const Extension& comparator_ascii_numeric() {
  static const Extension extension = {"comparator-i;ascii-numeric", "RFC 4790", "compare leading digits as numbers", false, {}, {}, {}};
  return extension;
}

const Extension& comparator_unicode_casemap() {
  static const Extension extension = {"comparator-i;unicode-casemap", "RFC 5051", "compare without regard to the case of any script (always there)", false, {}, {}, {}};
  return extension;
}

}  // namespace postern::sieve
