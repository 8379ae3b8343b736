// SPDX-License-Identifier: Apache-2.0
#pragma once
// Inside of master/: everything the master knows, and its work in files: master.cc (start, watch, stop), reload.cc, status.cc
// (control socket), upgrade.cc (another program in its place) and take_over.cc (being that program).
#include "master/master.h"

#include "base/clock.h"
#include "gate/connection_table.h"
#include "gate/ledger.h"
#include "gate/throttle_table.h"
#include "master/back_off.h"
#include "master/certificates.h"
#include "master/children.h"
#include "master/hand_over.h"
#include "master/site.h"
#include "master/sockets.h"
#include "net/asio.h"

#include <sys/stat.h>

#include <array>
#include <deque>
#include <list>
#include <optional>
#include <set>

namespace postern::master {

// A socket of the configuration, open or not.
struct Bound {
  std::uint32_t id = 0;
  Wanted wanted;
  base::Descriptor socket;  // invalid: not listening
  std::string error;        // why not, with what is known about it
  std::string plain_error;  // without: whether it is news
  bool absent = false;      // half of a row for all addresses, of a family that this machine has not
  std::chrono::steady_clock::time_point tried;
};

struct RoleState {
  RoleState(net::asio::io_context& io, Role r) : role(std::move(r)), timer(io) {}
  Role role;
  BackOff back_off;
  net::asio::steady_timer timer;  // until the next child may be started
  bool waiting = false;
};

struct Handed {
  std::string name;
  base::Descriptor descriptor;
  std::vector<std::string> roles;  // empty: all
};

// Who holds a shared lock, and since when.
struct LockWatch {
  std::string name;
  base::SharedMutex* lock;
  base::SharedMutex::Held held;
  std::chrono::steady_clock::time_point since;
};

// What a dead child held in a shared memory whose lock could not be had yet.
struct Owed {
  unsigned child;
  std::uint64_t incarnation;
  std::size_t resource;  // index
};

struct Tables {
  base::Descriptor image;  // sealed; invalid: none yet
  std::uint64_t generation = 0;  // number of the compiled file
  std::string loaded;      // when, for status
  std::string error;       // of the newest file, if it was refused
  struct stat seen {};     // the file that was loaded or refused last
  bool seen_any = false;
  pid_t loader = 0;
  std::chrono::steady_clock::time_point retry{};  // after a loader that died
};

struct ReloadOutcome {
  bool done = false;
  bool needs_restart = false;
  std::vector<std::string> mistakes;  // why not
  std::vector<std::string> warnings;
  std::vector<std::string> changed;   // settings, sockets
};

// "exit status 1", "signal 9": from a status of waitpid(2).
std::string how_it_ended(int status);

// A new configuration, read, and compared with what runs.
struct Prospect {
  conf::Loaded loaded;
  conf::Difference difference;
  Site users;
  std::vector<Wanted> present, wanted;
  Plan plan;
};

struct UpgradeOutcome {
  bool done = false;
  std::string error;  // why not
};

// After an execution, until all children execute the present program.
struct Trial {
  base::Descriptor previous;  // the program to go back to; invalid: none
  unsigned previous_number = 0;
  std::string previous_version;
  unsigned deaths = 0;        // of children of the present program that never came to work
  std::string failure;        // this program got the server back, and why
  bool going_back = false;
  std::chrono::steady_clock::time_point began = base::steady_now();
};

// One who asks at the control socket.
struct Asker {
  enum class Phase { reading, answering, waiting } phase = Phase::reading;
  int socket = -1;
  std::string command;  // that he waits for
};

struct Master::State {
  State(Options o, Site s, base::Descriptor program, unsigned program_number);

