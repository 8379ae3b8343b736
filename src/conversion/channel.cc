// SPDX-License-Identifier: Apache-2.0
#include "conversion/channel.h"

#include "base/crc32c.h"
#include "base/kill_point.h"
#include "base/log.h"
#include "base/text.h"
#include "mail/message_id.h"
#include "net/run_for_life.h"
#include "queue/message_order.h"

#include <algorithm>

namespace postern::conversion {
namespace {

using base::Severity;
using mail::Recipient;
using net::Awaitable;

// Somebody else has it, or the disk will not read it now.
constexpr std::chrono::seconds kBusyWait{1}, kTroubleWait{60};
// Stands for the number of an action where ids are derived (delivery/actions.cc has the others).
constexpr unsigned kConverted = 1U << 22;

// The same for the same recipients, in whatever order they stand.
std::string converted_id(const mail::Envelope& envelope) {
  std::vector<std::string> addresses;
  for (const Recipient& recipient : envelope.recipients) addresses.push_back(recipient.address + '\0' + recipient.detail);
  std::sort(addresses.begin(), addresses.end());
  std::uint32_t sum = 0;
  for (const std::string& address : addresses) sum = base::crc32c(address + '\n', sum);
  return mail::derived_message_id(envelope.id, sum, kConverted);
}

std::vector<std::string> tags_of(const mail::Envelope& envelope, const Recipient& recipient) {
  std::vector<std::string> tags;
  for (const auto* const list : {&envelope.conversion_tags, &recipient.conversion_tags})
    for (const std::string& tag : *list) tags.push_back(base::lower(tag));
  std::sort(tags.begin(), tags.end());
  tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
  return tags;
}

}  // namespace

Result<void> Channel::scan() {
  waiting_.clear();
  return parts_.waiting.each([this](spool::DeferredEntry entry) {
    if (!under_way_.contains(entry.name)) waiting_.try_emplace({entry.next_attempt, entry.name}, entry);
  });
}

void Channel::appeared(const std::string& name) {
  if (const auto entry = spool::Deferred::entry_of(name); entry && !under_way_.contains(name)) waiting_.try_emplace({entry->next_attempt, name}, *entry);
}

void Channel::disappeared(const std::string& name) {
  // It may have been put off in here, under another time.
  std::erase_if(waiting_, [&](const auto& known) { return known.second.name == name; });
}

std::chrono::milliseconds Channel::run() {
  const base::WallTime now = base::wall_now();
  while (!waiting_.empty() && under_way_.size() < settings_.at_once && waiting_.begin()->first.first <= now) {
    spool::DeferredEntry entry = std::move(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    const std::string name = entry.name;
    under_way_.insert(name);
    net::run_task(parts_.io, "conversion", handle(std::move(entry)), [this, name](const std::string&) {
      under_way_.erase(name);
      parts_.wake();
    });
  }
  if (waiting_.empty() || under_way_.size() >= settings_.at_once) return kLongestWait;
  const auto until = std::chrono::ceil<std::chrono::milliseconds>(waiting_.begin()->first.first - base::wall_now());
  return std::clamp(until, std::chrono::milliseconds(0), kLongestWait);
}

void Channel::later(const spool::DeferredEntry& entry, std::chrono::seconds wait) { waiting_.try_emplace({base::wall_now() + wait, entry.name}, entry); }

void Channel::failed_to_read(const spool::DeferredEntry& entry, const Error& error) {
  if (error.kind == Kind::not_found) return;
  if (error.kind == Kind::corrupt) {
    if (auto aside = parts_.waiting.set_aside(entry, error.what)) return;
  } else if (error.kind != Kind::temporary) {
    base::log_event(Severity::error, "deferred-not-read", {{"id", entry.id}, {"reason", error.what}});
  }
  later(entry, error.kind == Kind::temporary ? kBusyWait : kTroubleWait);
}

void Channel::removed(const spool::DeferredEntry& entry, Result<void> outcome) {
  if (outcome || outcome.error().kind == Kind::not_found) return;
  base::log_event(Severity::error, "deferred-not-removed", {{"id", entry.id}, {"reason", outcome.error().what}});
  later(entry, kTroubleWait);
}

Awaitable<void> Channel::handle(spool::DeferredEntry entry) {
  const std::string name = entry.name;
  co_await work_on(std::move(entry));
  under_way_.erase(name);
  parts_.wake();
}

Awaitable<bool> Channel::carry_out_order(const spool::DeferredEntry& entry, const mail::Envelope& envelope, const std::string& message) {
  const auto order = parts_.waiting.message_order(entry.id);
  if (!order) co_return false;
  const queue::OrderParts parts{parts_.notifier, parts_.hold};
  auto done = co_await queue::carry_out(parts, *order, envelope, message);
  if (done) {
    removed(entry, parts_.waiting.remove(entry));
    parts_.waiting.forget_message_order(entry.id);
  } else {
    later(entry, kTroubleWait);
  }
  co_return true;
}

Awaitable<void> Channel::work_on(spool::DeferredEntry entry) {
  auto claim = parts_.waiting.claim(entry);
  if (!claim) {
    failed_to_read(entry, claim.error());
    co_return;
  }
  const base::WallTime now = base::wall_now();
  auto head = parts_.waiting.read_head(entry);
  if (!head) {
    failed_to_read(entry, head.error());
    co_return;
  }
  const bool over = head->envelope.returned || (!entry.forced() && queue::expired(head->envelope, now, settings_.retry));
  // Whoever comes next if this process dies of it comes later.
  auto marked = parts_.waiting.reschedule(entry, now + settings_.retry.first);
  if (!marked) {
    failed_to_read(entry, marked.error());
    co_return;
  }
  auto message = parts_.waiting.read(*marked);
  if (!message) {
    failed_to_read(*marked, message.error());
    co_return;
  }
  mail::Envelope& envelope = message->envelope;
  if (over) {
    const bool returned = envelope.returned;
    auto told = co_await parts_.notifier.tell_failed(envelope, message->message, returned ? "5.0.0" : "5.4.7", returned ? queue::kGivenUp : "the message could not be converted");
    if (told) {
      base::log_event(Severity::notice, "given-up", {{"id", entry.id}, {"from", envelope.reverse_path}, {"recipients", envelope.recipients.size()}, {"reason", "it could not be converted"}});
      removed(*marked, parts_.waiting.remove(*marked));
    } else {
      base::log_event(Severity::warning, "notice-not-sent", {{"id", entry.id}, {"reason", told.error().what}});
    }
    co_return;
  }
  bool ordered = co_await carry_out_order(*marked, envelope, message->message);
  if (ordered) co_return;
  Groups groups;
  for (const Recipient& recipient : envelope.recipients) groups[{recipient.destination_channel, tags_of(envelope, recipient)}].push_back(recipient);
  std::vector<Recipient> left;
  std::string why;
  for (auto& [key, recipients] : groups) {
    auto done = co_await convert(envelope, message->message, recipients, key.second);
    if (done) continue;
    why = done.error().what;
    for (Recipient& recipient : recipients) {
      recipient.last_failure = {"4.3.0", base::printable(why), "", base::wall_now()};
      left.push_back(std::move(recipient));
    }
  }
  POSTERN_KILL_POINT("conversion-submitted");
  if (left.empty()) {
    removed(*marked, parts_.waiting.remove(*marked));
    parts_.waiting.forget_message_order(entry.id);
    co_return;
  }
  envelope.recipients = std::move(left);
  ordered = co_await carry_out_order(*marked, envelope, message->message);
  if (ordered) co_return;
  ++envelope.attempts;
  if (queue::delay_notice_due(envelope, base::wall_now(), settings_.retry) && !queue::expired(envelope, base::wall_now(), settings_.retry)) {
    // No reason to forget what is done: it is told next time.
    auto told = co_await parts_.notifier.tell_delay(envelope, message->message, queue::expires_at(envelope, settings_.retry));
    if (!told) base::log_event(Severity::warning, "notice-not-sent", {{"id", envelope.id}, {"reason", told.error().what}});
  }
  const base::WallTime next = queue::next_attempt(envelope, base::wall_now(), settings_.retry);
  base::log_event(Severity::warning, "conversion-put-off",
                  {{"id", envelope.id}, {"recipients", envelope.recipients.size()}, {"attempts", envelope.attempts}, {"next", base::iso8601(next)}, {"reason", why}});
  // If this fails the entry stays as it is, and comes at its own time.
  if (auto postponed = parts_.waiting.postpone(*marked, envelope, message->message, next); !postponed)
    base::log_event(Severity::error, "deferred-not-written", {{"id", envelope.id}, {"reason", postponed.error().what}});
}

Awaitable<Result<void>> Channel::convert(const mail::Envelope& envelope, const std::string& message, std::vector<Recipient> recipients, const std::vector<std::string>& tags) {
  mail::Envelope next = envelope;
  next.recipients = std::move(recipients);
  for (Recipient& recipient : next.recipients) recipient.conversion = Recipient::Conversion::done;
  MessageFacts facts{envelope.id, envelope.source_channel, next.recipients.front().destination_channel, tags};
  Outcome outcome = co_await parts_.converter.convert(message, std::move(facts));
  if (outcome.kind == Outcome::Kind::again) co_return Error{Kind::temporary, std::move(outcome.why)};
  auto done = co_await conclude(std::move(next), message, std::move(outcome));
  co_return done;
}

Awaitable<Result<void>> Channel::conclude(mail::Envelope envelope, const std::string& message, Outcome outcome) {
  const std::string id = envelope.id;
  std::string text, result = "unchanged";
  switch (outcome.kind) {
    case Outcome::Kind::again: case Outcome::Kind::unchanged: break;
    case Outcome::Kind::changed:
      // Two texts are two messages: what waits is told apart by its id.
      envelope.id = converted_id(envelope);
      text = std::move(outcome.text);
      result = "changed";
      break;
    case Outcome::Kind::discarded: envelope.discarded = true; result = "discarded"; break;
    case Outcome::Kind::jettisoned: envelope.jettisoned = true; result = "jettisoned"; break;
    case Outcome::Kind::held:
      envelope.held = true;
      envelope.held_by = base::printable(outcome.why);
      result = "held";
      break;
    case Outcome::Kind::returned: {
      const std::string why = outcome.why.empty() ? "the message was refused when its parts were looked at" : outcome.why;
      auto told = co_await parts_.notifier.tell_failed(envelope, message, "5.7.1", why, true);
      if (!told) co_return told;
      base::log_event(Severity::notice, "converted", {{"id", id}, {"recipients", envelope.recipients.size()}, {"result", "returned"}, {"reason", outcome.why}});
      co_return Result<void>();
    }
    case Outcome::Kind::to_postmaster: {
      auto postmasters = co_await parts_.resolve(settings_.postmaster);
      if (!postmasters && postmasters.error().kind == Kind::temporary) co_return postmasters.error();
      if (!postmasters || postmasters->empty()) {
        envelope.held = true;
        envelope.held_by = "conversion: meant for " + settings_.postmaster + ", who can't be reached";
        result = "held";
        break;
      }
      envelope.id = converted_id(envelope);
      envelope.recipients = std::move(*postmasters);
      for (Recipient& recipient : envelope.recipients) recipient.conversion = Recipient::Conversion::done;
      result = "postmaster";
      break;
    }
  }
  base::Fields fields{{"id", id}, {"new_id", envelope.id}, {"recipients", envelope.recipients.size()}, {"result", result}, {"reason", outcome.why}};
  auto submitted = co_await parts_.submit(std::move(envelope), text.empty() ? message : std::move(text));
  if (submitted) base::log_event(Severity::info, "converted", fields);
  co_return submitted;
}

}  // namespace postern::conversion
