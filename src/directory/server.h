// SPDX-License-Identifier: Apache-2.0
#pragma once
// The directory child's side of run/directory.sock: answers look-ups and verifications for our own processes, and
// administration for administrators.
//
// Who asks is what the kernel says (SO_PEERCRED), not what the peer says. A bad frame, or a user who may not ask, ends that
// connection and no other. Questions on one connection are answered as they become ready; a peer that does not read its answers
// is not read from any more, so that it costs a bounded amount of memory. Passwords are checked on helper threads
// (directory/verifier.h); a full queue is Kind::temporary for the asker.
//
// After each committed change, and at start(), the generation is raised; only then is the change confirmed.
//
// Failure: a record that can't be read is an error for who asked for it, and is logged. Limits: ServerSettings.
#include "directory/account_source.h"
#include "directory/database.h"
#include "directory/generation.h"
#include "directory/logins.h"
#include "net/asio.h"

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <vector>

namespace postern::directory {

struct ServerSettings {
  std::vector<uid_t> users;           // who may look up and verify
  std::vector<uid_t> administrators;  // who may also change and list
  std::vector<uid_t> signers;         // of the users, who may have mail signed
  LoginSettings logins;
  std::size_t connections = 1024;     // administrators get 16 more
  std::size_t question_bytes = 64 * 1024;  // longest frame from a user, but for what a script of the longest size needs; from an
                                           // administrator net::kMaxFrameBytes
  Limits limits;
  AccountSource* source = nullptr;    // accounts that are not in the database, if there are any; must outlive the server
};

class Server {
 public:
  // Takes the listening socket over. `database` and `generations` must outlive the server.
  Server(net::asio::io_context& io, base::Descriptor listening, Database& database, Generations& generations, ServerSettings settings);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void start();
  // Accepts no more and closes every connection.
  void stop();
  [[nodiscard]] std::size_t connections() const;

  class State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace postern::directory