  // master.cc
  int run();
  net::Awaitable<void> start();
  net::Awaitable<void> stop();
  void begin_stop();
  net::Awaitable<void> pause(std::chrono::milliseconds time);
  void wait_for_signal();
  void on_signal(int number);
  void each_second();
  void watch_locks();
  // Lines go to `file` from now on, or where the configuration says if there is none.
  void write_log_to(base::Descriptor file);
  // Opens what the configuration says; if that fails, lines go where they went before, and one of them says why.
  Result<void> open_log();
  void reopen_log();
  Result<void> take_configuration(conf::Loaded loaded);
  // New counters for $[postern:throttle], all 0; those that were handed over, if they can be used.
  Result<void> make_throttles();
  Result<void> take_throttles(const HandOver& from);
  void try_sockets();
  bool try_socket(Bound& bound);
  void give_sockets(const std::vector<const Bound*>& opened);
  void give_sockets_to(Child& child, const std::vector<const Bound*>& sockets);
  [[nodiscard]] RoleState* role_of(conf::Module module);
  [[nodiscard]] RoleState* role_named(const std::string& name);
  [[nodiscard]] unsigned wanted_children(const Role& role) const;
  Result<Child*> start_child(RoleState& role, unsigned replaces);
  // Brings the number of a role's children to what the configuration wants, and replaces those that want it.
  void ensure(RoleState& role);
  void ensure_all();
  void on_ready(Child& child);
  void on_death(Child& child, int status);
  // Tries once more to give back what dead children held.
  void pay_owed();
  void broadcast(const boost::json::object& order, const Named& descriptors = {});
  void check_tables();
  void refuse_tables(const std::string& reason);
  // Those whose modules begin with a connection; only they get private keys.
  [[nodiscard]] bool gets_certificates(const std::string& role_name);
  void hand_certificates();
  void start_loader(base::Descriptor file);
  void take_answer(Child& loader, int status);
  [[nodiscard]] Named common_descriptors();
  // Adds the shared memory that the role's table row names to what a child starts with; `own` keeps descriptors that were made for it.
  Result<void> add_memory(const Role& role, Named& descriptors, std::vector<base::Descriptor>& own) const;
  // Waits until all of `asked` (child numbers) have carried out order `sequence`, are gone, or `limit` is over.
  net::Awaitable<bool> all_done(std::vector<unsigned> asked, std::uint64_t sequence, std::chrono::milliseconds limit);
  // Waits until none of `asked`, which were killed, is there any more, or `limit` is over.
  net::Awaitable<void> all_gone(std::vector<unsigned> asked, std::chrono::milliseconds limit);

  // reload.cc
  net::Awaitable<ReloadOutcome> reload();
  net::Awaitable<ReloadOutcome> reload_now();
  // Reads and compares `path`; what is wrong with it is in outcome.mistakes, and the rest is there only if nothing is.
  Prospect prospect(const std::string& path, ReloadOutcome& outcome);
  // What a reload to `path` would do, without doing it.
  [[nodiscard]] boost::json::object check_reload(const std::string& path);
  // Takes sockets out of service: children accept what waits, then the sockets are shut down for all processes (L-43, L-44).
  net::Awaitable<void> let_go(std::vector<std::uint32_t> ids, std::chrono::milliseconds limit);

  // gate_orders.cc
  // Refusal sums, expired blocks.
  void watch_ledger();
  // The blocks that outlive a restart: read at start, written at each change.
  void read_blocks();
  Result<void> save_blocks();
  // The answer to posternctl's block, unblock, blocked, limits, address; nothing for other commands.
  [[nodiscard]] std::optional<boost::json::object> gate_order(const std::string& command, const boost::json::object& order);
  [[nodiscard]] boost::json::object block(const boost::json::object& order);
  [[nodiscard]] boost::json::object unblock(const boost::json::object& order);
  [[nodiscard]] boost::json::object blocked();
  [[nodiscard]] boost::json::object limits(const boost::json::object& order);
  [[nodiscard]] boost::json::object address(const boost::json::object& order);

  // throttle_orders.cc
  // The answer to posternctl's throttle.
  [[nodiscard]] boost::json::object throttle_order(const boost::json::object& order);

