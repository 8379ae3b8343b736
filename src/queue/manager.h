// SPDX-License-Identifier: Apache-2.0
#pragma once
// What becomes of deferred messages (doc/design/queue.md): put back into a journal when their time has come, returned to their sender
// when it is over, with a word to him in between.
//
// A message goes back into the incoming journal (mailboxes, and whatever no filter has seen yet) and into the outgoing one (recipients of other
// hosts that were tried before). The new record, or the notice, is on stable storage before the deferred file goes; a crash in between
// leaves both, and the store recognises by the message's id what it already has.
//
// Whatever this child does with an entry it does under its claim (spool/deferred.h). How an attempt went it sees from the disk alone: the record is
// finished, and there is a new entry for the same message or there is none. What a queue before this one had handed on when it died is found in the
// outgoing journal at the first scan (has_gone), and not sent again.
//
// The clock may be set back. An entry whose next attempt is further ahead than any that would be planned now, and that nobody wanted held so long, is tried at
// once, and a message that came in the future begins its life then.
//
// Failure: logged; the entry stays and is looked at again. What was done with it is not done again, only its removal is tried again, as long as this
// child lives. An entry that can't be read is set aside in spool/corrupt.
#include "net/asio.h"

#include "queue/notification.h"
#include "queue/retry_schedule.h"
#include "queue/waiting.h"
#include "spool/deferred.h"
#include "spool/position.h"

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace postern::queue {

struct ManagerSettings {
  RetrySchedule hosts, mailboxes;
  WaitingLimits limits;
};
ManagerSettings manager_settings(const conf::Configuration& configuration);

struct ManagerParts {
  spool::Deferred& deferred;
  Notifier& notifier;
  // Put a message into the incoming or outgoing journal (durable on return) and tell the children that work on it.
  std::function<net::Awaitable<Result<void>>(mail::Envelope, std::string)> deliver;
  std::function<net::Awaitable<Result<spool::Position>>(mail::Envelope, std::string)> send;
  // Takes those out whose records in the outgoing journal are finished.
  std::function<void(std::vector<spool::Position>&)> drop_finished;
  // Reports what has appeared and disappeared among the entries until now, by appeared() and disappeared().
  std::function<void()> catch_up;
  // Whether mail to this channel goes on to other hosts.
  std::function<bool(const std::string&)> is_sent_on;
  // Puts a message among the held ones, durable on return.
  std::function<Result<void>(const mail::Envelope&, std::string_view)> hold;
  // Whether the outgoing journal may have a record of the message with this id; whether it has one for this recipient at this attempt.
  std::function<bool(const std::string&)> may_have_gone;
  std::function<bool(const mail::Envelope&, const mail::Recipient&)> has_gone;
  std::function<base::WallTime()> now = base::wall_now;
};

class Manager {
 public:
  // What `parts` names must outlive it.
  Manager(ManagerParts parts, ManagerSettings settings) : parts_(std::move(parts)), settings_(settings), waiting_(settings.hosts, settings.limits) {}
  void set_settings(ManagerSettings settings);

  // Looks through all entries: at start, and when what came and went meanwhile is not known.
  Result<void> scan();
  // A file of this name has come, or has gone. Names that are no entries are orders (order_name()) or mean nothing.
  void appeared(const std::string& name);
  void disappeared(const std::string& name);

  // A portion of what is to be done now. Returns how long to wait for the next one, at most kLongestWait.
  net::Awaitable<std::chrono::milliseconds> run();

  [[nodiscard]] const Waiting& waiting() const { return waiting_; }
  static constexpr std::chrono::milliseconds kLongestWait{5000};

 private:
  struct UnderWay {
    std::optional<spool::Position> record;
  };
  using Attempt = std::pair<std::string, std::uint32_t>;  // message and destination

  void check_finished();
  net::Awaitable<void> handle(Waiting::Next next);
  net::Awaitable<void> look_at(const spool::DeferredEntry& entry);
  // The attempt: true if a record of the outgoing journal is under way now.
  net::Awaitable<bool> attempt(spool::DeferredEntry entry);
  net::Awaitable<void> merge(std::string id, std::uint32_t destination);
  // What was ordered about it while it was being tried (spool/deferred.h) is done now. False: nothing was.
  net::Awaitable<bool> carry_out_order(const spool::DeferredEntry& entry);
  void order_given(const std::string& id);
  // Takes the recipients out to whom a queue before this one has sent it.
  void drop_what_has_gone(const spool::DeferredEntry& entry);
  // Tells the senders that the message is given up, and forgets it.
  net::Awaitable<void> give_up(spool::DeferredEntry entry, spool::Deferred::Message message, const char* status, std::string why);
  [[nodiscard]] const RetrySchedule& schedule_of(const mail::Envelope& envelope) const;
  // Whether relay had the recipient before: anything else may not have met the filters yet.
  [[nodiscard]] bool goes_out(const mail::Recipient& recipient) const;
  // Looks at the entry again after `wait`; its name stays.
  void later(spool::DeferredEntry entry, std::chrono::seconds wait);
  // Adds it to those that wait, at its time.
  void add(spool::DeferredEntry entry);
  // Whether nothing but its removal is left to do, which is tried again then.
  bool was_done_with(const spool::DeferredEntry& entry);
  // Tells the sender of the delay, once for an entry.
  net::Awaitable<Result<void>> tell_delay(const spool::DeferredEntry& entry, spool::Deferred::Message& message);
  // The claim, or the entry is put off or forgotten.
  std::optional<spool::Deferred::Claim> claim(const spool::DeferredEntry& entry);
  void failed_to_read(const spool::DeferredEntry& entry, const Error& error);
  void removed(const spool::DeferredEntry& entry, Result<void> outcome);

  ManagerParts parts_;
  ManagerSettings settings_;
  Waiting waiting_;
  std::map<Attempt, UnderWay> under_way_;
  std::vector<Attempt> to_merge_;
  std::set<std::string> ordered_;   // ids about which there is an order
  std::set<std::string> done_with_, told_;  // names of entries that are still there; of those whose sender knows that it takes longer
  base::WallTime last_run_{};
  std::set<std::string> sent_out_;  // names of entries that relay has its part of, and that could not be written anew without it
  bool scanned_ = false;
};

// A file of this name in the directory of entries asks that everything for a destination is tried now (ETRN, posternctl queue flush).
std::string order_name(std::uint32_t destination);
std::optional<std::uint32_t> order_of(std::string_view name);

}  // namespace postern::queue
