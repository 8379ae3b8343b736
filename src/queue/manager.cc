// SPDX-License-Identifier: Apache-2.0
#include "queue/manager.h"

#include "base/kill_point.h"
#include "base/log.h"
#include "queue/message_order.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace postern::queue {
namespace {

using base::Severity;
using mail::DeliveryAction;
using net::Awaitable;

// Entries that one call of run() deals with: in between come the orders of the master and what has appeared.
constexpr unsigned kPortion = 100;
// How often the outgoing journal is asked what has become of the attempts.
constexpr std::chrono::milliseconds kCheckInterval{500};
// Until an entry is looked at again that somebody else is at work on (posternctl has just renamed it), that could not be put back into a journal, or
// that could not be read.
constexpr std::chrono::seconds kBusyWait{1}, kNoRoomWait{30}, kTroubleWait{300};
// While its destination can't be reached a message is looked at as often, to see whether it has expired.
constexpr std::chrono::seconds kLookWait{3600};
// What relay puts off for longest beside what the settings say, and what clocks may be apart.
constexpr std::chrono::seconds kFarthest{25 * 3600};
constexpr std::chrono::seconds kClockStep{60};

// Orders about single messages that are kept in memory; of more the files are there, and no longer noticed.
constexpr std::size_t kMostOrders = 100000;

constexpr std::string_view kOrderPrefix = ".retry-";

}  // namespace

std::string order_name(std::uint32_t destination) {
  char digits[9];
  std::snprintf(digits, sizeof digits, "%08x", destination);
  return std::string(kOrderPrefix) + digits;
}

std::optional<std::uint32_t> order_of(std::string_view name) {
  if (!name.starts_with(kOrderPrefix)) return std::nullopt;
  name.remove_prefix(kOrderPrefix.size());
  std::uint32_t key = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), key, 16);
  if (error != std::errc{} || end != name.data() + name.size() || name.size() != 8) return std::nullopt;
  return key;
}

ManagerSettings manager_settings(const conf::Configuration& configuration) {
  return {schedule_for_hosts(configuration), schedule_for_mailboxes(configuration),
          {configuration.queue.messages_at_once, configuration.queue.messages_per_destination}};
}

void Manager::set_settings(ManagerSettings settings) {
  settings_ = settings;
  waiting_.set(settings.hosts, settings.limits);
}

const RetrySchedule& Manager::schedule_of(const mail::Envelope& envelope) const {
  const bool sent_on = std::any_of(envelope.recipients.begin(), envelope.recipients.end(), [this](const mail::Recipient& recipient) {
    return recipient.account.empty() && parts_.is_sent_on(recipient.destination_channel);
  });
  return sent_on ? settings_.hosts : settings_.mailboxes;
}

bool Manager::goes_out(const mail::Recipient& recipient) const {
  return !recipient.last_failure.status.empty() && recipient.account.empty() && parts_.is_sent_on(recipient.destination_channel);
}

Result<void> Manager::scan() {
  waiting_.clear();
  const std::vector<std::string> orders = parts_.deferred.orders();
  for (const std::string& name : orders)
    if (const auto id = spool::Deferred::ordered_id(name)) order_given(*id);
  std::vector<spool::DeferredEntry> suspects;
  auto listed = parts_.deferred.each([&](spool::DeferredEntry entry) {
    if (!scanned_ && parts_.may_have_gone(entry.id)) {
      suspects.push_back(std::move(entry));
      return;
    }
    add(std::move(entry));
  });
  if (!listed) return listed;
  scanned_ = true;
  for (const spool::DeferredEntry& entry : suspects) drop_what_has_gone(entry);
  for (const std::string& name : orders)
    if (order_of(name)) appeared(name);
  return {};
}

