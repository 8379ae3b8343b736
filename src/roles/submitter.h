// SPDX-License-Identifier: Apache-2.0
#pragma once
// The one way of a message into the journal, for every role that takes or makes messages: append, wait until it is on stable
// storage, count it, tell the children that work on it.
//
// The notice is a hint: if the socket is full it is dropped, counted (SharedState::unannounced()), and the scan finds the record.
// Records that become durable together are announced together, at the end of the event loop's turn.
// Failure: Kind::temporary with the reason; the message is then not accepted.
#include "net/asio.h"

#include "conf/configuration.h"
#include "service/child.h"
#include "spool/journal.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace postern::roles {

// The two journals, of one form: what has come in and is to be delivered, and what goes on to other hosts (doc/design/journal.md).
enum class Journal { incoming, outgoing };

// The journal's directory below the base directory, opened; made if it is not there.
Result<base::Descriptor> open_journal_directory(const service::Start& start, Journal journal);
// The claims and counts of its records.
Result<spool::SharedState> map_journal_state(const service::Start& start, Journal journal, bool writable = true);

class Submitter {
 public:
  // Takes the journal's end of notices over. Opens nothing yet.
  static Result<std::unique_ptr<Submitter>> open(service::Start& start, Journal journal = Journal::incoming);
  ~Submitter();

  // Opens the journal's writer unless it is open: at start for a role that needs it for certain, else at the first message.
  Result<void> prepare();
  net::Awaitable<Result<void>> submit(mail::Envelope envelope, std::string message);
  // The same, for whoever wants to know what becomes of the record.
  net::Awaitable<Result<spool::Position>> submit_at(mail::Envelope envelope, std::string message);
  net::Awaitable<Result<void>> submit_large(mail::Envelope envelope, spool::LargeMessage file);
  // All of them at once, so that they share syncs; the answers are in their order.
  net::Awaitable<std::vector<Result<void>>> submit_all(std::vector<std::pair<mail::Envelope, std::string>> messages);
  // The first half of it: the record is on stable storage and pending; nobody works on it before its verdict has been noted
  // (spool/verdict_marker.h).
  net::Awaitable<Result<spool::Position>> append_pending(mail::Envelope envelope, std::string message);
  net::Awaitable<Result<spool::Position>> append_pending_large(mail::Envelope envelope, spool::LargeMessage file);
  // The second half: the record counts. It is counted and the delivery is told. An error is handed through.
  net::Awaitable<Result<void>> conclude(Result<spool::Position> position);
  // A message is being received until what is returned is gone: while there are many, records wait a moment for each other
  // (spool.commit_delay). It may outlive the submitter.
  [[nodiscard]] std::shared_ptr<void> message_begins();
  // Whether a message would be taken now (JournalWriter::room()).
  Result<void> room();
  // Waits until everything under way has been answered.
  void finish();

  [[nodiscard]] spool::SharedState& state() { return state_; }
  // Descriptor of the journal's directory (for the incoming one: the spool directory), owned here.
  [[nodiscard]] int spool_directory() const { return spool_.get(); }

 private:
  Submitter(base::Descriptor spool, base::Descriptor notices, spool::SharedState state, spool::JournalSettings settings, unsigned child)
      : spool_(std::move(spool)), notices_(std::move(notices)), state_(std::move(state)), settings_(settings), child_(child) {}
  // The caller waits for them in the same breath and keeps what they refer to; the text is taken out of it.
  net::Awaitable<Result<spool::Position>> append(const mail::Envelope& envelope, std::string& message, bool pending);
  net::Awaitable<Result<spool::Position>> append_large(const mail::Envelope& envelope, spool::LargeMessage& file, bool pending);
  void announce();

  base::Descriptor spool_, notices_;
  spool::SharedState state_;
  spool::JournalSettings settings_;
  unsigned child_;
  std::shared_ptr<std::size_t> under_way_ = std::make_shared<std::size_t>(0);
  std::vector<spool::Position> to_announce_;
  std::unique_ptr<spool::JournalWriter> writer_;
};

}  // namespace postern::roles
