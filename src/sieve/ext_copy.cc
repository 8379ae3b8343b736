// SPDX-License-Identifier: Apache-2.0
// copy (RFC 3894): fileinto and redirect that leave the implicit keep as it is.
#include "sieve/extensions.h"

namespace postern::sieve {

const Extension& copy_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"copy", "RFC 3894", ":copy on fileinto and redirect: act, and go on as if not", false, {}, {},
                                      {{Parameter::none, "fileinto", "copy", ""}, {Parameter::none, "redirect", "copy", ""}}};
  return extension;
}

}  // namespace postern::sieve
