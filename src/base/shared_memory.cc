// SPDX-License-Identifier: Apache-2.0
#include "base/shared_memory.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <ctime>
#include <string>

namespace postern::base {
namespace {

// The process's own id without a system call for each lock; a forked child asks again.
std::atomic<int> g_process{0};

int process_id() {
  int id = g_process.load(std::memory_order_relaxed);
  if (id != 0) return id;
  static const int registered = pthread_atfork(nullptr, nullptr, [] { g_process.store(0, std::memory_order_relaxed); });
  id = ::getpid();
  if (registered == 0) g_process.store(id, std::memory_order_relaxed);
  return id;
}

}  // namespace

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : file_(std::move(other.file_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

SharedMemory::~SharedMemory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<SharedMemory> SharedMemory::create(std::string_view name, std::size_t size_bytes) {
  Descriptor file(::memfd_create(std::string(name).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return system_error(errno, "memfd_create");
  if (::ftruncate(file.get(), static_cast<off_t>(size_bytes)) != 0) return system_error(errno, "size shared memory");
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return system_error(errno, "seal shared memory");
  return map(std::move(file), true);
}

Result<SharedMemory> SharedMemory::map(Descriptor file, bool writable) {
  const int seals = ::fcntl(file.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) return Error{Kind::invalid, "shared memory is not sealed against shrinking"};
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return system_error(errno, "stat shared memory");
  const auto size = static_cast<std::size_t>(status.st_size);
  void* const address =
      ::mmap(nullptr, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_NORESERVE, file.get(), 0);
  if (address == MAP_FAILED) return system_error(errno, "map shared memory");
  SharedMemory memory;
  memory.file_ = std::move(file);
  memory.data_ = static_cast<std::byte*>(address);
  memory.size_ = size;
  return memory;
}

void SharedMutex::init() {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&mutex_, &attributes);
  pthread_mutexattr_destroy(&attributes);
  holder_ = 0;
}

SharedMutex::Locked SharedMutex::lock(std::chrono::milliseconds patience) {
  int got = pthread_mutex_trylock(&mutex_);
  if (got == EBUSY) {
    timespec until{};
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += patience.count() / 1000;
    until.tv_nsec += (patience.count() % 1000) * 1'000'000;
    if (until.tv_nsec >= 1'000'000'000) {
      until.tv_nsec -= 1'000'000'000;
      ++until.tv_sec;
    }
    got = pthread_mutex_clocklock(&mutex_, CLOCK_MONOTONIC, &until);
  }
  if (got == EOWNERDEAD) {
    pthread_mutex_consistent(&mutex_);
    __atomic_store_n(&holder_, process_id(), __ATOMIC_RELAXED);
    return Locked::recovered;
  }
  // Whatever a broken process wrote over the mutex is no reason to end with it: then nobody gets the lock.
  if (got != 0) return Locked::timed_out;
  __atomic_store_n(&holder_, process_id(), __ATOMIC_RELAXED);
  return Locked::clean;
}

void SharedMutex::unlock() {
  __atomic_store_n(&holder_, 0, __ATOMIC_RELAXED);
  pthread_mutex_unlock(&mutex_);
}

int SharedMutex::holder() const {
  const int process = __atomic_load_n(&holder_, __ATOMIC_RELAXED);
  if (process != 0) return process;
  // The futex word of a robust mutex is the holder's thread id (robust_list(2)).
  return __atomic_load_n(&mutex_.__data.__lock, __ATOMIC_RELAXED) & FUTEX_TID_MASK;
}

}  // namespace postern::base
