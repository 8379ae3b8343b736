// SPDX-License-Identifier: Apache-2.0
#pragma once
// What becomes of the messages in spool/conversion: each goes through the converter, for every set of recipients with the same channel and the same
// conversion tags once, and on into the incoming journal, whence delivery takes it to its filters.
//
// What comes of it is on stable storage before the entry goes, under an id that is derived from the message's and its recipients where the text is
// another one, so that a crash in between means the same conversion once more and not another message. Recipients that are done are taken out of the entry
// when others of it must wait.
//
// An entry is worked on under its claim (spool/deferred.h), and before that put off by the schedule's first wait: so a message that ends the process
// again and again does not keep the others from their turn, and is given up like any other when its time is over.
//
// Failure: logged; the entry stays. An entry that can't be read is set aside in spool/corrupt.
#include "conversion/converter.h"
#include "mail/envelope.h"
#include "net/asio.h"
#include "queue/notification.h"
#include "queue/retry_schedule.h"
#include "spool/deferred.h"

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::conversion {

struct ChannelSettings {
  queue::RetrySchedule retry;
  unsigned at_once = 2;     // messages, each with one program at a time
  std::string postmaster;   // who gets what STATUS=FORCEPOST says
};

// All must outlive it.
struct ChannelParts {
  net::asio::io_context& io;
  spool::Deferred& waiting;
  Converter& converter;
  queue::Notifier& notifier;
  // Puts a message into the incoming journal (durable on return) and tells the delivery children.
  std::function<net::Awaitable<Result<void>>(mail::Envelope, std::string)> submit;
  // The final recipients of an address (policy::resolve()).
  std::function<net::Awaitable<Result<std::vector<mail::Recipient>>>(std::string)> resolve;
  // Puts a message into spool/held, durably.
  std::function<Result<void>(const mail::Envelope&, std::string_view)> hold;
  // A message has come to its end: there is room for another one.
  std::function<void()> wake;
};

class Channel {
 public:
  Channel(ChannelParts parts, ChannelSettings settings) : parts_(std::move(parts)), settings_(std::move(settings)) {}
  void set_settings(ChannelSettings settings) { settings_ = std::move(settings); }

  // Looks through all entries: at start, and when what came and went meanwhile is not known.
  Result<void> scan();
  // A file of this name has come, or has gone.
  void appeared(const std::string& name);
  void disappeared(const std::string& name);

  // Begins with what is due, as far as there is room. Returns how long to wait for the next one, at most kLongestWait.
  std::chrono::milliseconds run();
  [[nodiscard]] std::size_t under_way() const { return under_way_.size(); }
  // All that it knows of, whoever works on it: what is under way here stands among the waiting ones under its next time.
  [[nodiscard]] std::size_t size() const { return waiting_.size(); }
  static constexpr std::chrono::milliseconds kLongestWait{5000};

 private:
  using Groups = std::map<std::pair<std::string, std::vector<std::string>>, std::vector<mail::Recipient>>;
  net::Awaitable<void> handle(spool::DeferredEntry entry);
  net::Awaitable<void> work_on(spool::DeferredEntry entry);
  // What was ordered about it while its programs ran (spool/deferred.h) is done now. False: nothing was.
  net::Awaitable<bool> carry_out_order(const spool::DeferredEntry& entry, const mail::Envelope& envelope, const std::string& message);
  // For recipients of one group; an error: they must wait.
  net::Awaitable<Result<void>> convert(const mail::Envelope& envelope, const std::string& message, std::vector<mail::Recipient> recipients, const std::vector<std::string>& tags);
  net::Awaitable<Result<void>> conclude(mail::Envelope envelope, const std::string& message, Outcome outcome);
  void later(const spool::DeferredEntry& entry, std::chrono::seconds wait);
  void failed_to_read(const spool::DeferredEntry& entry, const Error& error);
  void removed(const spool::DeferredEntry& entry, Result<void> outcome);

  ChannelParts parts_;
  ChannelSettings settings_;
  std::map<std::pair<base::WallTime, std::string>, spool::DeferredEntry> waiting_;  // by time and name
  std::set<std::string> under_way_;  // names
};

}  // namespace postern::conversion
