// SPDX-License-Identifier: Apache-2.0
#include "gate/scoreboard.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <new>
#include <thread>

namespace postern::gate {
namespace {

constexpr std::uint64_t kMagic = 0x32'64'72'61'6f'62'67'31;  // "1gboard2"
constexpr int kAttempts = 100;

struct SocketRow {
  std::array<std::uint8_t, 16> address;
  std::uint16_t port;
  std::uint8_t module, ipv6, open;
  char error[Scoreboard::kErrorBytes];
};

struct ProcessRow {
  std::uint64_t incarnation;
  std::int64_t started;
  std::uint32_t number;
  std::int32_t process;
  std::uint8_t phase;
  char role[Scoreboard::kRoleBytes];
};

template <std::size_t Size>
void put(char (&to)[Size], const std::string& text) {
  std::memset(to, 0, Size);
  std::memcpy(to, text.data(), std::min(text.size(), Size));
}
template <std::size_t Size>
std::string get(const char (&from)[Size]) { return {from, ::strnlen(from, Size)}; }

}  // namespace

std::int64_t steady_microseconds(std::chrono::steady_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

struct Scoreboard::Layout {
  std::uint64_t magic;
  std::atomic<std::uint64_t> sequence;  // odd while the master writes
  std::int64_t started;
  std::int64_t changed[conf::kModuleRoom];
  std::uint8_t up[conf::kModuleRoom];
  std::uint32_t sockets, processes;
  SocketRow socket[kMostSockets];
  ProcessRow process[kMostChildren];
};

Scoreboard::Layout& Scoreboard::layout() const { return *std::launder(reinterpret_cast<Layout*>(memory_.data())); }

Result<Scoreboard> Scoreboard::create() {
  auto memory = base::SharedMemory::create("scoreboard", sizeof(Layout));
  if (!memory) return memory.error().in("scoreboard");
  auto* const layout = new (memory->data()) Layout{};
  layout->magic = kMagic;
  return Scoreboard(std::move(*memory));
}

Result<Scoreboard> Scoreboard::attach(base::SharedMemory memory) {
  if (memory.size() != sizeof(Layout)) return Error{Kind::corrupt, "scoreboard of another size"};
  Scoreboard board(std::move(memory));
  if (board.layout().magic != kMagic) return Error{Kind::corrupt, "shared memory is no scoreboard"};
  return board;
}

void Scoreboard::write(const ServerState& state) {
  Layout& to = layout();
  to.sequence.fetch_add(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  to.started = state.started_microseconds;
  for (std::size_t i = 0; i < conf::kModules; ++i) {
    to.changed[i] = state.changed_microseconds[i];
    to.up[i] = state.up[i] ? 1 : 0;
  }
  to.sockets = static_cast<std::uint32_t>(std::min(state.sockets.size(), kMostSockets));
  for (std::size_t i = 0; i < to.sockets; ++i) {
    const SocketState& from = state.sockets[i];
    SocketRow& row = to.socket[i];
    const std::string_view bytes = from.address.bytes();
    std::memcpy(row.address.data(), bytes.data(), bytes.size());
    row.port = from.port;
    row.module = static_cast<std::uint8_t>(from.module);
    row.ipv6 = from.address.is_ipv4() ? 0 : 1;
    row.open = from.open ? 1 : 0;
    put(row.error, from.error);
  }
  to.processes = static_cast<std::uint32_t>(std::min(state.processes.size(), kMostChildren));
  for (std::size_t i = 0; i < to.processes; ++i) {
    const ProcessState& from = state.processes[i];
    ProcessRow& row = to.process[i];
    row.incarnation = from.incarnation;
    row.started = from.started_microseconds;
    row.number = from.number;
    row.process = from.process;
    row.phase = static_cast<std::uint8_t>(from.phase);
    put(row.role, from.role);
  }
  to.sequence.fetch_add(1, std::memory_order_release);
}

std::optional<ServerState> Scoreboard::read() const {
  const Layout& from = layout();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::uint64_t before = from.sequence.load(std::memory_order_acquire);
    if (before % 2 != 0) {
      std::this_thread::yield();
      continue;
    }
    ServerState state;
    state.started_microseconds = from.started;
    for (std::size_t i = 0; i < conf::kModules; ++i) {
      state.changed_microseconds[i] = from.changed[i];
      state.up[i] = from.up[i] != 0;
    }
    const std::size_t sockets = std::min<std::size_t>(from.sockets, kMostSockets);
    for (std::size_t i = 0; i < sockets; ++i) {
      const SocketRow& row = from.socket[i];
      if (row.module >= conf::kModules) continue;
      const auto& byte = row.address;
      const net::Address address = row.ipv6 != 0 ? net::Address::ipv6(byte)
                                                 : net::Address::ipv4(static_cast<std::uint32_t>(byte[0]) << 24 | static_cast<std::uint32_t>(byte[1]) << 16 |
                                                                      static_cast<std::uint32_t>(byte[2]) << 8 | byte[3]);
      state.sockets.push_back({static_cast<conf::Module>(row.module), row.port, address, row.open != 0, get(row.error)});
    }
    const std::size_t processes = std::min<std::size_t>(from.processes, kMostChildren);
    for (std::size_t i = 0; i < processes; ++i) {
      const ProcessRow& row = from.process[i];
      if (row.phase > static_cast<std::uint8_t>(ProcessState::Phase::finishing)) continue;
      state.processes.push_back({row.number, row.incarnation, row.process, static_cast<ProcessState::Phase>(row.phase), get(row.role), row.started});
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    if (from.sequence.load(std::memory_order_relaxed) == before) return state;
  }
  return std::nullopt;
}

}  // namespace postern::gate
