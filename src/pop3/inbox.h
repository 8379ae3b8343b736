// SPDX-License-Identifier: Apache-2.0
#pragma once
// Mailboxes of the store as sessions see them: whatever touches the disk runs on a few helper threads, so that one slow
// directory keeps no other session waiting.
//
// Failure: what store/mailbox.h says. Limits: `threads` operations at once, the others queue.
#include "pop3/session.h"

#include <boost/asio/thread_pool.hpp>

namespace postern::pop3 {

class Inboxes {
 public:
  // `files` and `mail_directory` (not owned) must outlive it; it must be destroyed before `io`.
  Inboxes(net::asio::io_context& io, base::Files& files, int mail_directory, unsigned threads = 4);
  // Waits for operations that run.
  ~Inboxes();
  Inboxes(const Inboxes&) = delete;
  Inboxes& operator=(const Inboxes&) = delete;

  net::Awaitable<Result<std::unique_ptr<Inbox>>> open(std::string mailbox_directory, std::size_t most_messages);

 private:
  net::asio::io_context& io_;
  base::Files& files_;
  const int mail_directory_;
  net::asio::thread_pool threads_;
};

}  // namespace postern::pop3
