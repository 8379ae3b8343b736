// SPDX-License-Identifier: Apache-2.0
#pragma once
// When a message that could not be sent or delivered is tried again, when its sender is told that it takes longer, and when it is
// given up (RFC 5321 section 4.5.4.1).
//
// For delivery/, relay/ and the queue itself: whoever puts a message into spool/deferred asks next_attempt() for the time, after it has counted
// the attempt (`attempts`) and noted each recipient's last_failure. It need not ask expired(): the queue gives up, and tells the
// sender, when it looks at the entry next, and next_attempt() never lies behind that moment.
//
// The status of a failure says what it says about others: "4.4.x" (RFC 3463 section 3.5, the network and routing) means that no host of the
// recipient's domain could be reached, and the queue lets everything else for that domain wait for one probe; any other means this
// recipient or this message only.
//
// Failure: none. Times are wall time; a clock that was set back makes a message wait longer, never more than one step of the schedule.
#include "base/clock.h"
#include "conf/configuration.h"
#include "mail/envelope.h"

#include <chrono>
#include <cstdint>

namespace postern::queue {

struct RetrySchedule {
  std::chrono::seconds first{300};  // to the second attempt; then `factor` times as long each time, up to `most`
  unsigned factor = 2;
  std::chrono::seconds most{4 * 3600};
  std::chrono::seconds expire_time{5 * 86400}, expire_time_high{2 * 86400}, expire_time_low{5 * 86400};  // by priority: 0, above, below
  std::chrono::seconds delay_notice{4 * 3600};  // 0: nobody is told
};
// For what goes to other hosts (the group `queue` of the configuration), and for mailboxes (`delivery.retry_…`, else the same).
RetrySchedule schedule_for_hosts(const conf::Configuration& configuration);
RetrySchedule schedule_for_mailboxes(const conf::Configuration& configuration);

// How long to wait after `attempts` attempts.
std::chrono::seconds wait_after(std::uint32_t attempts, const RetrySchedule& schedule);
// When to look at the message again: after wait_after(), but not later than it expires; not before FUTURERELEASE lets it go.
base::WallTime next_attempt(const mail::Envelope& envelope, base::WallTime now, const RetrySchedule& schedule);

// When the message is given up: counted from its arrival, or from the time until which its sender had it wait; earlier if BY says so.
base::WallTime expires_at(const mail::Envelope& envelope, const RetrySchedule& schedule);
bool expired(const mail::Envelope& envelope, base::WallTime now, const RetrySchedule& schedule);

// Whether it is time to tell the sender of a delay. Who wants to know is for queue/notification.h.
bool delay_notice_due(const mail::Envelope& envelope, base::WallTime now, const RetrySchedule& schedule);

// Whether the failure says that the recipient's domain could not be reached (see above).
bool destination_failed(const mail::DeliveryFailure& failure);

}  // namespace postern::queue
