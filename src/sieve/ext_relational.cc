// SPDX-License-Identifier: Apache-2.0
// relational (RFC 5231): :value "gt" compares by the comparator's order, :count "gt" compares how many values there are.
#include "sieve/extensions.h"

namespace postern::sieve {

const Extension& relational_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"relational", "RFC 5231", ":value and :count in tests", false, {}, {},
                                      {{Parameter::string, "match", "value", "match type"}, {Parameter::string, "match", "count", "match type"}}};
  return extension;
}

}  // namespace postern::sieve
