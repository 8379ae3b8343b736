// SPDX-License-Identifier: Apache-2.0
#pragma once
// Refused connections that stay open for a moment, so that the last words sent on them arrive (listeners.md L-27): closing while
// input is unread would reset the connection, and the reset can overtake the words. What still comes is read and discarded until
// the peer closes, the time is over, or it was too much.
//
// Made for floods: no descriptor is registered anywhere and no coroutine waits. Each that comes looks at the two oldest that nobody has
// looked at, a timer at all that are due: soon after their refusal and then less and less often. Most peers have closed by the first look.
// Limits: gate.lingering for each listener, over all children; gate.linger_time, gate.linger_bytes.
#include "net/asio.h"

#include "base/descriptor.h"
#include "conf/configuration.h"
#include "gate/connection_table.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

namespace postern::service {

class Lingering {
 public:
  // `table` has the counts; it is filled before the first connection, and must outlive this.
  Lingering(net::asio::io_context& io, std::optional<gate::ConnectionTable>& table);

  // Takes a connection over: says the last words, shuts it down for writing and closes it when it may be closed; at once, if too many
  // linger already.
  void take(base::Descriptor connection, std::string_view last_words, conf::Module module, const conf::Gate& gate);
  // The same limit for connections that linger otherwise: true if there is room, and then end() belongs to it.
  bool begin(conf::Module module, const conf::Gate& gate);
  void end(conf::Module module) { table_->end_lingering(module); }
  // Closes all and stops looking.
  void stop();

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct One {
    base::Descriptor connection;
    conf::Module module;
    Time until, next_look;
    std::chrono::milliseconds pause;
    std::uint64_t bytes_left;
  };
  // True if it is done.
  static bool look_at(One& one, Time now);
  // The same, and then it stops counting; otherwise the next look is set.
  bool ended(One& one, Time now);
  // At those that are due for the first time, at most so many.
  void look_at_oldest(Time now, std::size_t most);
  // At those that are due, or at all.
  void look(Time now, bool all);
  void wait();

  net::asio::steady_timer timer_;
  std::optional<gate::ConnectionTable>& table_;
  std::deque<One> fresh_;      // not looked at when they were due yet; in the order of that
  std::vector<One> staying_;
  Time last_look_{};
  bool waiting_ = false;
};

}  // namespace postern::service
