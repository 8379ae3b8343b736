// SPDX-License-Identifier: Apache-2.0
#pragma once
// Whoever wants to know what the access tables are asked: the rehearsal, which keeps the probes.
//
// Called once for each probe that a session puts to an access table: PORT_ACCESS (by the listener and again by the session),
// INTERNAL_IP (by a rewriting rule), FROM_ACCESS, the four recipient tables, LOGIN_ACCESS. Not for tables that a template calls.
#include "mapping/tables.h"
#include "policy/explanation.h"

#include <cstdint>
#include <string_view>

namespace postern::policy {

class ProbeObserver {
 public:
  virtual ~ProbeObserver() = default;
  // `result` is what `table` of the compiled file number `generation` answered; it holds what was found outside, too. Must not
  // throw and must not wait: a session goes on behind it.
  virtual void asked(std::string_view table, mapping::Flags input, std::string_view probe, const mapping::Mapped& result,
                     std::uint64_t generation) = 0;
  // Whether the probe of an access table that the tables in force don't have is wanted too, as one that nothing matched.
  [[nodiscard]] virtual bool wants_missing([[maybe_unused]] std::string_view table) const { return false; }
  // Who wants to hear more than probes, and results with a trace; null: nobody.
  virtual Explanation* explanation() { return nullptr; }
};

// Null if nobody explains.
inline Explanation* explanation_of(ProbeObserver* observer) { return observer == nullptr ? nullptr : observer->explanation(); }

}  // namespace postern::policy
