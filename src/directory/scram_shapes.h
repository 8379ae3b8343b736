// SPDX-License-Identifier: Apache-2.0
#pragma once
// How SCRAM secrets look from outside: their rounds and the length of their salt, which a server says to whoever names an account (RFC 5802
// section 5.1). What is made up for a name that nobody has must look like those of the accounts, or rounds of an earlier
// `sasl.scram_iterations`, or of secrets from another server, would tell which names are accounts.
//
// ShapeTally counts the shapes of the accounts that there are, both digests of an account together, and chooses one for a name: shapes come
// as often as accounts have them, a name gets the same one each time, and a new count moves as few names as can be, towards the shapes that have
// become more (weighted rendezvous: the least of -log(u) / count, u from a keyed digest of shape and name).
//
// Never fails. Limits: kMostShapes different ones; others are not counted.
#include "directory/password.h"
#include "directory/record.h"

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace postern::directory {

inline constexpr std::size_t kMostShapes = 64;

// Of one digest; no rounds: the account has no such secret.
struct ScramShape {
  unsigned iterations = 0;
  std::size_t salt_bytes = 0;
  friend auto operator<=>(const ScramShape&, const ScramShape&) = default;
};

class ShapeTally {
 public:
  // An account without any secret has no shape, and is not counted.
  void count(const AccountRecord& record);
  // The same, unless its shape is known.
  void count_if_new(const AccountRecord& record);
  [[nodiscard]] bool empty() const { return counts_.empty(); }
  // `usual` where the shape that was chosen has none for this digest, and where nothing was counted.
  [[nodiscard]] ScramShape choose(ScramDigest digest, std::string_view name, std::string_view key, const ScramShape& usual) const;

 private:
  using Shapes = std::pair<ScramShape, ScramShape>;  // of SHA-1, of SHA-256
  static Shapes shapes_of(const AccountRecord& record);
  std::map<Shapes, std::size_t> counts_;
};

}  // namespace postern::directory
