// SPDX-License-Identifier: Apache-2.0
#pragma once
// Memory that the master creates and all children map, and the lock that guards parts of it.
#include "base/descriptor.h"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace postern::base {

// A mapping of a memory file; unmapped by its destructor. Move only.
//
// Writing can be kept from a process: it gets the descriptor that read_only() makes. What that descriptor refers to can't be mapped
// writable, and opening it anew (/proc/self/fd) needs the permission of the file, which only its creator has. So it holds against
// processes of other users; where everything runs as one user nothing of the kind does.
class SharedMemory {
 public:
  SharedMemory() = default;
  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&& other) noexcept;
  ~SharedMemory();

  // New zeroed memory of `size_bytes`, sealed against shrinking and growing; the memory is used only as it is touched. Only the
  // creating user may open it anew.
  static Result<SharedMemory> create(std::string_view name, std::size_t size_bytes);
  // Maps memory that was received as a descriptor; refuses one that is not sealed against shrinking (a peer could make
  // every access fault). `writable` false maps it read-only.
  static Result<SharedMemory> map(Descriptor file, bool writable);

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] int descriptor() const { return file_.get(); }
  // Whether it may be written to; a write to memory that was mapped read-only ends the process.
  [[nodiscard]] bool writable() const { return writable_; }

  // A descriptor of the same memory for a process that shall only read it.
  static Result<Descriptor> read_only(int memory);

 private:
  Descriptor file_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  bool writable_ = false;
};

// A lock between processes that lives in shared memory. Construct it there with init().
//
// It is one 64-bit word without any pointer, because children can write to the memory and the root master locks it too (a robust
// pthread mutex keeps its list of held locks in such memory). In the word: the process that holds it, a part of that
// process's start time, how often it was taken, whether somebody waits. Waiting is futex(2) on its lower half.
//
// The end of a holder is found in two ways. The master calls holder_died() for every child that it has reaped, before the process id
// can belong to anybody else. And whoever waits looks between slices of its patience whether the holder still is a living
// process that began when the word says (so a process id that was used again is no holder): children whose master is gone, and the master
// itself while the dead child is not reaped yet, do not depend on anybody. A process counts as the holder whichever of its threads took the lock.
// A holder that is stopped is not dead: it keeps the lock until it goes on or is killed (the master's watch, held()).
//
// Trust: whatever a broken process writes into the word, lock() comes back after its patience; it costs a wait, a lock that two hold at
// the same time or that nobody gets, never a wild access. So what the lock guards must stand being read in any state.
// Failure: none beyond timed_out. Cost: no system call while nobody else holds the lock. The lock is not recursive.
class SharedMutex {
 public:
  enum class Locked { clean, recovered, timed_out };
  // Who holds the lock, for the master's watch: the same process and the same turn at two looks means that it was not given
  // back in between (turns repeat after 256).
  struct Held {
    int process = 0;  // 0: nobody
    unsigned turn = 0;
    friend bool operator==(const Held&, const Held&) = default;
  };
  // Once, by the creator of the memory.
  void init();
  // Waits at most `patience`. `recovered`: the last holder died inside; the caller must repair what the lock guards.
  [[nodiscard]] Locked lock(std::chrono::milliseconds patience);
  // Only by the process that has it; does nothing if somebody else was given the lock meanwhile.
  void unlock();
  // The process has died: if it held the lock, whoever comes next recovers it. To be called after waitpid(2) and before the
  // caller makes another process, so that `process` can't be somebody new.
  void holder_died(int process);
  [[nodiscard]] Held held() const;
  // Process id of the present holder, 0 if none.
  [[nodiscard]] int holder() const { return held().process; }

 private:
  std::uint64_t word_;
};

}  // namespace postern::base
