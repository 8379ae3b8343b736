// SPDX-License-Identifier: Apache-2.0
#pragma once
// IMAP flags as imap4flags (RFC 5232) hands them to the actions that store a message.
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

// Adds the flags in `text`, split at blanks, to `flags`: without regard to case, once each. Names that no IMAP server takes, and
// \Recent, are left out.
void add_flags(std::string_view text, std::vector<std::string>& flags);

// What stands behind :flags of keep and fileinto; without it, the internal variable at the moment of the action.
class FlagsArgument {
 public:
  FlagsArgument() = default;
  FlagsArgument(Compiler& compiler, const Arguments& arguments);
  [[nodiscard]] std::vector<std::string> value(const Run& run) const;
  void carry(Archive& archive);

 private:
  bool given_ = false;
  std::vector<Text> texts_;
};

}  // namespace postern::sieve
