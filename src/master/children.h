// SPDX-License-Identifier: Apache-2.0
#pragma once
// Processes of ours: executing them, talking to them, noticing their end.
//
// A child that breaks the rules of its control socket (too long, too many, malformed) is cut off and ended; nothing of what it
// says is believed beyond "I am ready", "done with order n", "replace me".
#include "net/asio.h"

#include "base/descriptor.h"
#include "master/site.h"
#include "net/orders.h"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace postern::master {

using Named = std::vector<std::pair<std::string, int>>;  // descriptors with the names that the child knows them by

// The version of the messages between master and children (doc/design/processes.md). Both ends are the same file, except that
// after an upgrade the new master speaks to the old children until they have gone: then both must know this version.
inline constexpr unsigned kOrdersVersion = 1;

// What is known of a child: plain values, which outlive an upgrade of the master.
struct ChildFacts {
  enum class Phase { starting, working, leaving };

  unsigned number = 0;
  std::uint64_t incarnation = 0;
  std::string role;
  pid_t pid = 0;
  Phase phase = Phase::starting;
  std::chrono::steady_clock::time_point started, ready_at;
  // Not before then, SIGKILL; the greatest value: no limit.
  std::chrono::steady_clock::time_point kill_at = std::chrono::steady_clock::time_point::max();
  bool killed = false;           // by us
  std::uint64_t done = 0;        // last order that it reported as carried out
  std::uint64_t generation = 0;  // of the configuration that it was started with
  unsigned program = 1;          // number of the program that it executes (upgrade)
  bool wants_replacement = false;
  unsigned replaces = 0;         // pid of the child that it is the successor of; 0: none
};

struct Child : ChildFacts {
  explicit Child(net::asio::io_context& io) : control(io) {}

  bool reaped = false;  // its process id may be somebody else's by now
  std::vector<net::Order> answers;  // of a loader
  bool linked = true;               // its end of the control socket is open
  // Reports that it may still make; refilled by the second.
  unsigned allowance = 0;
  net::asio::posix::stream_descriptor control;
};

class Children {
 public:
  struct Handlers {
    std::function<void(Child&)> ready;
    std::function<void(Child&)> wants_replacement;
    // It has been reaped; `status` as from waitpid(2). The child object goes right after.
    std::function<void(Child&, int status)> died;
  };
  // `program`: the file that children execute. `number`: counts the programs that this master has been.
  Children(net::asio::io_context& io, base::Descriptor program, unsigned number, Handlers handlers);

  // A child that the program before has started; `control` is its link, invalid if that is closed.
  void adopt(const ChildFacts& facts, base::Descriptor control);

  struct Start {
    std::string role;
    Identity identity;
    bool change_user = false;
    bool background = false;
    std::uint64_t open_files = 0;
    std::uint64_t generation = 0;
    Named descriptors;
  };
  // No child gets these numbers: something is still noted under them.
  void hold_number(unsigned number) { held_numbers_.insert(number); }
  void hold_only(std::set<unsigned> numbers) { held_numbers_ = std::move(numbers); }
  // Executes a child and sends it its start, all but "begin"; begin() completes it. An error: nothing runs.
  Result<Child*> start(const Start& start);
  Result<void> begin(Child& child);

  // Sends an order; one whose queue is full does not read and is ended. Returns whether it was sent.
  bool send(Child& child, boost::json::object order, const Named& descriptors = {});
  void signal(Child& child, int number);
  // Tells it to finish; SIGKILL at `kill_at` (none: never).
  void finish(Child& child, std::chrono::milliseconds grace, std::optional<std::chrono::milliseconds> kill_after);

  // After SIGCHLD: reaps whoever is dead and calls the handler.
  void reap();
  // Another process of ours: `handler` gets its status when it has been reaped.
  void watch(pid_t pid, std::function<void(int status)> handler) { watched_[pid] = std::move(handler); }
  // Every second: refills the allowances, ends those whose time is over.
  void each_second();

  [[nodiscard]] std::map<unsigned, std::unique_ptr<Child>>& all() { return children_; }
  [[nodiscard]] Child* by_pid(pid_t pid);
  [[nodiscard]] std::size_t count(const std::string& role, bool with_leaving) const;
  // A number for an order that children answer with "done".
  std::uint64_t next_sequence() { return ++sequence_; }

  [[nodiscard]] int program() const { return program_.get(); }
  [[nodiscard]] unsigned program_number() const { return program_number_; }
  // The last numbers that were given, for an upgrade; go_on_from() keeps all later ones above them.
  [[nodiscard]] std::uint64_t last_incarnation() const { return incarnation_; }
  [[nodiscard]] std::uint64_t last_sequence() const { return sequence_; }
  void go_on_from(std::uint64_t incarnation, std::uint64_t sequence);

 private:
  void listen(Child& child);
  void read(Child& child);
  void cut_off(Child& child, std::string_view why);

  net::asio::io_context& io_;
  base::Descriptor program_;
  unsigned program_number_;
  Handlers handlers_;
  std::map<pid_t, std::function<void(int)>> watched_;
  std::map<unsigned, std::unique_ptr<Child>> children_;  // by number
  std::set<unsigned> held_numbers_;
  std::uint64_t incarnation_;
  std::uint64_t sequence_ = 0;
};

}  // namespace postern::master
