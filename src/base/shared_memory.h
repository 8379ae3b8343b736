// SPDX-License-Identifier: Apache-2.0
#pragma once
// Memory that the master creates and all children map, and the lock that guards parts of it.
#include "base/descriptor.h"

#include <pthread.h>

#include <chrono>
#include <cstddef>

namespace postern::base {

// A mapping of a memory file; unmapped by its destructor. Move only.
class SharedMemory {
 public:
  SharedMemory() = default;
  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&& other) noexcept;
  ~SharedMemory();

  // New zeroed memory of `size_bytes`, sealed against shrinking and growing; the memory is used only as it is touched.
  static Result<SharedMemory> create(std::string_view name, std::size_t size_bytes);
  // Maps memory that was received as a descriptor; refuses one that is not sealed against shrinking (a peer could make
  // every access fault). `writable` false maps it read-only.
  static Result<SharedMemory> map(Descriptor file, bool writable);

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] int descriptor() const { return file_.get(); }

 private:
  Descriptor file_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// A process-shared robust mutex that lives in shared memory. Construct it there with init().
//
// Nobody waits for it without bound: a child that is stopped or killed inside is found by the master (the holder's pid is
// kept beside the lock), and a dead holder's lock is recovered by the next one that comes.
class SharedMutex {
 public:
  enum class Locked { clean, recovered, timed_out };
  // Once, by the creator of the memory.
  void init();
  // Waits at most `patience`. `recovered`: the last holder died inside; the caller must repair what the lock guards.
  [[nodiscard]] Locked lock(std::chrono::milliseconds patience);
  void unlock();
  // Process id of the present holder, 0 if none; only for the master's watch. Whoever is stopped between taking the lock and
  // leaving its id is found by the thread id in the lock itself, which is the process id unless a helper thread took it.
  [[nodiscard]] int holder() const;

 private:
  pthread_mutex_t mutex_;
  int holder_;
};

}  // namespace postern::base
