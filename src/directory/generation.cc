// SPDX-License-Identifier: Apache-2.0
#include "directory/generation.h"

#include <atomic>

namespace postern::directory {
namespace {

// "PGEN" and the version of this layout.
constexpr std::uint64_t kMark = 0x5047454e00000001;

struct Counters {
  std::uint64_t mark;
  std::uint64_t directory;
  std::uint64_t tables;
};

Counters& counters(const base::SharedMemory& memory) { return *reinterpret_cast<Counters*>(memory.data()); }

std::uint64_t read(std::uint64_t& counter) { return std::atomic_ref(counter).load(std::memory_order_acquire); }
void raise(std::uint64_t& counter) { std::atomic_ref(counter).fetch_add(1, std::memory_order_acq_rel); }

}  // namespace

Result<Generations> Generations::create() {
  auto memory = base::SharedMemory::create("postern-generations", sizeof(Counters));
  if (!memory) return memory.error();
  counters(*memory) = Counters{kMark, 1, 1};
  return Generations(std::move(*memory));
}

Result<Generations> Generations::map(base::Descriptor memory, bool will_raise) {
  auto mapped = base::SharedMemory::map(std::move(memory), will_raise);
  if (!mapped) return mapped.error().in("generations");
  if (mapped->size() < sizeof(Counters) || counters(*mapped).mark != kMark)
    return Error{Kind::invalid, "generations: not memory of this kind"};
  return Generations(std::move(*mapped));
}

std::uint64_t Generations::directory() const { return read(counters(memory_).directory); }
void Generations::raise_directory() { raise(counters(memory_).directory); }
std::uint64_t Generations::tables() const { return read(counters(memory_).tables); }
void Generations::raise_tables() { raise(counters(memory_).tables); }

}  // namespace postern::directory
