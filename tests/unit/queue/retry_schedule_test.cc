// SPDX-License-Identifier: Apache-2.0
#include "queue/retry_schedule.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;
using namespace std::chrono_literals;

namespace {

constexpr base::WallTime kStart = base::WallTime(std::chrono::seconds(1'800'000'000));

class RetryScheduleTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(RetryScheduleTest);
  CPPUNIT_TEST(waits_grow_by_the_factor_up_to_the_longest);
  CPPUNIT_TEST(the_priority_says_when_a_message_expires);
  CPPUNIT_TEST(the_next_look_is_never_behind_the_end);
  CPPUNIT_TEST(what_must_wait_waits_and_lives_longer);
  CPPUNIT_TEST(deliver_by_ends_or_warns);
  CPPUNIT_TEST(a_delay_is_told_when_its_time_has_come);
  CPPUNIT_TEST(only_network_failures_are_the_destinations);
  CPPUNIT_TEST(settings_give_the_schedules);
  CPPUNIT_TEST_SUITE_END();

  static mail::Envelope envelope(std::uint32_t attempts, int priority = 0) {
    mail::Envelope made;
    made.received = kStart;
    made.attempts = attempts;
    made.priority = priority;
    return made;
  }

  void waits_grow_by_the_factor_up_to_the_longest() {
    queue::RetrySchedule schedule;
    const struct {
      std::uint32_t attempts;
      std::chrono::seconds wait;
    } rows[] = {{0, 5min}, {1, 5min}, {2, 10min}, {3, 20min}, {6, 160min}, {7, 4h}, {8, 4h}, {4'000'000'000U, 4h}};
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(std::to_string(row.attempts), row.wait.count(), queue::wait_after(row.attempts, schedule).count());
    schedule.factor = 1;
    CPPUNIT_ASSERT_EQUAL(std::chrono::seconds(5min).count(), queue::wait_after(4'000'000'000U, schedule).count());
  }

  void the_priority_says_when_a_message_expires() {
    const queue::RetrySchedule schedule{5min, 2, 4h, 120h, 48h, 240h, 4h};
    CPPUNIT_ASSERT(queue::expires_at(envelope(1), schedule) == kStart + 120h);
    CPPUNIT_ASSERT(queue::expires_at(envelope(1, 1), schedule) == kStart + 48h);
    CPPUNIT_ASSERT(queue::expires_at(envelope(1, -1), schedule) == kStart + 240h);
    CPPUNIT_ASSERT(!queue::expired(envelope(1), kStart + 120h - 1s, schedule));
    CPPUNIT_ASSERT(queue::expired(envelope(1), kStart + 120h, schedule));
  }

  void the_next_look_is_never_behind_the_end() {
    const queue::RetrySchedule schedule;
    CPPUNIT_ASSERT(queue::next_attempt(envelope(2), kStart + 1h, schedule) == kStart + 1h + 10min);
    CPPUNIT_ASSERT(queue::next_attempt(envelope(9), kStart + 119h, schedule) == kStart + 120h);
    CPPUNIT_ASSERT(queue::next_attempt(envelope(9), kStart + 130h, schedule) == kStart + 130h + 1s);
  }

  void what_must_wait_waits_and_lives_longer() {
    const queue::RetrySchedule schedule;
    mail::Envelope held = envelope(0);
    held.hold_until = kStart + 240h;
    CPPUNIT_ASSERT(queue::next_attempt(held, kStart, schedule) == kStart + 240h);
    CPPUNIT_ASSERT(queue::expires_at(held, schedule) == kStart + 360h);
    CPPUNIT_ASSERT(!queue::delay_notice_due(held, kStart + 243h, schedule));
    CPPUNIT_ASSERT(queue::delay_notice_due(held, kStart + 244h, schedule));
  }

  void deliver_by_ends_or_warns() {
    const queue::RetrySchedule schedule;
    mail::Envelope urgent = envelope(9);
    urgent.deliver_by = mail::DeliverBy{kStart + 1h, mail::DeliverBy::Mode::return_message, false};
    CPPUNIT_ASSERT(queue::next_attempt(urgent, kStart, schedule) == kStart + 1h);
    CPPUNIT_ASSERT(queue::expired(urgent, kStart + 1h, schedule));
    CPPUNIT_ASSERT(!queue::delay_notice_due(urgent, kStart + 1h, schedule));
    urgent.deliver_by->mode = mail::DeliverBy::Mode::notify;
    CPPUNIT_ASSERT(queue::next_attempt(urgent, kStart, schedule) == kStart + 1h);
    CPPUNIT_ASSERT(!queue::expired(urgent, kStart + 1h, schedule));
    CPPUNIT_ASSERT(queue::delay_notice_due(urgent, kStart + 1h, schedule));
  }

  void a_delay_is_told_when_its_time_has_come() {
    queue::RetrySchedule schedule;
    CPPUNIT_ASSERT(!queue::delay_notice_due(envelope(1), kStart + 4h - 1s, schedule));
    CPPUNIT_ASSERT(queue::delay_notice_due(envelope(1), kStart + 4h, schedule));
    schedule.delay_notice = 0s;
    CPPUNIT_ASSERT(!queue::delay_notice_due(envelope(1), kStart + 400h, schedule));
  }

  void only_network_failures_are_the_destinations() {
    const struct {
      const char* status;
      bool destination;
    } rows[] = {{"4.4.1", true}, {"4.4.3", true}, {"4.2.2", false}, {"5.4.4", false}, {"4.7.1", false}, {"", false}, {"4.40.1", false}};
    for (const auto& row : rows) CPPUNIT_ASSERT_EQUAL_MESSAGE(row.status, row.destination, queue::destination_failed({row.status, "", "", {}}));
  }

  void settings_give_the_schedules() {
    conf::Configuration configuration;
    configuration.queue.retry_first = 7s;
    configuration.queue.expire_time = 70s;
    configuration.delivery.retry_first = 3s;
    CPPUNIT_ASSERT(queue::schedule_for_hosts(configuration).first == 7s);
    CPPUNIT_ASSERT(queue::schedule_for_mailboxes(configuration).first == 3s);
    CPPUNIT_ASSERT(queue::schedule_for_mailboxes(configuration).most == 1h);
    CPPUNIT_ASSERT(queue::schedule_for_mailboxes(configuration).expire_time == 70s);
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(RetryScheduleTest);

}  // namespace
