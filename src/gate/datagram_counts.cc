// SPDX-License-Identifier: Apache-2.0
#include "gate/datagram_counts.h"

#include <atomic>
#include <new>
#include <numeric>

namespace postern::gate {
namespace {
constexpr std::uint64_t kMagic = 0x32'6d'61'72'67'74'61'64;  // "datgram2"
// Further outcomes do not change the layout.
constexpr std::size_t kOutcomeRoom = 16;
static_assert(kDatagramOutcomes <= kOutcomeRoom);
}

std::string_view to_string(DatagramOutcome outcome) {
  switch (outcome) {
    case DatagramOutcome::answered: return "answered";
    case DatagramOutcome::restricted: return "restricted";
    case DatagramOutcome::blocked: return "blocked";
    case DatagramOutcome::oversized: return "oversized";
    case DatagramOutcome::damaged: return "damaged";
    case DatagramOutcome::unsupported: return "unsupported";
    case DatagramOutcome::unauthenticated: return "unauthenticated";
    case DatagramOutcome::unanswered: return "unanswered";
    case DatagramOutcome::lost: return "lost";
    case DatagramOutcome::would_restrict: return "would-be-restricted";
    case DatagramOutcome::would_block: return "would-be-blocked";
  }
  return "unanswered";
}

std::uint64_t DatagramFigures::received() const {
  return std::accumulate(by_outcome.begin(), by_outcome.end(), std::uint64_t{0}) - (*this)[DatagramOutcome::lost] -
         (*this)[DatagramOutcome::would_restrict] - (*this)[DatagramOutcome::would_block];
}

struct DatagramCounts::Layout {
  std::uint64_t magic;
  std::array<std::array<std::atomic<std::uint64_t>, kOutcomeRoom>, conf::kModuleRoom> counts;
};

DatagramCounts::Layout& DatagramCounts::layout() const { return *std::launder(reinterpret_cast<Layout*>(memory_.data())); }

Result<DatagramCounts> DatagramCounts::create() {
  auto memory = base::SharedMemory::create("datagrams", sizeof(Layout));
  if (!memory) return memory.error().in("datagram counts");
  auto* const layout = new (memory->data()) Layout{};
  layout->magic = kMagic;
  return DatagramCounts(std::move(*memory));
}

Result<DatagramCounts> DatagramCounts::attach(base::SharedMemory memory) {
  if (memory.size() != sizeof(Layout)) return Error{Kind::corrupt, "datagram counts of another size"};
  DatagramCounts counts(std::move(memory));
  if (counts.layout().magic != kMagic) return Error{Kind::corrupt, "shared memory holds no datagram counts"};
  return counts;
}

void DatagramCounts::add(conf::Module module, DatagramOutcome outcome, std::uint64_t count) {
  layout().counts[static_cast<std::size_t>(module)][static_cast<std::size_t>(outcome)].fetch_add(count, std::memory_order_relaxed);
}

DatagramFigures DatagramCounts::of(conf::Module module) const {
  DatagramFigures figures;
  const auto& counts = layout().counts[static_cast<std::size_t>(module)];
  for (std::size_t i = 0; i < kDatagramOutcomes; ++i) figures.by_outcome[i] = counts[i].load(std::memory_order_relaxed);
  return figures;
}

}  // namespace postern::gate
