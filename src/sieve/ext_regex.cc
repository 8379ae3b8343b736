// SPDX-License-Identifier: Apache-2.0
// regex (draft-ietf-sieve-regex): the match type :regex, and :quoteregex of set. The automaton is in regex.cc.
#include "sieve/extensions.h"

namespace postern::sieve {

const Extension& regex_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"regex", "draft", ":regex: POSIX extended regular expressions", false, {}, {},
      {{Parameter::none, "match", "regex", "match type"},
       {Parameter::none, "set", "quoteregex", "modifier of precedence 20"},
       {Parameter::none, "extracttext", "quoteregex", "modifier of precedence 20"}}};
  return extension;
}

}  // namespace postern::sieve