void Manager::drop_what_has_gone(const spool::DeferredEntry& entry) {
  const auto stays = [this](const spool::DeferredEntry& one) { add(one); };
  const auto claimed = parts_.deferred.claim(entry);
  auto head = claimed ? parts_.deferred.read_head(entry) : Result<spool::Deferred::Head>(claimed.error());
  // Damage is seen when its turn comes.
  if (!head) return stays(entry);
  mail::Envelope& envelope = head->envelope;
  mail::Envelope as_sent = envelope;
  as_sent.attempts = std::max<std::uint32_t>(1, envelope.attempts);
  const std::size_t before = envelope.recipients.size();
  std::erase_if(envelope.recipients, [&](const mail::Recipient& recipient) { return goes_out(recipient) && parts_.has_gone(as_sent, recipient); });
  if (envelope.recipients.size() == before) return stays(entry);
  base::log_event(Severity::notice, "handed-on-before", {{"id", entry.id}, {"recipients", before - envelope.recipients.size()}});
  if (envelope.recipients.empty()) return removed(entry, parts_.deferred.remove(entry));
  auto message = parts_.deferred.read(entry);
  if (!message) return stays(entry);
  auto left = parts_.deferred.postpone(entry, envelope, message->message, entry.next_attempt);
  stays(left ? *left : entry);
}

void Manager::add(spool::DeferredEntry entry) {
  if (ordered_.contains(entry.id)) entry.next_attempt = {};
  const base::WallTime now = parts_.now();
  if (entry.next_attempt > now + std::max({settings_.hosts.most, settings_.mailboxes.most, kFarthest})) {
    const auto head = parts_.deferred.read_head(entry);
    if (head && !(head->envelope.hold_until && *head->envelope.hold_until > now)) {
      base::log_event(Severity::notice, "deferred-time-not-right", {{"id", entry.id}, {"next", base::iso8601(entry.next_attempt)}});
      entry.next_attempt = now;
    }
  }
  if (waiting_.add(entry)) to_merge_.emplace_back(entry.id, entry.destination);
}

void Manager::order_given(const std::string& id) {
  if (ordered_.size() < kMostOrders) ordered_.insert(id);
}

void Manager::appeared(const std::string& name) {
  if (const auto destination = order_of(name)) {
    waiting_.force(*destination);
    parts_.deferred.forget_order(name);
    base::log_event(Severity::info, "destination-forced", {{"order", name}});
    return;
  }
  if (const auto id = spool::Deferred::ordered_id(name)) return order_given(*id);
  const auto entry = spool::Deferred::entry_of(name);
  if (!entry) return;
  add(*entry);
  // The outcome of an attempt. Its entry is there already, or the destination would be forgotten with the attempt.
  const auto attempt = under_way_.find({entry->id, entry->destination});
  if (attempt == under_way_.end()) return;
  auto outcome = Waiting::Outcome::reached;
  if (const auto head = parts_.deferred.read_head(*entry)) {
    const auto& recipients = head->envelope.recipients;
    if (std::any_of(recipients.begin(), recipients.end(), [](const mail::Recipient& recipient) { return destination_failed(recipient.last_failure); }))
      outcome = Waiting::Outcome::unreachable;
  }
  const bool was_failing = waiting_.is_failing(entry->destination);
  waiting_.conclude(entry->destination, outcome, parts_.now());
  if (outcome == Waiting::Outcome::unreachable && !was_failing) base::log_event(Severity::notice, "destination-unreachable", {{"id", entry->id}});
  under_way_.erase(attempt);
}

void Manager::disappeared(const std::string& name) {
  if (const auto id = spool::Deferred::ordered_id(name)) ordered_.erase(*id);
  else if (const auto entry = spool::Deferred::entry_of(name)) waiting_.remove(*entry);
  for (auto* const names : {&sent_out_, &done_with_, &told_}) names->erase(name);
}

void Manager::check_finished() {
  std::vector<spool::Position> open;
  for (const auto& [attempt, state] : under_way_)
    if (state.record) open.push_back(*state.record);
  if (open.empty()) return;
  std::vector<spool::Position> left = open;
  parts_.drop_finished(left);
  // Whoever puts a message off makes the entry before he marks the record: what was finished then has its entry now.
  parts_.catch_up();
  for (auto attempt = under_way_.begin(); attempt != under_way_.end();) {
    const auto& record = attempt->second.record;
    const bool was_asked_for = record && std::find(open.begin(), open.end(), *record) != open.end();
    if (!was_asked_for || std::find(left.begin(), left.end(), *record) != left.end()) {
      ++attempt;
      continue;
    }
    waiting_.conclude(attempt->first.second, Waiting::Outcome::reached, parts_.now());
    attempt = under_way_.erase(attempt);
  }
}

