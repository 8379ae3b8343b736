// SPDX-License-Identifier: Apache-2.0
#pragma once
// What RFC 2788 and RFC 2789 ask of a mail server beside the connection table and the spool's state: connections that it makes itself,
// when a service was last connected to, messages refused, loops. In shared memory: children note it, SNMP reads.
//
// Each figure is one atomic store or addition, so there is nothing that a death could leave half done. Present connections that we
// made stand with the child that has them and its incarnation: the reader asks for those that live, and what a child took with it is gone.
// A child that went mad can only write wrong figures. Failure: none after attach(). Limits: children below kMaxChildren. No lock, no
// allocation, no system call. Times are microseconds of the steady clock (gate/scoreboard.h), 0: never.
#include "base/shared_memory.h"
#include "conf/configuration.h"
#include "gate/connection_table.h"

#include <cstdint>

namespace postern::gate {

// The order is part of the shared memory's layout.
enum class ActivityCount : std::uint8_t {
  outbound_made,      // connections to other hosts that came to be
  outbound_failed,    // attempts that came to none
  refused_messages,   // their text had come, and the answer was no, for now or for good
  loops_in,           // messages that came and were on their way for too long
  loops_out,          // the same of those that were to go on, and hosts that turned out to be this server
};
inline constexpr std::size_t kActivityCounts = 5;

class Activity {
 public:
  static Result<Activity> create();
  // Kind::corrupt if the memory is something else. Mapped read-only it may be read only.
  static Result<Activity> attach(base::SharedMemory memory);

  void add(ActivityCount what);
  [[nodiscard]] std::uint64_t count(ActivityCount what) const;

  // A connection to the service began or ended just now.
  void note_inbound(conf::Module module, std::int64_t now_microseconds);
  [[nodiscard]] std::int64_t last_inbound(conf::Module module) const;

  void note_outbound_attempt(std::int64_t now_microseconds);
  [[nodiscard]] std::int64_t last_outbound_attempt() const;
  // One more or one less of the connections that `owner` has made, just now.
  void outbound_began(Owner owner, std::int64_t now_microseconds);
  void outbound_ended(Owner owner, std::int64_t now_microseconds);
  [[nodiscard]] std::int64_t last_outbound() const;
  [[nodiscard]] unsigned outbound(Owner owner) const;

  [[nodiscard]] int descriptor() const { return memory_.descriptor(); }

 private:
  struct Layout;
  explicit Activity(base::SharedMemory memory) : memory_(std::move(memory)) {}
  [[nodiscard]] Layout& layout() const;
  base::SharedMemory memory_;
};

}  // namespace postern::gate
