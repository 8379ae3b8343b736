// SPDX-License-Identifier: Apache-2.0
#pragma once
// Puts deferred messages back into the journal when their time has come.
//
// The new record is on stable storage before the deferred file goes; a crash in between leaves both, and the store recognises by
// the message's id what it already has (such a record counts one attempt at least, so it is looked for).
//
// Failure: logged; the entry stays and is tried at the next round. An entry that can't be read is set aside in spool/corrupt.
#include "net/asio.h"

#include "spool/journal.h"

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace postern::queue {

class Requeue {
 public:
  // Puts a message into the journal (durable on return) and tells the delivery children.
  using Submit = std::function<net::Awaitable<Result<void>>(mail::Envelope, std::string)>;
  // `deferred` must outlive it.
  Requeue(spool::Deferred& deferred, Submit submit) : deferred_(deferred), submit_(std::move(submit)) {}

  // One round: everything that is due now. Returns how long to wait for the next, at most kLongestWait (new entries come from
  // other processes, unannounced).
  net::Awaitable<std::chrono::milliseconds> run();
  // How many messages were left waiting at the end of the last round; nothing: they could not be counted.
  [[nodiscard]] std::optional<std::size_t> waiting() const { return waiting_; }
  static constexpr std::chrono::milliseconds kLongestWait{5000};
  static constexpr std::size_t kEntriesAtOnce = 1000;

 private:
  spool::Deferred& deferred_;
  Submit submit_;
  std::optional<std::size_t> waiting_;
};

}  // namespace postern::queue
