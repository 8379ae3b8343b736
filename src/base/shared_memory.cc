// SPDX-License-Identifier: Apache-2.0
#include "base/shared_memory.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <string>

namespace postern::base {
namespace {

using Clock = std::chrono::steady_clock;

// The lock's word. Lower half, which waiters sleep on: who holds it, and flags; upper half: when that process began.
constexpr std::uint64_t kProcess = (std::uint64_t{1} << 22) - 1;  // the kernel's greatest process id is 2^22
constexpr std::uint64_t kDied = std::uint64_t{1} << 22;           // free; the last holder left it half-way
constexpr std::uint64_t kWaiters = std::uint64_t{1} << 23;
constexpr std::uint64_t kOneTurn = std::uint64_t{1} << 24;
constexpr std::uint64_t kTurns = std::uint64_t{0xff} << 24;
constexpr unsigned kBeganShift = 32;
// Between two looks at whether the holder still lives.
constexpr auto kSlice = std::chrono::milliseconds(20);
// Only a broken process changes the word so often that this is reached.
constexpr int kTries = 1000;

int process_of(std::uint64_t word) { return static_cast<int>(word & kProcess); }
std::uint32_t began_of(std::uint64_t word) { return static_cast<std::uint32_t>(word >> kBeganShift); }
std::uint64_t next_turn(std::uint64_t word) { return (word + kOneTurn) & kTurns; }

// Field 22 of proc(5)'s stat: when the process began, in clock ticks, cut to 32 bits; 0: can't be read.
std::uint32_t read_began(const char* path) {
  const Descriptor file(::open(path, O_RDONLY | O_CLOEXEC));
  if (!file) return 0;
  char text[1024];
  const ssize_t length = ::read(file.get(), text, sizeof text);
  if (length <= 0) return 0;
  std::string_view rest(text, static_cast<std::size_t>(length));
  // The second field is a name in parentheses that may hold anything.
  const std::size_t name_end = rest.rfind(')');
  if (name_end == std::string_view::npos) return 0;
  rest.remove_prefix(name_end + 1);
  for (int field = 3; field <= 22; ++field) {
    const std::size_t space = rest.find(' ');
    if (space == std::string_view::npos) return 0;
    rest.remove_prefix(space + 1);
  }
  std::uint64_t ticks = 0;
  if (std::from_chars(rest.data(), rest.data() + rest.size(), ticks).ec != std::errc()) return 0;
  return static_cast<std::uint32_t>(ticks);
}

// What this process writes into the word: found out once; a forked child asks again.
std::atomic<std::uint64_t> g_self{0};

std::uint64_t self() {
  std::uint64_t mine = g_self.load(std::memory_order_relaxed);
  if (mine != 0) return mine;
  static const int registered = pthread_atfork(nullptr, nullptr, [] { g_self.store(0, std::memory_order_relaxed); });
  mine = static_cast<std::uint64_t>(read_began("/proc/self/stat")) << kBeganShift | (static_cast<std::uint64_t>(::getpid()) & kProcess);
  if (registered == 0) g_self.store(mine, std::memory_order_relaxed);
  return mine;
}

// Whether the process that `word` names is no more. What can't be found out counts as alive: a wait is cheaper than two holders.
bool is_gone(std::uint64_t word) {
  const int process = process_of(word);
  // Also of another user's process, and where /proc is closed to us. Readable: it has ended, but nobody has reaped it.
  const Descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
  if (!handle) return errno == ESRCH;
  pollfd ended{handle.get(), POLLIN, 0};
  if (::poll(&ended, 1, 0) > 0) return true;
  char path[32];
  std::snprintf(path, sizeof path, "/proc/%d/stat", process);
  const std::uint32_t began = began_of(word), present = read_began(path);
  return began != 0 && present != 0 && began != present;
}

// The half of the word that futex(2) can compare.
std::uint32_t* futex_of(std::uint64_t& word) {
  return reinterpret_cast<std::uint32_t*>(&word) + (std::endian::native == std::endian::little ? 0 : 1);
}

void wait_while(std::uint64_t& word, std::uint64_t value, Clock::duration time) {
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
  const timespec limit{static_cast<time_t>(nanoseconds / 1'000'000'000), static_cast<long>(nanoseconds % 1'000'000'000)};
  ::syscall(SYS_futex, futex_of(word), FUTEX_WAIT, static_cast<std::uint32_t>(value), &limit, nullptr, 0);
}

void wake_one(std::uint64_t& word) { ::syscall(SYS_futex, futex_of(word), FUTEX_WAKE, 1, nullptr, nullptr, 0); }

std::uint64_t load(const std::uint64_t& word) { return __atomic_load_n(&word, __ATOMIC_RELAXED); }

bool exchange_if(std::uint64_t& word, std::uint64_t expected, std::uint64_t desired) {
  return __atomic_compare_exchange_n(&word, &expected, desired, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

}  // namespace

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : file_(std::move(other.file_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), writable_(other.writable_) {}

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(writable_, other.writable_);
  return *this;
}

SharedMemory::~SharedMemory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<SharedMemory> SharedMemory::create(std::string_view name, std::size_t size_bytes) {
  Descriptor file(::memfd_create(std::string(name).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return system_error(errno, "memfd_create");
  if (::ftruncate(file.get(), static_cast<off_t>(size_bytes)) != 0) return system_error(errno, "size shared memory");
  if (::fchmod(file.get(), 0600) != 0) return system_error(errno, "mode of shared memory");
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
  memory.writable_ = writable;
  return memory;
}

Result<Descriptor> SharedMemory::read_only(int memory) {
  const std::string path = "/proc/self/fd/" + std::to_string(memory);
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return system_error(errno, "open shared memory for reading");
  return file;
}

void SharedMutex::init() { __atomic_store_n(&word_, std::uint64_t{0}, __ATOMIC_RELEASE); }

SharedMutex::Locked SharedMutex::lock(std::chrono::milliseconds patience) {
  std::uint64_t mine = self();
  Clock::time_point until{};
  for (;;) {
    const std::uint64_t word = load(word_);
    // Who has waited can't know whether others still do, and leaves the mark for them.
    if (process_of(word) == 0 && exchange_if(word_, word, mine | (word & kWaiters) | next_turn(word)))
      return (word & kDied) != 0 ? Locked::recovered : Locked::clean;
    const auto now = Clock::now();
    if (until == Clock::time_point{}) until = now + patience;
    if (now >= until) return Locked::timed_out;
    if (process_of(word) == 0) continue;
    mine |= kWaiters;
    const std::uint64_t awaited = word | kWaiters;
    if (awaited != word && !exchange_if(word_, word, awaited)) continue;
    wait_while(word_, awaited, std::min<Clock::duration>(until - now, kSlice));
    if (load(word_) == awaited && is_gone(awaited) && exchange_if(word_, awaited, mine | next_turn(awaited))) return Locked::recovered;
  }
}

void SharedMutex::unlock() {
  for (int tries = 0; tries < kTries; ++tries) {
    const std::uint64_t word = load(word_);
    if (process_of(word) != process_of(self())) return;
    if (!exchange_if(word_, word, word & kTurns)) continue;
    if ((word & kWaiters) != 0) wake_one(word_);
    return;
  }
}

void SharedMutex::holder_died(int process) {
  for (int tries = 0; tries < kTries; ++tries) {
    const std::uint64_t word = load(word_);
    if (process <= 0 || process_of(word) != process) return;
    if (!exchange_if(word_, word, (word & (kTurns | kWaiters)) | kDied)) continue;
    wake_one(word_);
    return;
  }
}

SharedMutex::Held SharedMutex::held() const {
  const std::uint64_t word = load(word_);
  return {process_of(word), static_cast<unsigned>((word & kTurns) / kOneTurn)};
}

}  // namespace postern::base
