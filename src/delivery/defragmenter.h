// SPDX-License-Identifier: Apache-2.0
#pragma once
// Channel defragment (access-control.md 3.1): pieces of messages (mail/partial.h) wait in spool/defragment, in the form of deferred messages, until all of them are
// there; what they make goes into the incoming journal in their place. Pieces belong together if they have the same id, reverse-path, recipients, source channel and
// login, and SPF and DMARC said the same of their senders: so that nobody brings a piece into somebody else's message. Without a reverse-path nobody knows who sent it,
// and it is no piece.
//
// Pieces whose message does not become complete within the wait, or is over a limit, go on as they are. Whatever has been through here is marked so
// (mail::Envelope::defragmented) and does not come again.
//
// All delivery children work on the same directory, each piece under its claim (spool/deferred.h). A piece counts when its record is marked as finished, which it names:
// until then its record may be worked on again, and would bring it here once more when its message has gone. What was put together is an entry of its own, durable
// before its pieces go, which it names; it is submitted after that, and goes when it is in the journal. So whatever ends a process in between, the next look finishes
// what was begun; what is submitted twice has the same id and is recognised by who delivers it (spool::SharedState::suspicious()).
//
// Failure: logged, and tried again at the next look. A piece that can't be read is set aside in spool/corrupt. Limits: those of the settings; all pieces of one message,
// and what they make, are in memory at once.
#include "mail/partial.h"
#include "net/asio.h"
#include "spool/deferred.h"
#include "spool/position.h"

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::delivery {

struct DefragmenterSettings {
  std::chrono::seconds wait_time{172800};
  std::size_t messages = 100, pieces = 100;
  std::uint64_t message_bytes = 50 * 1024 * 1024;
};

// All must outlive it.
struct DefragmenterParts {
  net::asio::io_context& io;
  spool::Deferred& waiting;
  spool::Deferred& deferred;  // where the queue child finds what the administrator gives back to its sender
  // Puts a message into the incoming journal (durable on return) and tells the delivery children.
  std::function<net::Awaitable<Result<void>>(mail::Envelope, std::string)> submit;
  // From now on nobody takes what came in before for a first attempt (spool::SharedState::note_death()).
  std::function<void()> note_death;
  // Whether all these records of that journal are marked as finished, by whomever.
  std::function<bool(std::vector<spool::Position>)> finished;
};

class Defragmenter {
 public:
  Defragmenter(DefragmenterParts parts, DefragmenterSettings settings) : parts_(std::move(parts)), settings_(settings), wake_(parts_.io) {}
  void set_settings(DefragmenterSettings settings) { settings_ = settings; }

  // What the message is a piece of, if it is one that may wait here.
  [[nodiscard]] std::optional<mail::Piece> piece(const mail::Envelope& envelope, std::string_view message) const;
  // Durable on return. `record`: where it stood in the journal; arrived() is for when that is marked. `death`: as of spool::Deferred::put().
  Result<void> put(mail::Envelope envelope, const mail::Piece& piece, const spool::Position& record, const spool::MessageText& message, std::optional<base::WallTime> death);
  // Something has come to the directory, or an entry of it has another time.
  void arrived();

  // Looks after what waits until finish(): at once, when something has arrived, and from time to time, since other children may leave something behind.
  net::Awaitable<void> run();
  // The message under way is brought to its end, no other one is begun, and run() returns.
  void finish();
  // One look. Returns how long to wait for the next one.
  net::Awaitable<std::chrono::milliseconds> look();

 private:
  struct Known {
    spool::DeferredEntry entry;
    std::string message;    // which message it is a piece of
    std::optional<spool::Position> record;  // that it came with
    unsigned number = 0, total = 0;
    std::uint64_t bytes = 0;
    base::WallTime received{};
    bool joined = false;    // it is what was put together
  };
  using Set = std::vector<const Known*>;
  Result<void> refresh();
  std::optional<Known> read(const spool::DeferredEntry& entry);
  // The pieces that make the message, from the first on; none: it is not complete.
  [[nodiscard]] Set complete(const Set& set) const;
  [[nodiscard]] bool over_limit(const Set& set) const;
  // Whether no record will bring one of them here once more.
  [[nodiscard]] bool settled(const Set& set) const;
  net::Awaitable<bool> join(Set set);
  net::Awaitable<bool> finish_joined(spool::DeferredEntry joined, bool fresh);
  net::Awaitable<bool> give_up(spool::DeferredEntry piece, std::string reason);
  // Puts it into the journal, or where the queue child gives it back, and takes the entry away.
  net::Awaitable<bool> send_on(spool::DeferredEntry entry, spool::Deferred::Message message);
  void failed_to_read(const spool::DeferredEntry& entry, const Error& error);

  DefragmenterParts parts_;
  DefragmenterSettings settings_;
  net::asio::steady_timer wake_;
  bool arrived_ = false, finishing_ = false;
  std::map<std::string, Known> known_;  // by name of the entry
};

}  // namespace postern::delivery
