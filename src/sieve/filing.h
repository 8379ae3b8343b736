// SPDX-License-Identifier: Apache-2.0
#pragma once
// Where fileinto, and the copy of a generated message, put what they store: the tags :create, :flags, :specialuse, :mailboxid.
#include "sieve/compiler.h"
#include "sieve/flags.h"
#include "sieve/interpreter.h"

#include <optional>
#include <string>

namespace postern::sieve {

class FilingTarget {
 public:
  FilingTarget() = default;
  FilingTarget(Compiler& compiler, const Arguments& arguments, const StringItem& mailbox);
  // Where to; nothing if the run has failed.
  std::optional<FileCopy> value(Run& run) const;
  void carry(Archive& archive);

 private:
  Text mailbox_;
  std::string name_;          // of a constant
  bool create_ = false;
  std::optional<Text> use_, id_;
  FlagsArgument flags_;
};

// The copy that :fcc asks for (RFC 8580).
class FccArgument {
 public:
  FccArgument() = default;
  FccArgument(Compiler& compiler, const Arguments& arguments);
  // Nothing without :fcc, or if the run has failed.
  std::optional<FileCopy> value(Run& run) const { return target_ ? target_->value(run) : std::nullopt; }
  void carry(Archive& archive);

 private:
  std::optional<FilingTarget> target_;
};

// RFC 6154: a backslash and an atom.
bool is_special_use(std::string_view text);

}  // namespace postern::sieve
