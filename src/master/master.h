// SPDX-License-Identifier: Apache-2.0
#pragma once
// The master: binds the sockets, owns the shared memory, starts, watches and replaces the children. It parses nothing that came
// from the network, and takes nothing on trust that a child says or writes.
//
// It knows roles only by the table that posternd.cc gives it, so it needs neither spool nor directory:
//
//   auto master = master::Master::open(std::move(options));          // lock, users, directories below the base directory
//   (*master)->add_resource({"spool-state", …, release, lock});
//   (*master)->add_descriptor("notices-read", …, {"delivery"});
//   return (*master)->run();
//
// Failure: open() says why and nothing has been started. run() returns the exit status. Orders (signals, control socket) and what
// they do: posternd(8), doc/design/processes.md.
#include "base/descriptor.h"
#include "base/shared_memory.h"
#include "conf/configuration.h"
#include "gate/scoreboard.h"

#include <boost/json/object.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace postern::master {

// Most children at a time over all roles; child numbers are below it.
inline constexpr unsigned kMaximumChildren = 256;

struct Role {
  enum class User { network, mail, directory };
  std::string name;
  User user = User::network;
  // How many children the configuration wants; 0: none.
  std::function<unsigned(const conf::Configuration&)> count;
  // Modules whose sockets it accepts from. Not empty: it serves sessions, and is started only if one of them has a listener.
  std::vector<conf::Module> modules;
  // At a stop, roles with a lower figure finish first: 0 those that serve sessions, then those that work for them.
  unsigned stop_order = 0;
  // The shared memory that its children get, and what they may do with it. What is not named here they don't get; what is
  // only to be read they get as a descriptor that can't be mapped writable (base::SharedMemory::read_only).
  struct Memory {
    std::string name;
    enum class Access { read, write } access;
  };
  std::vector<Memory> memory;
};

// Shared memory that roles name in Role::memory, with what the master must do about it. The connection table ("connections") is
// the master's own and need not be added.
struct SharedResource {
  std::string name;
  base::Descriptor memory;
  // Gives back what the child held, may be empty. Called after the child has been reaped; must come back at once. False: it was not possible
  // now. Then it is called again, and the number is not given to another child, until it is.
  std::function<bool(unsigned child, std::uint64_t incarnation)> release;
  // Its lock, if it has one, in the master's own mapping. It is freed when its holder has died, and a child that is found to
  // hold it for 500 ms is ended, so that a stopped process does not stop all others.
  base::SharedMutex* lock = nullptr;
};

// The versions of a format that a program can go on from (`oldest` to `newest`); it writes `newest`.
struct Versions {
  unsigned oldest = 1, newest = 1;
};
// By name: what lies on disk, in shared memory, and goes between processes. For an upgrade: both programs must know them.
using Formats = std::map<std::string, Versions>;

struct Options {
  std::string configuration_path;
  conf::Loaded loaded;  // read from it and usable
  std::vector<Role> roles;
  // Whoever started the server waits for it to let go of his output: children keep none of it once their log is open.
  bool background = false;
  // How the server was started, for the execution of another program in its place: the arguments as main() got them, and the path of
  // the program, absolute, as it was called (open_own_program() says how to find it). Empty: no upgrade.
  std::vector<std::string> arguments;
  std::string program_path;
  // Of --pid-file; only kept for the next program.
  std::string pid_file;
  // Beside those of the master itself.
  Formats formats;
  // Called once: `failure` is empty when all sockets that can be bound are bound and all children are at work.
  std::function<void(const std::string& failure)> ready;
  // Called when a new image of the tables has been handed to the children: raises the shared generation number.
  std::function<void()> tables_changed;
  // Called whenever sockets or children have changed, and once a second: for whoever shows them.
  std::function<void(const gate::ServerState&)> show;
  // May add to the answer to `posternctl status` (backlog).
  std::function<void(boost::json::object& status)> add_to_status;
  // How much a child has in hand beside sessions (claimed messages), for the same answer. May be empty.
  std::function<std::uint64_t(unsigned child)> work_of;
  // Further checks of a configuration that the conf folder can't make (channels, rewrite rules): appends mistakes.
  std::function<void(const conf::Configuration&, std::vector<conf::Mistake>&)> check;
};

struct HandOver;

class Master {
 public:
  // Locks run/master.pid (Kind::denied with the other master's pid if there is one), finds the users, makes the directories.
  static Result<std::unique_ptr<Master>> open(Options options);
  // Takes up what another program of this process held, in its place (execution.h); options.loaded, the paths and `background` come
  // from there. Nothing is changed until run(): up to there the other program can have everything back.
  static Result<std::unique_ptr<Master>> take_over(Options options, const HandOver& from);
  ~Master();

  [[nodiscard]] bool taken_over() const;
  // A descriptor that the program before handed over by this name (add_resource, add_descriptor); invalid if there was none.
  [[nodiscard]] base::Descriptor inherited(const std::string& name) const;

  [[nodiscard]] int base_directory() const;
  // Becomes owner of what is below the base directory when the master runs as root: for sockets and files that posternd.cc makes.
  struct Owner {
    unsigned uid, gid;
  };
  [[nodiscard]] Owner owner(Role::User user) const;

  void add_resource(SharedResource resource);
  // Hands `descriptor` by `name` to the children of `roles` (empty: all).
  void add_descriptor(std::string name, base::Descriptor descriptor, std::vector<std::string> roles);

  // Serves until it is told to stop. Returns the exit status.
  int run();

 private:
  struct State;
  explicit Master(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The descriptor of the running program's own file, opened once at start: children execute exactly it.
Result<base::Descriptor> open_own_program();
// The absolute path by which it was called, for Options::program_path; links in it are kept, since an upgrade may change them. From
// main()'s first argument, the current directory and PATH; if that is not the running file, its own path.
std::string own_program_path(const std::string& called);

}  // namespace postern::master
