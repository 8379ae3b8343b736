// SPDX-License-Identifier: Apache-2.0
#pragma once
// Two counters in memory that the master creates and children map: they move when the directory or the tables changed,
// so that whoever remembers an answer knows whether it still stands.
//
// Raised after a change is durable, and once more when the directory starts: a directory that was killed between the change
// and the raise leaves nobody with an old answer. Failure: none; reading and raising are single atomic operations.
#include "base/shared_memory.h"

#include <cstdint>

namespace postern::directory {

class Generations {
 public:
  // New memory with both counters at 1. The master keeps it and hands its descriptor on as "generations".
  static Result<Generations> create();
  // Maps what a child received, for reading: raising is for whoever says that it will. Kind::invalid if it is not such memory.
  static Result<Generations> map(base::Descriptor memory, bool will_raise = false);

  // Moves with every committed change of domains and accounts.
  [[nodiscard]] std::uint64_t directory() const;
  void raise_directory();
  // Moves with every new set of compiled tables.
  [[nodiscard]] std::uint64_t tables() const;
  void raise_tables();

  // The memory's descriptor, still owned here.
  [[nodiscard]] int descriptor() const { return memory_.descriptor(); }

 private:
  explicit Generations(base::SharedMemory memory) : memory_(std::move(memory)) {}
  base::SharedMemory memory_;
};

}  // namespace postern::directory
