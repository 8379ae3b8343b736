// SPDX-License-Identifier: Apache-2.0
// index (RFC 5260 section 6): :index counts the fields of a name from 1, with :last from the end. With several names each is
// counted by itself (fields.cc).
#include "sieve/extensions.h"

namespace postern::sieve {

const Extension& index_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"index", "RFC 5260", ":index and :last: one of several header fields", false, {}, {},
      {{Parameter::number, "header", "index"}, {Parameter::none, "header", "last"},
       {Parameter::number, "address", "index"}, {Parameter::none, "address", "last"},
       {Parameter::number, "date", "index", "", "date"}, {Parameter::none, "date", "last", "", "date"}}};
  return extension;
}

}  // namespace postern::sieve
