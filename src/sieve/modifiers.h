// SPDX-License-Identifier: Apache-2.0
#pragma once
// What `set` and `extracttext` do to a value before it goes into a variable (RFC 5229 section 4.1, RFC 5435 section 6, :quoteregex).
#include "sieve/compiler.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

class Modifiers {
 public:
  Modifiers() = default;
  explicit Modifiers(const Arguments& arguments);
  // In the order of precedence, whatever the order in the script. No modifier makes a value longer than `most_bytes`: it is cut
  // where no character, escape or %XX is broken.
  void apply(std::string& value, std::size_t most_bytes) const;
  void carry(Archive& archive);

 private:
  std::vector<std::string_view> tags_;   // in the order of application
};

// At most `count` characters of `text`.
std::string_view first_characters(std::string_view text, std::uint64_t count);

}  // namespace postern::sieve
