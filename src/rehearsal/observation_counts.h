// SPDX-License-Identifier: Apache-2.0
#pragma once
// How often a table OBSERVE_X was asked beside X, and how often it said something else (access-control.md 2.9), in shared memory:
// children count, the master reads and begins anew when other tables come into force.
//
// Each count is one atomic addition, so there is nothing that a death could leave half done. A child that went mad can only write
// wrong figures. No allocation, no lock, no system call.
#include "base/shared_memory.h"

#include <cstdint>
#include <string_view>

namespace postern::rehearsal {

enum class Observation : std::uint8_t {
  same,
  differs,
  open,  // depends on what was not asked outside, or the server had too much to do
};
inline constexpr std::size_t kObservations = 3;

class ObservationCounts {
 public:
  static Result<ObservationCounts> create();
  // Kind::corrupt if the memory is something else. Mapped read-only it may be read only.
  static Result<ObservationCounts> attach(base::SharedMemory memory);

  // `table` is an index into mapping::kAskedTables; any other is left out.
  void add(std::size_t table, Observation what);
  [[nodiscard]] std::uint64_t of(std::size_t table, Observation what) const;
  void clear();
  [[nodiscard]] int descriptor() const { return memory_.descriptor(); }

 private:
  struct Layout;
  explicit ObservationCounts(base::SharedMemory memory) : memory_(std::move(memory)) {}
  [[nodiscard]] Layout& layout() const;
  base::SharedMemory memory_;
};

}  // namespace postern::rehearsal
