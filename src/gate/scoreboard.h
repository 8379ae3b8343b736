// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the master knows of sockets and children, in shared memory for the roles that show it (SNMP; listeners.md L-49).
//
// The master alone writes and never reads it, so nothing that stands there can mislead it. A reader takes no lock: it copies, and
// copies again if the master wrote meanwhile.
//
// Failure: a reader that finds no quiet moment gets nothing and keeps what it had. Limits: kMostSockets sockets, kMostChildren
// children, kErrorBytes of an error's text; what is beyond is left out.
#include "base/clock.h"
#include "base/shared_memory.h"
#include "conf/configuration.h"
#include "net/address.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace postern::gate {

struct SocketState {
  conf::Module module = conf::Module::smtp;
  std::uint16_t port = 0;
  net::Address address;
  bool open = false;
  std::string error;  // why not
  friend bool operator==(const SocketState&, const SocketState&) = default;
};

struct ProcessState {
  enum class Phase : std::uint8_t { starting, working, finishing };
  std::uint32_t number = 0;  // child number; with `incarnation` the owner of its sessions in the connection table
  std::uint64_t incarnation = 0;
  std::int32_t process = 0;
  Phase phase = Phase::starting;
  std::string role;
  std::int64_t started_microseconds = 0;
  friend bool operator==(const ProcessState&, const ProcessState&) = default;
};

// Times are microseconds of the steady clock, which is one for all processes: a wall clock that is set moves no time that something
// has lasted.
std::int64_t steady_microseconds(std::chrono::steady_clock::time_point time);

struct ServerState {
  std::int64_t started_microseconds = 0;  // of the server
  // When each service last went up or down, by conf::Module; 0: it is as it was at the start.
  std::int64_t changed_microseconds[conf::kModules] = {};
  bool up[conf::kModules] = {};  // a socket is open and a child at work
  std::vector<SocketState> sockets;
  std::vector<ProcessState> processes;
};

class Scoreboard {
 public:
  static constexpr std::size_t kMostSockets = 4096, kMostChildren = 1024, kErrorBytes = 120, kRoleBytes = 16;

  // Made by the master, which writes.
  static Result<Scoreboard> create();
  // For a reader; `memory` may be mapped read-only. Kind::corrupt if it is no scoreboard.
  static Result<Scoreboard> attach(base::SharedMemory memory);

  void write(const ServerState& state);
  [[nodiscard]] std::optional<ServerState> read() const;
  [[nodiscard]] int descriptor() const { return memory_.descriptor(); }

 private:
  struct Layout;
  explicit Scoreboard(base::SharedMemory memory) : memory_(std::move(memory)) {}
  [[nodiscard]] Layout& layout() const;
  base::SharedMemory memory_;
};

}  // namespace postern::gate
