// SPDX-License-Identifier: Apache-2.0
#pragma once
// Takes records of the outgoing journal to their end: sends them to the hosts of their destinations, puts off what fails for now, tells
// the sender of what fails for good, marks the record.
//
// A destination is a route and, by MX, a domain. It has messages that wait and connections that take them one after the other; an open
// connection waits a moment for the next message before it is closed. How many connections it may have grows with its successes and
// falls with failures; a destination that can't be reached is left alone for a while, and what waits for it is put off. Connections that are being
// made to destinations that failed before are half of all at most, those to destinations that have not answered yet `connections_unknown`, so
// that any number of dead or silent ones leaves room for the living. Messages of higher priority (RFC 6710) come first at each destination.
//
// A record is claimed when its first part is sent. One that a dead child had claimed is worked on alone, for a second: then others go on
// beside it. After `attempts_alone` such deaths it is put off for a day. A crash between a host's answer and the note of it sends the
// message again: a duplicate is better than a loss.
//
// Failure: none to the caller; all trouble is logged with the message's id. Limits: RelayerSettings. One thread.
#include "net/asio.h"

#include "mail/delivery_status.h"
#include "net/blocking_work.h"
#include "queue/retry_schedule.h"
#include "relay/connection.h"
#include "spool/journal.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace postern::relay {

struct RelayerSettings {
  unsigned child = 0;
  unsigned connections = 500, connections_per_destination = 20, connections_unknown = 250, messages_per_connection = 100;
  unsigned waiting_messages = 10000;
  std::uint64_t waiting_bytes = 64 * 1024 * 1024;
  unsigned attempts_alone = 3;
  unsigned received_fields = 50;
  std::uint64_t return_bytes = 100 * 1024;  // a larger message comes back as its header
  std::chrono::milliseconds idle_time{2000};
  std::chrono::seconds dead_time{60}, dead_time_most{1800};
  queue::RetrySchedule schedule;
  Routes routes;
  Route mail_host_route;  // for hosts of accounts whose mailbox is elsewhere; the host is the recipient's
};
RelayerSettings relayer_settings(const conf::Configuration& configuration, unsigned child);

// What it works with; all must outlive it.
struct RelayerParts {
  net::asio::io_context& io;
  spool::JournalReader& reader;
  spool::SharedState& state;
  spool::Deferred& deferred;
  // Of a target; Connector::connect().
  std::function<net::Awaitable<Connected>(Target)> connect;
  // queue::Notifier::tell().
  std::function<net::Awaitable<Result<void>>(mail::Envelope, std::string_view, std::vector<mail::RecipientStatus>, std::uint64_t)> tell;
};

class Relayer {
 public:
  Relayer(RelayerParts parts, RelayerSettings settings);
  ~Relayer();

  // How many more records it would look after.
  [[nodiscard]] std::size_t room() const;
  // Looks after these records, as far as it does not already.
  void take(const std::vector<spool::Position>& positions);
  // To be called now and then: forgets destinations that nothing is known of, tries marks again that could not be written.
  void upkeep();
  // Begins nothing new; calls `done` when what is under way has come to its end.
  void finish(std::function<void()> done);

  struct Counters {
    std::uint64_t sent = 0, deferred = 0, failed = 0, unanswered = 0;  // recipients; unanswered: messages
    std::uint64_t put_back = 0;  // records left for another attempt
    std::uint64_t loops = 0;     // messages that were on their way for too long
    std::size_t connections = 0, destinations = 0;
  };
  [[nodiscard]] Counters counters() const;

 private:
  struct Job;
  struct Part;
  struct Destination;
  struct Idle;
  enum class Started { yes, abandoned };

  Destination& destination_for(const mail::Recipient& recipient, TlsWish tls);
  bool distribute(const std::shared_ptr<Job>& job);
  Started start(Job& job);
  void look_for_loops(Job& job, std::string_view message);
  bool read_text(Job& job);
  void forget(Job& job);

  // Gives destinations that have messages waiting a connection, as far as there is room.
  void want(Destination& destination);
  void line_up(Destination& destination);
  // Which connections a destination may have is a matter of what is known of it.
  enum class Known : std::uint8_t { answers, nothing, failed };
  struct Row {
    std::deque<Destination*> destinations;  // that want a connection
    std::size_t connecting = 0;             // connections that are being made
  };
  [[nodiscard]] static Known known_of(const Destination& destination);
  [[nodiscard]] bool has_room(Known known) const;
  Destination& take_from(Known known);
  void wait_in_line(Destination& destination, Part part, bool first);
  void dispatch();
  [[nodiscard]] bool may_be_sent(const Part& part) const;
  [[nodiscard]] bool wants_connection(const Destination& destination) const;
  std::optional<Part> next(Destination& destination);
  net::Awaitable<void> serve(Destination& destination, Known known);
  net::Awaitable<void> use(Destination& destination, Connection& connection);
  net::Awaitable<bool> wait_for_next(Destination& destination);
  net::Awaitable<void> transact(Destination& destination, Connection& connection, Part part, bool first);
  void could_not_connect(Destination& destination, const Connected& connected);
  void fail_waiting(Destination& destination, const Failure& failure, const std::string& host);
  void fail(Part& part, const Failure& failure, const std::string& host);
  void part_is_done(const std::shared_ptr<Job>& job);

  net::Awaitable<void> conclude(std::shared_ptr<Job> job);
  net::Awaitable<bool> put_off(Job& job, mail::Envelope envelope, base::WallTime next);
  net::Awaitable<void> drop_earlier(mail::Envelope done, base::WallTime death);
  void concluded();
  void finished(const spool::Position& position);
  void mark_finished();
  void next_alone();
  void watch_alone(const std::shared_ptr<Job>& job);
  void check_finished();

  RelayerParts parts_;
  RelayerSettings settings_;
  net::BlockingWork disk_;
  std::map<std::string, std::unique_ptr<Destination>> destinations_;
  std::unordered_set<spool::Position> known_;
  Row rows_[3];          // by Known
  std::size_t turn_ = 0;
  bool newest_ = false;  // of those that nothing is known of the last one has its turn
  std::list<Idle*> idle_;
  std::deque<spool::Position> alone_;          // suspects, to be worked on one at a time
  bool alone_under_way_ = false;
  std::size_t no_longer_alone_ = 0;            // claimed suspects that have had the process to themselves for long enough
  net::asio::steady_timer alone_time_;
  std::vector<spool::Position> to_mark_, unmarked_;
  std::uint64_t held_bytes_ = 0;
  std::size_t connections_ = 0, claimed_ = 0, concluding_ = 0;
  Counters counters_;
  std::chrono::steady_clock::time_point next_look_{};  // at destinations that could be forgotten
  bool finishing_ = false;
  std::function<void()> done_;
};

}  // namespace postern::relay
