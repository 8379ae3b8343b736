// SPDX-License-Identifier: Apache-2.0
#pragma once
// Helper threads, each with a connection of its own to one of the LDAP servers, and a bounded queue of questions for them, so that nothing else
// in the directory child waits for LDAP.
//
// A connection that breaks is opened anew and the question asked again, with the next server if need be, until the question's time is over
// (ldap.answer_time); then its asker is told, whatever the thread still waits for. A server that can't be reached, or that let a question down, is
// left alone for ldap.retry_time; while that is so with all, questions fail at once. An unused connection is closed after ldap.idle_time.
//
// Failure: Kind::temporary; what LdapConnection says otherwise is handed on. One thread only calls run(): that of the io_context.
// The destructor waits for what threads are doing (no longer than ldap.answer_time).
#include "conf/configuration.h"
#include "directory/ldap_connection.h"
#include "net/asio.h"

#include <functional>
#include <memory>

namespace postern::directory {

class LdapPool {
 public:
  using Deadline = LdapConnection::Deadline;
  // Runs on a thread of the pool, once or, after a connection broke, again.
  using Work = std::function<Result<void>(LdapConnection& connection, Deadline deadline)>;
  // Called on the io_context's thread, exactly once, unless the pool was destroyed before.
  using Done = std::function<void(Result<void>)>;

  // `bound`: connections are bound by ldap.bind_dn; otherwise by nobody yet.
  LdapPool(net::asio::io_context& io, const conf::Ldap& settings, unsigned connections, bool bound);
  ~LdapPool();
  LdapPool(const LdapPool&) = delete;
  LdapPool& operator=(const LdapPool&) = delete;

  void run(Work work, Done done);

  class State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace postern::directory