Awaitable<std::chrono::milliseconds> Manager::run() {
  const base::WallTime begin = parts_.now();
  if (begin + kClockStep < last_run_) {
    base::log_event(Severity::warning, "clock-set-back", {{"seconds", std::chrono::floor<std::chrono::seconds>(last_run_ - begin).count()}});
    if (auto scanned = scan(); !scanned) base::log_event(Severity::error, "deferred-not-listed", {{"reason", scanned.error().what}});
  }
  last_run_ = begin;
  check_finished();
  while (!to_merge_.empty()) {
    const Attempt twice = std::move(to_merge_.back());
    to_merge_.pop_back();
    co_await merge(twice.first, twice.second);
  }
  for (unsigned handled = 0; handled < kPortion; ++handled) {
    auto next = waiting_.next(parts_.now());
    if (!next) break;
    co_await handle(std::move(*next));
  }
  std::chrono::milliseconds wait = under_way_.empty() ? kLongestWait : kCheckInterval;
  if (const auto next = waiting_.next_time()) {
    const auto until = std::chrono::ceil<std::chrono::milliseconds>(*next - parts_.now());
    wait = std::clamp(until, std::chrono::milliseconds(0), wait);
  }
  co_return wait;
}

Awaitable<void> Manager::handle(Waiting::Next next) {
  if (next.why == Waiting::Why::look) {
    co_await look_at(next.entry);
    co_return;
  }
  const bool sent = co_await attempt(next.entry);
  if (!sent) waiting_.conclude(next.entry.destination, Waiting::Outcome::not_tried, parts_.now());
}

std::optional<spool::Deferred::Claim> Manager::claim(const spool::DeferredEntry& entry) {
  auto claim = parts_.deferred.claim(entry);
  if (claim) return std::move(*claim);
  if (claim.error().kind == Kind::temporary) later(entry, kBusyWait);
  else if (claim.error().kind != Kind::not_found) failed_to_read(entry, claim.error());
  return std::nullopt;
}

void Manager::later(spool::DeferredEntry entry, std::chrono::seconds wait) {
  entry.next_attempt = parts_.now() + wait;
  waiting_.add(entry);
}

void Manager::failed_to_read(const spool::DeferredEntry& entry, const Error& error) {
  if (error.kind == Kind::not_found) return;
  if (error.kind == Kind::corrupt) {
    if (auto aside = parts_.deferred.set_aside(entry, error.what)) return;
  } else {
    base::log_event(Severity::error, "deferred-not-read", {{"id", entry.id}, {"reason", error.what}});
  }
  later(entry, kTroubleWait);
}

void Manager::removed(const spool::DeferredEntry& entry, Result<void> outcome) {
  if (outcome || outcome.error().kind == Kind::not_found) {
    for (auto* const names : {&sent_out_, &done_with_, &told_}) names->erase(entry.name);
    return;
  }
  base::log_event(Severity::error, "deferred-not-removed", {{"id", entry.id}, {"reason", outcome.error().what}});
  done_with_.insert(entry.name);
  later(entry, kTroubleWait);
}

bool Manager::was_done_with(const spool::DeferredEntry& entry) {
  if (!done_with_.contains(entry.name)) return false;
  removed(entry, parts_.deferred.remove(entry));
  return true;
}

Awaitable<Result<void>> Manager::tell_delay(const spool::DeferredEntry& entry, spool::Deferred::Message& message) {
  if (told_.contains(entry.name)) {
    for (mail::Recipient& recipient : message.envelope.recipients) recipient.delay_notified = true;
    co_return Result<void>();
  }
  auto told = co_await parts_.notifier.tell_delay(message.envelope, message.message, expires_at(message.envelope, schedule_of(message.envelope)));
  if (told) told_.insert(entry.name);
  co_return told;
}

Awaitable<bool> Manager::carry_out_order(const spool::DeferredEntry& entry) {
  if (!ordered_.contains(entry.id)) co_return false;
  const auto order = parts_.deferred.message_order(entry.id);
  if (!order) co_return false;
  auto message = parts_.deferred.read(entry);
  if (!message) {
    failed_to_read(entry, message.error());
    co_return true;
  }
  const OrderParts parts{parts_.notifier, parts_.hold};
  auto done = co_await carry_out(parts, *order, std::move(message->envelope), std::move(message->message));
  if (done) removed(entry, parts_.deferred.remove(entry));
  else later(entry, kNoRoomWait);
  co_return true;
}