  // status.cc
  Result<void> open_control_socket();
  void listen_to_control();
  net::Awaitable<void> accept_control();
  // `waits_for`: what he asked the program before this one, which was executed meanwhile.
  net::Awaitable<void> serve_control(net::asio::local::stream_protocol::socket socket, std::string waits_for);
  [[nodiscard]] boost::json::object status();
  // Tells options.show what there is.
  void show();
  [[nodiscard]] boost::json::object sessions();
  // Limits, counts, refusals and sockets of one listener (listeners.md L-49).
  [[nodiscard]] boost::json::object figures(const conf::Listener& listener);

  // listeners.cc
  [[nodiscard]] boost::json::object show_listeners();

  // upgrade.cc
  void begin_upgrade();  // SIGUSR2
  net::Awaitable<UpgradeOutcome> upgrade();
  // upgrade_now(), whatever it throws.
  net::Awaitable<UpgradeOutcome> upgrade_safely(base::Descriptor program, std::string failure);
  net::Awaitable<UpgradeOutcome> upgrade_now(base::Descriptor program, std::string failure);
  // Starts the program dry on `text`; the error is what it says.
  net::Awaitable<Result<void>> dry_start(int program, const HandOver& hand_over);
  // Comes back only if it failed, with everything as it was.
  net::Awaitable<Error> execute_in_place(const base::Descriptor& program, const std::string& failure);
  [[nodiscard]] HandOver hand_over(const std::string& failure);
  void obey_what_waited();

  // take_over.cc
  Result<void> restore(const HandOver& from);
  void go_on();  // the first thing that run() does after an execution
  // Replaces children of another program, role after role, and judges the new ones.
  void continue_trial();
  net::Awaitable<void> go_back();
  net::Awaitable<UpgradeOutcome> trial_over();

  Options options;
  Site site;
  std::list<Asker> askers;  // before io: the coroutines that stand in it end with io
  net::asio::io_context io{1};
  Children children;
  net::asio::signal_set signals;
  net::asio::steady_timer second, lock_timer, control_retry;
  std::optional<net::asio::local::stream_protocol::acceptor> control;

  conf::Configuration configuration;
  base::Descriptor configuration_file;  // the sealed text that children read
  std::uint64_t generation = 0;         // of the configuration
  base::Descriptor log_file;
  std::list<RoleState> roles;
  std::vector<SharedResource> resources;
  std::vector<Handed> handed;
  std::vector<LockWatch> locks;
  std::vector<Owed> owed;
  std::vector<Bound> sockets;
  std::uint32_t next_socket = 0;
  Tables tables;
  Certificates certificates;
  std::optional<gate::ConnectionTable> table;
  std::optional<gate::Ledger> ledger;
  std::optional<gate::Throttles> throttles;
  std::chrono::steady_clock::time_point started = base::steady_now();
  // Of each service, for show(): whether it was up when last looked at, and since when; at the start nothing has changed yet.
  bool looked = false;
  std::array<bool, conf::kModules> up{};
  std::array<std::int64_t, conf::kModules> up_changed{};
  std::string started_text = base::iso8601(base::wall_now());
  bool starting = true;
  bool stopping = false;
  bool reloading = false;
  bool reload_again = false;
  ReloadOutcome last_reload;
  bool upgrading = false;   // from the order until the execution, or the refusal
  bool executing = false;   // orders by signal are only noted: reload_again, stop_again, log_again
  bool stop_again = false;
  bool log_again = false;
  bool upgrade_again = false;
  bool accepting_control = false;
  unsigned highest_program = 1;
  std::optional<Trial> trial;
  UpgradeOutcome last_trial;
  std::vector<std::pair<base::Descriptor, std::string>> requests;  // HandOver::requests, our copies
  std::optional<HandOver> handed_over;  // what this program began with; its numbers are closed by go_on()
  bool ended = false;
  int exit_status = 0;
};

}  // namespace postern::master
