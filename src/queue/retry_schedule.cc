// SPDX-License-Identifier: Apache-2.0
#include "queue/retry_schedule.h"

#include <algorithm>

namespace postern::queue {
namespace {

// From when on the message could be sent.
base::WallTime sendable_since(const mail::Envelope& envelope) {
  return envelope.hold_until ? std::max(envelope.received, *envelope.hold_until) : envelope.received;
}

}  // namespace

RetrySchedule schedule_for_hosts(const conf::Configuration& configuration) {
  const conf::Queue& queue = configuration.queue;
  return {queue.retry_first, queue.retry_factor, queue.retry_most, queue.expire_time, queue.expire_time_high, queue.expire_time_low, queue.delay_notice};
}

RetrySchedule schedule_for_mailboxes(const conf::Configuration& configuration) {
  RetrySchedule schedule = schedule_for_hosts(configuration);
  schedule.first = configuration.delivery.retry_first;
  schedule.factor = 2;
  schedule.most = configuration.delivery.retry_most;
  return schedule;
}

std::chrono::seconds wait_after(std::uint32_t attempts, const RetrySchedule& schedule) {
  std::chrono::seconds wait = std::min(schedule.first, schedule.most);
  if (schedule.factor <= 1) return wait;
  for (std::uint32_t attempt = 1; attempt < attempts && wait < schedule.most; ++attempt) wait = std::min(wait * schedule.factor, schedule.most);
  return wait;
}

base::WallTime next_attempt(const mail::Envelope& envelope, base::WallTime now, const RetrySchedule& schedule) {
  // RFC 4865: until then nothing is tried, and then at once.
  if (envelope.hold_until && *envelope.hold_until > now) return *envelope.hold_until;
  base::WallTime next = now + wait_after(envelope.attempts, schedule);
  // What has expired is looked at soon, not in the past for ever.
  next = std::min(next, std::max(expires_at(envelope, schedule), now + std::chrono::seconds(1)));
  if (envelope.deliver_by && envelope.deliver_by->until > now) next = std::min(next, envelope.deliver_by->until);
  return next;
}

base::WallTime expires_at(const mail::Envelope& envelope, const RetrySchedule& schedule) {
  const base::WallTime end = sendable_since(envelope) + (envelope.priority > 0   ? schedule.expire_time_high
                                                         : envelope.priority < 0 ? schedule.expire_time_low
                                                                                 : schedule.expire_time);
  // RFC 2852 section 4.1: with mode R the message is not wanted any more.
  if (envelope.deliver_by && envelope.deliver_by->mode == mail::DeliverBy::Mode::return_message) return std::min(end, envelope.deliver_by->until);
  return end;
}

bool expired(const mail::Envelope& envelope, base::WallTime now, const RetrySchedule& schedule) { return now >= expires_at(envelope, schedule); }

bool delay_notice_due(const mail::Envelope& envelope, base::WallTime now, const RetrySchedule& schedule) {
  // RFC 2852 section 4.1: with mode N that is what the sender asked for.
  if (envelope.deliver_by && envelope.deliver_by->mode == mail::DeliverBy::Mode::notify && now >= envelope.deliver_by->until) return true;
  return schedule.delay_notice.count() > 0 && now >= sendable_since(envelope) + schedule.delay_notice;
}

bool destination_failed(const mail::DeliveryFailure& failure) { return failure.status.starts_with("4.4."); }

}  // namespace postern::queue