Awaitable<void> Manager::look_at(const spool::DeferredEntry& entry) {
  const auto held = claim(entry);
  if (!held || was_done_with(entry)) co_return;
  const bool ordered = co_await carry_out_order(entry);
  if (ordered) co_return;
  auto head = parts_.deferred.read_head(entry);
  if (!head) {
    failed_to_read(entry, head.error());
    co_return;
  }
  const base::WallTime now = parts_.now();
  const RetrySchedule& schedule = schedule_of(head->envelope);
  const auto& recipients = head->envelope.recipients;
  const bool untold = std::any_of(recipients.begin(), recipients.end(), [](const mail::Recipient& recipient) { return !recipient.delay_notified; });
  const bool over = head->envelope.returned || expired(head->envelope, now, schedule);
  if (!over && !(untold && delay_notice_due(head->envelope, now, schedule))) {
    const base::WallTime next = std::min({std::max(next_attempt(head->envelope, now, schedule), now + kLookWait), expires_at(head->envelope, schedule),
                                          untold && schedule.delay_notice.count() > 0 ? std::max(now, head->envelope.received + schedule.delay_notice) + std::chrono::seconds(1)
                                                                                      : base::WallTime::max()});
    auto postponed = parts_.deferred.reschedule(entry, next);
    if (postponed) waiting_.add(*postponed);
    else failed_to_read(entry, postponed.error());
    co_return;
  }
  auto message = parts_.deferred.read(entry);
  if (!message) {
    failed_to_read(entry, message.error());
    co_return;
  }
  if (over) {
    const bool returned = message->envelope.returned;
    co_await give_up(entry, std::move(*message), returned ? "5.0.0" : "5.4.7", returned ? kGivenUp : "its time is over");
    co_return;
  }
  auto told = co_await tell_delay(entry, *message);
  auto postponed = told ? parts_.deferred.postpone(entry, message->envelope, message->message, next_attempt(message->envelope, now, schedule))
                        : Result<spool::DeferredEntry>(told.error());
  if (!postponed) {
    failed_to_read(entry, postponed.error());
    co_return;
  }
  told_.erase(entry.name);
  waiting_.add(*postponed);
}

