// SPDX-License-Identifier: Apache-2.0
#pragma once
// The beginning of every child of posternd, and its one link to the master.
//
// A child is executed afresh with nothing but its control socket. run_child() then does, in this order: receive_start(),
// drop_privileges(), warm_up(), confine(), and calls the role's function, declared as `int run_ROLE(service::Start&)` in
// roles/ROLE.h. So a role's function runs confined from its first line. What it returns is the child's exit status (0: done).
//
//   int run_delivery(service::Start& start) {
//     net::asio::io_context io(1);
//     service::ControlLink link(io, start);
//     … open what the role needs; on failure log it and return 1: the master tries again with growing delay …
//     link.on_rescan([&] { … });
//     link.ready();
//     io.run();
//     return 0;
//   }
//
// Messages between master and child: net/orders.h, doc/design/processes.md.
#include "net/asio.h"

#include "base/descriptor.h"
#include "base/shared_memory.h"
#include "conf/configuration.h"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern::service {

// Where the control socket stands after the execution.
inline constexpr int kControlDescriptor = 3;

// One kernel socket that the master listens on. A row for all addresses has two of them.
struct ListeningSocket {
  std::uint32_t id = 0;     // the master's number for it, never used twice
  conf::Module module = conf::Module::smtp;
  std::uint16_t port = 0;
  std::string row_address;  // its row's LocalAddress::to_string(); with module and port it names the row
  base::Descriptor socket;  // non-blocking, listening
};

// The row, and its listener, that a socket belongs to; null if the configuration has none any more.
struct RowOf {
  const conf::Listener* listener = nullptr;
  const conf::SocketRow* row = nullptr;
};
RowOf find_row(const conf::Configuration& configuration, conf::Module module, std::uint16_t port, std::string_view row_address);

// What a child starts with.
struct Start {
  std::string role;               // "smtp"
  unsigned number = 0;            // child number: unique among the running children of all roles, index into shared tables
  std::uint64_t incarnation = 0;  // never used twice in the life of a master
  bool change_user = false;       // false: the master does not run as root, the child keeps its user
  uid_t uid = 0;
  gid_t gid = 0;
  std::uint64_t open_files = 0;   // RLIMIT_NOFILE to set
  std::shared_ptr<const conf::Configuration> configuration;
  std::vector<ListeningSocket> sockets;
  base::Descriptor control;
  // By name: "base", "connections", "spool-state", "generations", "tables", "certificates", … (those that the role gets).
  std::map<std::string, base::Descriptor> descriptors;

  // Number of the descriptor `name`, -1 if it was not handed over; stays owned by this.
  [[nodiscard]] int get(const std::string& name) const;
  // Takes the descriptor `name` over; invalid if it was not handed over.
  [[nodiscard]] base::Descriptor take(const std::string& name);
  // Maps the shared memory `name`, which may be mapped several times.
  [[nodiscard]] Result<base::SharedMemory> map(const std::string& name, bool writable) const;
};

// Waits for the master's first messages on `control` and sets the log up as the configuration says. Any mistake in them is an
// error: the child ends, nothing is guessed.
Result<Start> receive_start(int control = kControlDescriptor);

// Sets the limits, becomes start.uid and start.gid for good, with no other group and no capability left; forbids gaining
// privileges and being traced or dumped. An error leaves the process half-way: it must end.
Result<void> drop_privileges(const Start& start);

// Makes the libraries read the files they want to read once: time zone, ICU, OpenSSL, random numbers.
void warm_up();

// Confines the process to the system calls on its role's list (libseccomp). What is not on it fails with EPERM and is logged by
// the kernel, so that a new libc is not an outage. No role may trace, mount, load modules or open raw sockets, and only `conversion` may execute programs:
// it has no such list, but one of what neither it nor they may do.
// Built with sanitizers: nothing is confined, they need more than can be listed.
Result<void> confine(std::string_view role);

// For tests: the names of the system calls that `role` may make, and of those that `conversion` and its programs may not.
std::vector<std::string> forbidden_to_programs();
std::vector<std::string> allowed_system_calls(std::string_view role);

// All of it: what `posternd --child` does. Returns the exit status.
struct RoleMain {
  std::string_view name;
  int (*run)(Start& start);
};
int run_child(std::span<const RoleMain> roles);

// The loader's answer to the master instead of ready(): the sealed image of the tables that it made and the number of the compiled
// file, or why it refuses the file.
Result<void> answer_image(const Start& start, int image, std::uint64_t number);
Result<void> answer_refusal(const Start& start, std::string_view why);

// The child's end of the control socket. Reads from construction on; handlers run on the io_context's thread, in the order in
// which they were added. A handler must not destroy the link.
//
// If the master is gone, the handlers of on_master_gone run; without any, and likewise without one for finish, the io_context is
// stopped: for a role that serves no sessions that is the right end (design.md). A child whose master sends what it does not
// understand ends too.
class ControlLink {
 public:
  // Takes start.control over.
  ControlLink(net::asio::io_context& io, Start& start);
  ~ControlLink();
  ControlLink(const ControlLink&) = delete;
  ControlLink& operator=(const ControlLink&) = delete;

  // Finish what is under way and end (the io_context's run() must return). `grace`: how long that may take; zero: no limit (the
  // child is replaced, nobody is in a hurry). After the grace time at a stop the master sends SIGKILL.
  void on_finish(std::function<void(std::chrono::milliseconds grace)> handler);
  void on_master_gone(std::function<void()> handler);
  // A child (of whatever role) died: what it had claimed is free again.
  void on_rescan(std::function<void()> handler);
  // A new sealed image of the mapping tables; the handler gets a descriptor of its own.
  void on_tables(std::function<void(base::Descriptor image)> handler);
  // A new set of certificates, keys and ticket secrets (net::TlsContexts::load()); the handler gets a descriptor of its own. Only roles
  // that serve TCP sessions get them; at start it is the descriptor "certificates", absent if the site has none.
  void on_certificates(std::function<void(base::Descriptor file)> handler);
  // A reload: the new configuration is already what configuration() returns.
  void on_configuration(std::function<void(std::shared_ptr<const conf::Configuration>)> handler);
  // A socket to accept from / to let go of. The second is called when the queue of the socket must be emptied: accept all that
  // waits, then close it. The master waits, though not for long, until the last copy of `under_way` is gone.
  void on_socket_added(std::function<void(ListeningSocket)> handler);
  void on_socket_removed(std::function<void(std::uint32_t id, std::shared_ptr<void> under_way)> handler);

  // Tells the master that the role is at work. Until then it counts as starting (limit: 30 s).
  void ready();
  // Asks the master for a successor, which will then tell this child to finish. `why` is logged: "age", "sessions".
  void ask_replacement(std::string_view why);

  // The configuration in force.
  [[nodiscard]] const std::shared_ptr<const conf::Configuration>& configuration() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace postern::service
