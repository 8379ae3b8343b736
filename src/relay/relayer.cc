// SPDX-License-Identifier: Apache-2.0
#include "relay/relayer.h"

#include "base/log.h"
#include "base/text.h"
#include "mail/message.h"
#include "mail/received.h"
#include "net/run_for_life.h"

#include <algorithm>
#include <mutex>

namespace postern::relay {
namespace {

namespace asio = net::asio;
using base::Severity;
using net::Awaitable;
using std::chrono::steady_clock;

// A destination begins with so many connections.
constexpr double kFirstConnections = 5;
// A message that ended its process again and again waits so long.
constexpr std::chrono::hours kPoisonWait{24};
// Putting off a message is a few syncs; so many share them.
constexpr unsigned kDiskThreads = 4;
constexpr std::chrono::seconds kDiskPatience{120};
// How long a connection whose TLS failed is tried without it.
constexpr std::chrono::minutes kWithoutTls{10};
constexpr std::chrono::seconds kDiskRetry{5};
// What was deferred when somebody died is kept in mind until nobody has asked for it for so long.
constexpr std::chrono::seconds kEarlierKept{60};
// A larger text is read from its file in pieces while it is sent, so that each connection needs little more memory than this.
constexpr std::uint64_t kMostInMemory = 128 * 1024;
// So much of a text is looked through for Received fields.
constexpr std::size_t kMostHeaderBytes = 256 * 1024;
// A destination is known to answer for so long after its last connection.
constexpr std::chrono::minutes kRemembered{10};
constexpr std::size_t kMostRemembered = 20000;
// A suspect has the process to itself for so long. What ends a process does so when the host's answers are read; a host that gives none
// must not hold up everybody's mail.
constexpr std::chrono::seconds kAloneTime{1};
// So many records may wait for the disk to note what became of them before others have their turn: whatever was sent and is not noted is sent
// again after a crash.
constexpr std::size_t kConcludedAtOnce = 32;

// The address here from which the recipient's mail was forwarded: by an alias, a group, an account. Empty: it is for whom the client named.
std::string_view forwarded_from(const mail::Recipient& recipient) {
  if (recipient.original.find('@') == std::string::npos || base::equal_ignoring_case(recipient.original, recipient.address)) return {};
  return recipient.original;
}

std::string domain_of(const std::string& address) { return base::lower(std::string_view(address).substr(address.rfind('@') + 1)); }

}  // namespace

struct Relayer::Job {
  spool::Position position;
  std::optional<spool::Record> record;  // empty: its text is read again when its turn comes
  base::WallTime received{};
  int priority = 0;
  std::size_t parts_left = 0;
  bool claimed = false, abandoned = false, alone = false, no_longer_alone = false, poison = false;
  std::optional<base::WallTime> death;  // of somebody who may have put it off before
  std::uint64_t held_bytes = 0, bytes = 0;
  // What became of each recipient; `taken` and a failure are both empty while nobody has tried.
  struct Outcome {
    bool done = false, taken = false, passed_on = false;  // passed_on: the next host knows DSN
    bool keeps_time = false;                              // the next host knows DELIVERBY, or is the last one
    Failure failure;
    std::string reply, host;
  };
  std::vector<Outcome> outcomes;
};

struct Relayer::Part {
  std::shared_ptr<Job> job;
  std::vector<std::size_t> recipients;
};

struct Relayer::Destination {
  std::string key;
  Target target;
  std::deque<Part> waiting;
  std::size_t workers = 0, connecting = 0;
  std::size_t woken = 0;  // idle connections that are about to look for a message
  double window = kFirstConnections;
  unsigned most = 20;
  unsigned failures = 0;  // connections in a row that did not come about
  steady_clock::time_point dead_until{}, without_tls_until{};
  Failure last_failure;
  std::string last_host;
  bool queued = false;    // in one of the rows
  bool answered = false;  // it has greeted us since it is known
  steady_clock::time_point used{};
};

// A connection that waits for the next message.
struct Relayer::Idle {
  Destination& destination;
  asio::steady_timer timer;
  bool close = false, woken = false;
};

RelayerSettings relayer_settings(const conf::Configuration& configuration, unsigned child) {
  const conf::Relay& relay = configuration.relay;
  RelayerSettings settings;
  settings.child = child;
  settings.connections = relay.connections;
  settings.connections_per_destination = relay.connections_per_destination;
  settings.connections_unknown = relay.connections_unknown;
  settings.messages_per_connection = relay.messages_per_connection;
  settings.waiting_messages = relay.waiting_messages;
  settings.waiting_bytes = relay.waiting_bytes;
  settings.attempts_alone = relay.attempts_alone;
  settings.received_fields = configuration.smtp.received_fields;
  settings.return_bytes = configuration.queue.return_bytes;
  settings.idle_time = relay.idle_time;
  settings.dead_time = relay.dead_time;
  settings.dead_time_most = relay.dead_time_most;
  settings.schedule = queue::schedule_for_hosts(configuration);
  std::vector<conf::Mistake> checked_already;
  settings.routes = Routes::parse(configuration, checked_already);
  settings.mail_host_route.by_mx = false;
  settings.mail_host_route.mail_host = true;
  settings.mail_host_route.lmtp = relay.mail_host_protocol == conf::Relay::MailHostProtocol::lmtp;
  settings.mail_host_route.port = relay.mail_host_port;
  settings.mail_host_route.tls = relay.tls;
  return settings;
}

Relayer::Relayer(RelayerParts parts, RelayerSettings settings)
    : parts_(std::move(parts)), settings_(std::move(settings)), disk_(parts_.io, kDiskThreads, 1000000), alone_time_(parts_.io) {}

Relayer::~Relayer() = default;

Relayer::Counters Relayer::counters() const {
  Counters counters = counters_;
  counters.connections = connections_;
  counters.destinations = destinations_.size();
  return counters;
}

std::size_t Relayer::room() const {
  if (finishing_ || !alone_.empty() || alone_under_way_) return 0;
  return settings_.waiting_messages - std::min<std::size_t>(settings_.waiting_messages, known_.size());
}

// ---- records come in

void Relayer::take(const std::vector<spool::Position>& positions) {
  for (const spool::Position& position : positions) {
    if (finishing_ || known_.size() >= settings_.waiting_messages || !known_.insert(position).second) continue;
    auto job = std::make_shared<Job>();
    job->position = position;
    if (!distribute(job)) known_.erase(position);
  }
  dispatch();
}

bool Relayer::read_text(Job& job) {
  if (job.record) return true;
  auto record = parts_.reader.read(job.position, kMostInMemory);
  if (!record) {
    // Gone: it was finished. Corrupt: the scan sets it aside. Anything else: later.
    if (record.error().kind != Kind::not_found)
      base::log_event(Severity::error, "record-not-read", {{"record", spool::to_string(job.position)}, {"reason", record.error().what}});
    return false;
  }
  job.record.emplace(std::move(*record));
  job.held_bytes = job.record->message().size();
  job.bytes = job.record->text().size();
  held_bytes_ += job.held_bytes;
  return true;
}

namespace {

// A header that can't be read now wishes for nothing: what the domains want holds.
TlsWish wish_of(const spool::Record& record) {
  const spool::MessageText text = record.text();
  if (text.in_memory()) return tls_wish(record.envelope, text.whole());
  const auto beginning = text.beginning(kMostHeaderBytes);
  return tls_wish(record.envelope, beginning ? std::string_view(*beginning) : std::string_view());
}

}  // namespace

// Reads the record and puts its recipients beside those that go the same way. False: there is nothing to do, or not now.
bool Relayer::distribute(const std::shared_ptr<Job>& job) {
  if (!read_text(*job)) return false;
  const mail::Envelope& envelope = job->record->envelope;
  job->received = envelope.received;
  job->priority = envelope.priority;
  job->outcomes.resize(envelope.recipients.size());
  std::map<Destination*, std::vector<Part>> parts;
  const TlsWish tls = wish_of(*job->record);
  for (std::size_t index = 0; index < envelope.recipients.size(); ++index) {
    auto& theirs = parts[&destination_for(envelope.recipients[index], tls)];
    // Those who share a text: nobody learns by which address another one is reached.
    const auto fits = std::find_if(theirs.rbegin(), theirs.rend(), [&](const Part& part) {
      return part.recipients.size() < kRecipientsAtOnce && forwarded_from(envelope.recipients[part.recipients.front()]) == forwarded_from(envelope.recipients[index]);
    });
    if (fits != theirs.rend()) fits->recipients.push_back(index);
    else theirs.push_back({job, {index}});
  }
  if (parts.empty()) {
    job->parts_left = 1;
    if (start(*job) == Started::yes) part_is_done(job);
    return true;
  }
  for (const auto& [destination, theirs] : parts) job->parts_left += theirs.size();
  if (held_bytes_ > settings_.waiting_bytes && !job->alone) {
    held_bytes_ -= std::exchange(job->held_bytes, 0);
    job->record.reset();
  }
  for (auto& [destination, theirs] : parts)
    for (Part& part : theirs) wait_in_line(*destination, std::move(part), job->alone);
  for (auto& [destination, theirs] : parts) want(*destination);
  return true;
}

Relayer::Destination& Relayer::destination_for(const mail::Recipient& recipient, TlsWish tls) {
  std::string domain = domain_of(recipient.address);
  Route mail_host;
  if (!recipient.next_host.empty()) {
    mail_host = settings_.mail_host_route;
    mail_host.name = "mail-host " + recipient.next_host;
    mail_host.host = recipient.next_host;
  }
  const Route& route = mail_host.mail_host ? mail_host : settings_.routes.find(recipient.destination_channel, domain);
  // Mail of many domains for one smart host shares its connections.
  std::string key = route.name;
  if (route.by_mx && route.host.empty()) (key += ' ') += domain;
  // Connections for other messages may not do for these, and the other way round.
  if (tls == TlsWish::required) key += " REQUIRETLS";
  if (tls == TlsWish::not_required) key += " TLS-Required:No";
  auto& known = destinations_[key];
  if (!known) {
    known = std::make_unique<Destination>();
    known->key = std::move(key);
    known->target = {route.by_mx && route.host.empty() ? std::move(domain) : route.host, route, tls, false};
    known->most = route.connections.value_or(settings_.connections_per_destination);
  }
  return *known;
}

// Claims the job's record before anything of it is sent. Abandoned: somebody else has it, it is finished, or it must be worked on alone.
Relayer::Started Relayer::start(Job& job) {
  if (job.abandoned) return Started::abandoned;
  if (job.claimed) return Started::yes;
  const auto abandon = [&] {
    job.abandoned = true;
    forget(job);
    return Started::abandoned;
  };
  const spool::Claim claim = parts_.state.claim(job.position, settings_.child);
  if (!claim.granted) return abandon();
  // Asked under the claim: whoever had it before may have finished meanwhile.
  std::vector<spool::Position> open{job.position};
  parts_.reader.drop_finished(open);
  if (open.empty()) {
    parts_.state.release(job.position, settings_.child);
    return abandon();
  }
  if (claim.must_be_alone && !job.alone) {
    parts_.state.put_back(job.position, settings_.child);
    alone_.push_back(job.position);
    return abandon();
  }
  if (!read_text(job)) {
    parts_.state.put_back(job.position, settings_.child);
    ++counters_.put_back;
    return abandon();
  }
  job.claimed = true;
  ++claimed_;
  const mail::Envelope& envelope = job.record->envelope;
  if (claim.must_be_alone || parts_.state.suspicious(envelope.received)) job.death = parts_.state.last_death();
  if (job.alone) {
    if (claim.attempts >= settings_.attempts_alone) {
      job.poison = true;
      base::log_event(Severity::error, "relay-poison", {{"id", envelope.id}, {"deaths", claim.attempts}});
      for (auto& outcome : job.outcomes) {
        outcome.done = true;
        outcome.failure = temporary_failure("4.3.0", "this message ended the process that sent it " + std::to_string(claim.attempts) + " times");
      }
    } else {
      parts_.state.work_alone(job.position, settings_.child);
    }
  }
  const spool::MessageText text = job.record->text();
  std::string beginning;
  if (!text.in_memory()) {
    auto begun = text.beginning(kMostHeaderBytes);
    if (begun) beginning = std::move(*begun);
    else
      for (auto& outcome : job.outcomes) {
        outcome.done = true;
        outcome.failure = temporary_failure("4.3.0", begun.error().what);
      }
  }
  look_for_loops(job, text.in_memory() ? text.whole() : std::string_view(beginning));
  return Started::yes;
}

// RFC 5321 section 6.3, and what others do about Delivered-To: a message that was forwarded from this address before goes round.
void Relayer::look_for_loops(Job& job, std::string_view message) {
  const mail::Envelope& envelope = job.record->envelope;
  if (mail::count_received_fields(message) > settings_.received_fields) {
    ++counters_.loops;
    for (auto& outcome : job.outcomes) {
      outcome.done = true;
      outcome.failure = permanent_failure("5.4.6", "the message has been on its way too long: it has more than " +
                                                       std::to_string(settings_.received_fields) + " Received fields");
    }
  }
  if (std::all_of(envelope.recipients.begin(), envelope.recipients.end(), [](const mail::Recipient& one) { return forwarded_from(one).empty(); })) return;
  const mail::MessageView view(message);
  std::vector<std::size_t> fields;
  view.find("Delivered-To", fields);
  for (std::size_t index = 0; index < job.outcomes.size() && !fields.empty(); ++index) {
    const std::string_view from = forwarded_from(envelope.recipients[index]);
    Job::Outcome& outcome = job.outcomes[index];
    if (outcome.done || from.empty() || std::none_of(fields.begin(), fields.end(), [&](std::size_t field) {
          return base::equal_ignoring_case(base::trim(view.value(field)), from);
        }))
      continue;
    ++counters_.loops;
    outcome.done = true;
    outcome.failure = permanent_failure("5.4.6", "the message goes round: it was forwarded from <" + std::string(from) + "> before");
  }
}

// Not for one whose record waits for its turn alone: that stays known, so that it is not taken twice.
void Relayer::forget(Job& job) {
  held_bytes_ -= std::exchange(job.held_bytes, 0);
  job.record.reset();
  if (std::find(alone_.begin(), alone_.end(), job.position) == alone_.end()) known_.erase(job.position);
  if (std::exchange(job.no_longer_alone, false)) --no_longer_alone_;
  const bool resumes = std::exchange(job.alone, false);
  if (resumes) {
    alone_under_way_ = false;
    alone_time_.cancel();
  }
  if (resumes || !alone_.empty()) asio::post(parts_.io, [this] { next_alone(); });
  check_finished();
}

// The next suspect, once nothing else is under way; behind the last one all goes on as usual.
void Relayer::next_alone() {
  while (!alone_.empty() && !alone_under_way_ && claimed_ == no_longer_alone_ && !finishing_) {
    alone_under_way_ = true;
    auto job = std::make_shared<Job>();
    job->position = alone_.front();
    job->alone = true;
    alone_.pop_front();
    if (distribute(job)) {
      if (start(*job) == Started::yes) {
        watch_alone(job);
        break;
      }
      continue;  // forget() was called
    }
    known_.erase(job->position);
    alone_under_way_ = false;
  }
  for (const auto& [key, destination] : destinations_) want(*destination);
  dispatch();
}

// Its attempt mark stays until it is finished: should it end the process later, it is counted all the same.
void Relayer::watch_alone(const std::shared_ptr<Job>& job) {
  alone_time_.expires_after(kAloneTime);
  alone_time_.async_wait([this, job](const boost::system::error_code& error) {
    if (error || !job->alone) return;
    job->alone = false;
    job->no_longer_alone = true;
    ++no_longer_alone_;
    alone_under_way_ = false;
    next_alone();
  });
}

// ---- connections

bool Relayer::may_be_sent(const Part& part) const {
  // While suspects wait, and at the end, only what was begun goes on.
  if (part.job->claimed || part.job->abandoned) return true;
  return alone_.empty() && !alone_under_way_ && !finishing_ && concluding_ < kConcludedAtOnce;
}

bool Relayer::wants_connection(const Destination& destination) const {
  if (destination.connecting + destination.woken >= destination.waiting.size()) return false;
  if (destination.workers >= std::min<std::size_t>(destination.most, static_cast<std::size_t>(destination.window))) return false;
  return std::any_of(destination.waiting.begin(), destination.waiting.end(), [this](const Part& part) { return may_be_sent(part); });
}

void Relayer::want(Destination& destination) {
  if (destination.waiting.empty()) return;
  if (steady_clock::now() < destination.dead_until) {
    fail_waiting(destination, destination.last_failure, destination.last_host);
    return;
  }
  for (Idle* const idle : idle_) {
    if (destination.connecting + destination.woken >= destination.waiting.size()) break;
    if (&idle->destination != &destination || idle->close || idle->woken) continue;
    idle->woken = true;
    ++destination.woken;
    idle->timer.cancel();
  }
  line_up(destination);
}

void Relayer::line_up(Destination& destination) {
  if (destination.queued || !wants_connection(destination)) return;
  destination.queued = true;
  rows_[static_cast<std::size_t>(known_of(destination))].destinations.push_back(&destination);
}

Relayer::Known Relayer::known_of(const Destination& destination) {
  if (destination.failures > 0) return Known::failed;
  return destination.answered ? Known::answers : Known::nothing;
}

bool Relayer::has_room(Known known) const {
  const Row& row = rows_[static_cast<std::size_t>(known)];
  if (row.destinations.empty()) return false;
  switch (known) {
    case Known::answers: return true;
    // Some are left to the others also where `connections` is small.
    case Known::nothing: return row.connecting < std::min<std::size_t>(settings_.connections_unknown, std::max(1U, settings_.connections - settings_.connections / 4));
    case Known::failed: return row.connecting < std::max<std::size_t>(1, settings_.connections / 2);
  }
  return false;
}

// Of those that nothing is known of also the last one: a host that answers need not wait until all silent ones before it have been tried.
Relayer::Destination& Relayer::take_from(Known known) {
  auto& row = rows_[static_cast<std::size_t>(known)].destinations;
  if (known == Known::nothing) newest_ = !newest_;
  const bool last = known == Known::nothing && newest_;
  Destination& destination = last ? *row.back() : *row.front();
  if (last) row.pop_back();
  else row.pop_front();
  destination.queued = false;
  return destination;
}

// Behind those of its priority (RFC 6710); what must be first, in front.
void Relayer::wait_in_line(Destination& destination, Part part, bool first) {
  auto& waiting = destination.waiting;
  auto place = first ? waiting.begin() : waiting.end();
  if (!first)
    while (place != waiting.begin() && std::prev(place)->job->priority < part.job->priority) --place;
  waiting.insert(place, std::move(part));
}

void Relayer::dispatch() {
  // In this order they have their turns, as long as their rows have somebody and room.
  static constexpr Known kTurns[] = {Known::answers, Known::nothing, Known::answers, Known::failed};
  for (std::size_t passed_over = 0; passed_over < std::size(kTurns);) {
    const Known known = kTurns[turn_ % std::size(kTurns)];
    if (!has_room(known)) {
      ++turn_;
      ++passed_over;
      continue;
    }
    if (connections_ >= settings_.connections) {
      // An open connection that has nothing to do makes room.
      const auto idle = std::find_if(idle_.begin(), idle_.end(), [](const Idle* one) { return !one->close && !one->woken; });
      if (idle == idle_.end()) return;
      (*idle)->close = true;
      (*idle)->timer.cancel();
      return;
    }
    ++turn_;
    passed_over = 0;
    Destination& destination = take_from(known);
    // It may be known better by now.
    if (known_of(destination) != known) {
      line_up(destination);
      continue;
    }
    if (!wants_connection(destination)) continue;
    ++destination.workers;
    ++destination.connecting;
    ++connections_;
    ++rows_[static_cast<std::size_t>(known)].connecting;
    destination.used = steady_clock::now();
    const auto ended = [this, &destination] {
      --destination.workers;
      --connections_;
      destination.used = steady_clock::now();
      want(destination);
      dispatch();
      check_finished();
    };
    asio::co_spawn(
        parts_.io, serve(destination, known), [ended](const std::exception_ptr& thrown) {
          // What was under way has no answer: its record must not be forgotten, and only the end of the process frees its claim.
          if (thrown) {
            base::log_event(Severity::critical, "role-failed", {{"reason", net::reason_of(thrown)}});
            std::_Exit(70);
          }
          ended();
        });
    // One at a time: others come first.
    line_up(destination);
  }
}

std::optional<Relayer::Part> Relayer::next(Destination& destination) {
  const auto found = std::find_if(destination.waiting.begin(), destination.waiting.end(), [this](const Part& part) { return may_be_sent(part); });
  if (found == destination.waiting.end()) return std::nullopt;
  Part part = std::move(*found);
  destination.waiting.erase(found);
  return part;
}

Awaitable<void> Relayer::serve(Destination& destination, Known known) {
  Target target = destination.target;
  target.without_tls = steady_clock::now() < destination.without_tls_until;
  Connected connected = co_await parts_.connect(std::move(target));
  --destination.connecting;
  --rows_[static_cast<std::size_t>(known)].connecting;
  if (!connected.connection) {
    could_not_connect(destination, connected);
    co_return;
  }
  destination.failures = 0;
  destination.answered = true;
  if (known != Known::answers) dispatch();
  if (connected.connection->tls_failed) destination.without_tls_until = steady_clock::now() + kWithoutTls;
  co_await use(destination, *connected.connection);
  co_await connected.connection->client->quit();
}

Awaitable<void> Relayer::use(Destination& destination, Connection& connection) {
  unsigned messages = 0;
  while (connection.client->usable() && messages < settings_.messages_per_connection) {
    std::optional<Part> part = next(destination);
    if (!part) {
      const bool more = co_await wait_for_next(destination);
      if (!more) co_return;
      continue;
    }
    ++messages;
    co_await transact(destination, connection, std::move(*part), messages == 1);
    if (connection.client->usable()) {
      // Room for one more as long as all goes well.
      destination.window = std::min<double>(destination.most, destination.window + 1);
      want(destination);
      dispatch();
    } else {
      destination.window = std::max(1.0, destination.window / 2);
    }
  }
}

Awaitable<bool> Relayer::wait_for_next(Destination& destination) {
  if (finishing_ || settings_.idle_time.count() == 0) co_return false;
  Idle idle{destination, asio::steady_timer(parts_.io, settings_.idle_time)};
  const auto place = idle_.insert(idle_.end(), &idle);
  boost::system::error_code woken;
  co_await idle.timer.async_wait(asio::redirect_error(net::use_awaitable, woken));
  idle_.erase(place);
  if (idle.woken) --destination.woken;
  co_return idle.woken && !finishing_;
}

void Relayer::could_not_connect(Destination& destination, const Connected& connected) {
  // Where others get through, the host only wants fewer of us.
  if (destination.workers > destination.connecting + 1) {
    destination.window = std::max(1.0, destination.window / 2);
    return;
  }
  destination.last_failure = connected.failure;
  destination.last_host = connected.host;
  destination.window = kFirstConnections;
  // Several that were under way together are one failure.
  if (!connected.failure.permanent && steady_clock::now() >= destination.dead_until) {
    const auto doubled = settings_.dead_time * (std::int64_t{1} << std::min(destination.failures, 20U));
    destination.dead_until = steady_clock::now() + std::min<std::chrono::seconds>(doubled, settings_.dead_time_most);
    ++destination.failures;
    base::log_event(Severity::notice, "relay-unreachable",
                    {{"destination", destination.key}, {"host", connected.host}, {"waiting", destination.waiting.size()},
                     {"failures", destination.failures}, {"status", connected.failure.status}, {"reason", connected.failure.diagnostic}});
  }
  fail_waiting(destination, connected.failure, connected.host);
}

void Relayer::fail_waiting(Destination& destination, const Failure& failure, const std::string& host) {
  while (auto part = next(destination)) fail(*part, failure, host);
}

void Relayer::fail(Part& part, const Failure& failure, const std::string& host) {
  if (start(*part.job) == Started::abandoned) return;
  for (const std::size_t index : part.recipients) {
    Job::Outcome& outcome = part.job->outcomes[index];
    if (outcome.done) continue;
    outcome.done = true;
    outcome.failure = failure;
    outcome.host = host;
  }
  part_is_done(part.job);
}

// ---- messages

Awaitable<void> Relayer::transact(Destination& destination, Connection& connection, Part part, bool first) {
  const std::shared_ptr<Job> job = part.job;
  if (start(*job) == Started::abandoned) co_return;
  const mail::Envelope& envelope = job->record->envelope;
  std::vector<std::size_t> asked;
  Transaction transaction{envelope, {}, job->record->text()};
  for (const std::size_t index : part.recipients)
    if (!job->outcomes[index].done) {
      asked.push_back(index);
      transaction.recipients.push_back(&envelope.recipients[index]);
    }
  if (asked.empty()) {
    part_is_done(job);
    co_return;
  }
  std::string fields;
  if (const std::string_view from = forwarded_from(envelope.recipients[asked.front()]); !from.empty()) fields += "Delivered-To: " + base::printable(from, 1000) + "\r\n";
  for (const std::string& field : envelope.added_header_fields) fields += base::printable(field, 2048) + "\r\n";
  transaction.added_fields = fields;
  const std::uint64_t bytes = fields.size() + job->bytes;
  const Answers answers = co_await connection.client->send(std::move(transaction));
  // A host that takes so many messages by one connection, or has waited long enough for this one: a new connection will do.
  if (answers.not_begun && !first) {
    wait_in_line(destination, std::move(part), true);
    co_return;
  }
  if (answers.unanswered) {
    ++counters_.unanswered;
    base::log_event(Severity::warning, "relay-unanswered", {{"id", envelope.id}, {"host", connection.host}, {"address", connection.address}});
  }
  const auto delay = std::chrono::duration_cast<std::chrono::milliseconds>(base::wall_now() - envelope.received);
  for (std::size_t i = 0; i < asked.size(); ++i) {
    Job::Outcome& outcome = job->outcomes[asked[i]];
    const Answer& answer = answers.recipients[i];
    outcome.done = true;
    outcome.taken = answer.taken;
    outcome.failure = answer.failure;
    outcome.reply = answer.reply;
    outcome.passed_on = connection.client->extensions().dsn;
    outcome.keeps_time = connection.client->extensions().deliver_by || destination.target.route.lmtp;
    outcome.host = answer.taken || answer.failure.replied ? connection.host : std::string();
    if (answer.taken && base::log_enabled(Severity::info))
      base::log_event_gathered(Severity::info, "relayed",
                               {{"id", envelope.id},
                                {"from", envelope.reverse_path},
                                {"recipient", envelope.recipients[asked[i]].address},
                                {"channel", envelope.recipients[asked[i]].destination_channel},
                                {"host", connection.host},
                                {"address", connection.address},
                                {"tls", connection.tls.empty() ? "none" : connection.tls},
                                {"policy", connection.policy},
                                {"bytes", bytes},
                                {"delay_ms", delay.count()},
                                {"reply", answer.reply}});
  }
  if (std::any_of(answers.recipients.begin(), answers.recipients.end(), [](const Answer& answer) { return answer.taken; })) destination.dead_until = {};
  part_is_done(job);
}

void Relayer::part_is_done(const std::shared_ptr<Job>& job) {
  if (--job->parts_left > 0) return;
  ++concluding_;
  net::run_for_life(parts_.io, conclude(job));
}

// ---- what became of it

Awaitable<void> Relayer::conclude(std::shared_ptr<Job> job) {
  const mail::Envelope& envelope = job->record->envelope;
  std::vector<mail::RecipientStatus> statuses;
  mail::Envelope left = envelope;
  left.recipients.clear();
  std::size_t taken = 0;
  const base::WallTime now = base::wall_now();
  for (std::size_t index = 0; index < job->outcomes.size(); ++index) {
    const Job::Outcome& outcome = job->outcomes[index];
    const mail::Recipient& recipient = envelope.recipients[index];
    const mail::DeliveryFailure said{outcome.taken ? "2.0.0" : outcome.failure.status, outcome.taken ? outcome.reply : outcome.failure.diagnostic, outcome.host, now};
    if (outcome.taken) {
      ++taken;
      ++counters_.sent;
      // RFC 3461 section 5.2.2: who asked for a notice of success, and goes on to where nobody sends one, gets ours. RFC 2852 section 4: so does who traces
      // his message, or wants to hear of delays where nobody will tell.
      const bool timed = envelope.deliver_by && !recipient.notify_never && (envelope.deliver_by->trace || !outcome.keeps_time);
      if (!timed && (!recipient.notify_success || outcome.passed_on)) continue;
      statuses.push_back({recipient, mail::DeliveryAction::relayed, said, std::nullopt});
      statuses.back().recipient.notify_success = true;
      continue;
    }
    if (outcome.failure.permanent) {
      ++counters_.failed;
      base::log_event(Severity::notice, "relay-refused",
                      {{"id", envelope.id}, {"recipient", recipient.address}, {"host", outcome.host}, {"status", said.status}, {"reason", said.diagnostic}});
      statuses.push_back({recipient, mail::DeliveryAction::failed, said, std::nullopt});
      continue;
    }
    ++counters_.deferred;
    base::log_event(Severity::notice, "relay-put-off",
                    {{"id", envelope.id}, {"recipient", recipient.address}, {"host", outcome.host}, {"status", said.status}, {"reason", said.diagnostic}});
    left.recipients.push_back(recipient);
    left.recipients.back().last_failure = said;
  }
  if (!statuses.empty()) {
    const spool::MessageText text = job->record->text();
    std::string own;
    Result<void> told;
    if (!text.in_memory()) {
      auto begun = text.beginning(text.size() <= settings_.return_bytes ? static_cast<std::size_t>(text.size()) : kMostHeaderBytes);
      if (begun) own = std::move(*begun);
      else told = begun.error();
    }
    if (told) told = co_await parts_.tell(envelope, text.in_memory() ? text.whole() : std::string_view(own), statuses, job->bytes);
    if (!told) {
      // Nobody is told of success then; who failed must wait until the sender can be told.
      base::log_event(Severity::error, "sender-not-told", {{"id", envelope.id}, {"reason", told.error().what}});
      for (const mail::RecipientStatus& status : statuses)
        if (status.action == mail::DeliveryAction::failed) {
          left.recipients.push_back(status.recipient);
          left.recipients.back().last_failure = status.outcome;
        }
    }
  }
  if (job->death && left.recipients.size() < envelope.recipients.size()) {
    mail::Envelope done = envelope;
    std::erase_if(done.recipients, [&](const mail::Recipient& one) {
      return std::any_of(left.recipients.begin(), left.recipients.end(), [&](const mail::Recipient& waits) { return waits.address == one.address && waits.detail == one.detail; });
    });
    co_await drop_earlier(std::move(done), *job->death);
  }
  if (!left.recipients.empty()) {
    ++left.attempts;
    const base::WallTime next = job->poison ? now + kPoisonWait : queue::next_attempt(left, now, settings_.schedule);
    const bool waits = co_await put_off(*job, left, next);
    if (!waits) {
      // Only at the end of this process: the next one does it all again.
      parts_.state.put_back(job->position, settings_.child);
      ++counters_.put_back;
      --claimed_;
      concluded();
      forget(*job);
      co_return;
    }
  }
  if (taken > 0) parts_.state.add_delivered(job->bytes, taken);
  finished(job->position);
  concluded();
  forget(*job);
}

void Relayer::concluded() {
  if (concluding_-- != kConcludedAtOnce) return;
  asio::post(parts_.io, [this] {
    for (const auto& [key, destination] : destinations_) want(*destination);
    dispatch();
  });
}

// Whoever died may have put it off, before he could mark the record: what has its end now must not be sent again because of that.
Awaitable<void> Relayer::drop_earlier(mail::Envelope done, base::WallTime death) {
  const std::string id = done.id;
  std::function<std::optional<std::string>()> work = [&deferred = parts_.deferred, envelope = std::move(done), death]() -> std::optional<std::string> {
    auto dropped = deferred.drop_earlier(envelope, death);
    return dropped ? std::string() : dropped.error().what;
  };
  const auto ended = co_await disk_.run(std::move(work), kDiskPatience);
  if (ended.text && !ended.text->empty()) base::log_event(Severity::warning, "deferred-not-removed", {{"id", id}, {"reason", *ended.text}});
}

// Until it stands in deferred/. False: the process is to end.
Awaitable<bool> Relayer::put_off(Job& job, mail::Envelope envelope, base::WallTime next) {
  // A disk that hangs may do it in the end, when nobody waits any more: the next try finds it done then, and waits for one that is still at it.
  struct Once {
    std::mutex at_work;
    bool done = false;
  };
  const auto once = std::make_shared<Once>();
  for (;;) {
    // The work owns what it needs: it may outlive the wait for it.
    const spool::MessageText text = job.record->text();
    std::function<std::optional<std::string>()> work = [&deferred = parts_.deferred, envelope, own = std::string(text.in_memory() ? text.whole() : ""), text, next,
                                                        death = job.death, once]() -> std::optional<std::string> {
      const std::lock_guard alone(once->at_work);
      if (once->done) return std::string();
      auto put = deferred.put(envelope, text.in_memory() ? spool::MessageText(own) : text, next, death);
      if (!put) return put.error().what;
      once->done = true;
      return std::string();
    };
    const auto ended = co_await disk_.run(std::move(work), kDiskPatience);
    if (ended.outcome == net::BlockingWork::Outcome::done && ended.text && ended.text->empty()) {
      base::log_event(Severity::notice, "deferred",
                      {{"id", envelope.id}, {"recipients", envelope.recipients.size()}, {"attempts", envelope.attempts}, {"next", base::iso8601(next)}});
      co_return true;
    }
    base::log_event(Severity::error, "deferred-not-written", {{"id", envelope.id}, {"reason", ended.text.value_or("the disk takes too long")}});
    if (finishing_) co_return false;
    asio::steady_timer timer(parts_.io, kDiskRetry);
    co_await timer.async_wait(net::use_awaitable);
  }
}

// Those of one turn of the event loop are marked together.
void Relayer::finished(const spool::Position& position) {
  --claimed_;
  to_mark_.push_back(position);
  if (to_mark_.size() == 1) asio::post(parts_.io, [this] { mark_finished(); });
}

void Relayer::mark_finished() {
  base::flush_log();
  const std::vector<spool::Position> fresh = std::move(to_mark_);
  to_mark_.clear();
  if (auto marked = parts_.reader.mark_finished(fresh); !marked) {
    base::log_event(Severity::error, "delivery-not-marked", {{"reason", marked.error().what}, {"messages", fresh.size()}});
    unmarked_.insert(unmarked_.end(), fresh.begin(), fresh.end());
    check_finished();
    return;
  }
  std::vector<spool::Position> all = fresh;
  all.insert(all.end(), unmarked_.begin(), unmarked_.end());
  unmarked_.clear();
  parts_.state.release(all, settings_.child);
  parts_.state.add_finished(all.size());
  check_finished();
}

void Relayer::upkeep() {
  if (!unmarked_.empty() && to_mark_.empty()) mark_finished();
  const auto now = steady_clock::now();
  if (now < next_look_) return;
  next_look_ = now + std::chrono::seconds(1);
  parts_.deferred.forget_unused(kEarlierKept);
  const bool crowded = destinations_.size() > kMostRemembered;
  std::erase_if(destinations_, [&](const auto& entry) {
    const Destination& destination = *entry.second;
    return destination.waiting.empty() && destination.workers == 0 && !destination.queued && now >= destination.without_tls_until &&
           // What is known of a dead one is forgotten when it could have been tried twice.
           (destination.failures > 0 ? now >= destination.dead_until + settings_.dead_time_most : crowded || now >= destination.used + kRemembered);
  });
}

void Relayer::finish(std::function<void()> done) {
  finishing_ = true;
  done_ = std::move(done);
  for (Idle* const idle : idle_) {
    idle->close = true;
    idle->timer.cancel();
  }
  asio::post(parts_.io, [this] { check_finished(); });
}

void Relayer::check_finished() {
  if (!finishing_ || !done_ || claimed_ > 0 || !to_mark_.empty()) return;
  asio::post(parts_.io, std::exchange(done_, nullptr));
}

}  // namespace postern::relay