Awaitable<bool> Manager::attempt(spool::DeferredEntry entry) {
  const auto held = claim(entry);
  if (!held || was_done_with(entry)) co_return false;
  const bool ordered = co_await carry_out_order(entry);
  if (ordered) co_return false;
  auto message = parts_.deferred.read(entry);
  if (!message) {
    failed_to_read(entry, message.error());
    co_return false;
  }
  mail::Envelope& envelope = message->envelope;
  const base::WallTime now = parts_.now();
  const RetrySchedule& schedule = schedule_of(envelope);
  if (envelope.returned) {
    co_await give_up(entry, std::move(*message), "5.0.0", kGivenUp);
    co_return false;
  }
  // The clock was wrong when it came: it would never expire.
  envelope.received = std::min(envelope.received, now);
  if (!entry.forced()) {
    // RFC 4865 section 5: not before, also when its destination has just been reached.
    if (envelope.hold_until && *envelope.hold_until > now) {
      auto postponed = parts_.deferred.reschedule(entry, *envelope.hold_until);
      if (postponed) waiting_.add(*postponed);
      else failed_to_read(entry, postponed.error());
      co_return false;
    }
    // What was never tried has an attempt first; so has what somebody lets go, which is forced.
    if (envelope.attempts > 0 && expired(envelope, now, schedule)) {
      co_await give_up(entry, std::move(*message), "5.4.7", "its time is over");
      co_return false;
    }
  }
  if (envelope.attempts > 0 && delay_notice_due(envelope, now, schedule)) {
    // The notice is no reason to hold the message up: it is told next time.
    if (auto told = co_await tell_delay(entry, *message); !told)
      base::log_event(Severity::warning, "notice-not-sent", {{"id", envelope.id}, {"reason", told.error().what}});
  }
  // Counts as an attempt, so that a delivery before a crash is looked for.
  envelope.attempts = std::max<std::uint32_t>(1, envelope.attempts);
  const std::uint32_t attempts = envelope.attempts;
  mail::Envelope outgoing = envelope;
  const auto to_relay = [this](const mail::Recipient& recipient) { return goes_out(recipient); };
  std::erase_if(outgoing.recipients, [&](const mail::Recipient& recipient) { return !to_relay(recipient); });
  std::erase_if(envelope.recipients, to_relay);
  if (sent_out_.contains(entry.name)) outgoing.recipients.clear();

  Result<void> done;
  bool under_way = false, sent_out = false;
  if (!outgoing.recipients.empty()) {
    std::string text = envelope.recipients.empty() ? std::move(message->message) : message->message;
    auto record = co_await parts_.send(std::move(outgoing), std::move(text));
    if (!record) {
      done = record.error();
    } else {
      sent_out = true;
      if (entry.destination != 0) {
        under_way_[{entry.id, entry.destination}].record = *record;
        under_way = true;
      }
    }
  }
  if (done && !envelope.recipients.empty()) done = co_await parts_.deliver(envelope, message->message);
  if (!done) {
    base::log_event(Severity::error, "deferred-not-requeued", {{"id", entry.id}, {"reason", done.error().what}});
    const std::chrono::seconds wait = done.error().kind == Kind::temporary ? kNoRoomWait : kTroubleWait;
    if (sent_out) {
      // What has gone out must not go again.
      auto rest = parts_.deferred.postpone(entry, envelope, message->message, parts_.now() + wait);
      if (rest) {
        waiting_.add(*rest);
        co_return under_way;
      }
      sent_out_.insert(entry.name);
    }
    later(entry, wait);
    co_return under_way;
  }
  POSTERN_KILL_POINT("after-requeue");
  removed(entry, parts_.deferred.remove(entry));
  base::log_event(Severity::info, "requeued", {{"id", entry.id}, {"attempts", attempts}});
  co_return under_way;
}

Awaitable<void> Manager::give_up(spool::DeferredEntry entry, spool::Deferred::Message message, const char* status, std::string why) {
  const std::size_t recipients = message.envelope.recipients.size();
  auto told = co_await parts_.notifier.tell_failed(message.envelope, message.message, status, why);
  if (!told) {
    base::log_event(Severity::warning, "notice-not-sent", {{"id", entry.id}, {"reason", told.error().what}});
    later(entry, kTroubleWait);
    co_return;
  }
  POSTERN_KILL_POINT("after-notice");
  base::log_event(Severity::notice, "given-up", {{"id", entry.id}, {"from", message.envelope.reverse_path}, {"recipients", recipients}, {"reason", why}});
  removed(entry, parts_.deferred.remove(entry));
}

Awaitable<void> Manager::merge(std::string id, std::uint32_t destination) {
  const std::vector<spool::DeferredEntry> entries = waiting_.entries_of(id, destination);
  std::optional<spool::Deferred::Message> together;
  std::vector<spool::Deferred::Claim> claims;
  base::WallTime next{};
  std::vector<spool::DeferredEntry> merged;
  for (const spool::DeferredEntry& entry : entries) {
    auto claimed = parts_.deferred.claim(entry);
    if (!claimed) continue;
    auto message = parts_.deferred.read(entry);
    if (!message) continue;  // it is set aside when its turn comes
    claims.push_back(std::move(*claimed));
    merged.push_back(entry);
    next = std::max(next, entry.next_attempt);
    if (!together) {
      together = std::move(*message);
      continue;
    }
    spool::join(together->envelope, std::move(message->envelope));
  }
  if (merged.size() < 2) co_return;
  auto put = parts_.deferred.put(together->envelope, together->message, next);
  if (!put) {
    base::log_event(Severity::error, "deferred-not-written", {{"id", id}, {"reason", put.error().what}});
    co_return;
  }
  for (const spool::DeferredEntry& entry : merged) {
    removed(entry, parts_.deferred.remove(entry));
    waiting_.remove(entry);
  }
  waiting_.add(*put);
}

}  // namespace postern::queue
