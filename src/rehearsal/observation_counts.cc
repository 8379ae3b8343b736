// SPDX-License-Identifier: Apache-2.0
#include "rehearsal/observation_counts.h"

#include "mapping/effect.h"

#include <array>
#include <atomic>
#include <new>

namespace postern::rehearsal {
namespace {
constexpr std::uint64_t kMagic = 0x31'64'76'72'65'73'62'6f;  // "observd1"
}

struct ObservationCounts::Layout {
  std::uint64_t magic;
  std::array<std::array<std::atomic<std::uint64_t>, kObservations>, mapping::kAskedTables.size()> counts;
};

ObservationCounts::Layout& ObservationCounts::layout() const { return *std::launder(reinterpret_cast<Layout*>(memory_.data())); }

Result<ObservationCounts> ObservationCounts::create() {
  auto memory = base::SharedMemory::create("observations", sizeof(Layout));
  if (!memory) return memory.error().in("counts of observations");
  auto* const layout = new (memory->data()) Layout{};
  layout->magic = kMagic;
  return ObservationCounts(std::move(*memory));
}

Result<ObservationCounts> ObservationCounts::attach(base::SharedMemory memory) {
  if (memory.size() != sizeof(Layout)) return Error{Kind::corrupt, "counts of observations of another size"};
  ObservationCounts counts(std::move(memory));
  if (counts.layout().magic != kMagic) return Error{Kind::corrupt, "shared memory holds no counts of observations"};
  return counts;
}

void ObservationCounts::add(std::size_t table, Observation what) {
  if (table < mapping::kAskedTables.size()) layout().counts[table][static_cast<std::size_t>(what)].fetch_add(1, std::memory_order_relaxed);
}

std::uint64_t ObservationCounts::of(std::size_t table, Observation what) const {
  return table < mapping::kAskedTables.size() ? layout().counts[table][static_cast<std::size_t>(what)].load(std::memory_order_relaxed) : 0;
}

void ObservationCounts::clear() {
  for (auto& table : layout().counts)
    for (auto& count : table) count.store(0, std::memory_order_relaxed);
}

}  // namespace postern::rehearsal
