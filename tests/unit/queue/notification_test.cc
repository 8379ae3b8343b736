// SPDX-License-Identifier: Apache-2.0
#include "queue/notification.h"

#include "base/text.h"
#include "mail/message_id.h"
#include "net/run_coroutine.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;
using mail::DeliveryAction;

namespace {

mail::Envelope envelope(const std::string& sender = "a@example.com") {
  mail::Envelope made;
  made.id = "0123456789a0123456789abc00";
  made.received = base::from_microseconds(1795000000000000);
  made.reverse_path = sender;
  return made;
}

mail::RecipientStatus status(DeliveryAction action, const std::string& address = "b@example.net") {
  mail::RecipientStatus made;
  made.recipient.address = address;
  made.action = action;
  return made;
}

class NotificationTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(NotificationTest);
  CPPUNIT_TEST(notify_says_who_is_told);
  CPPUNIT_TEST(each_kind_is_a_notice_of_its_own);
  CPPUNIT_TEST(many_recipients_are_several_notices);
  CPPUNIT_TEST(ids_are_the_same_at_a_replay);
  CPPUNIT_TEST(a_message_without_sender_goes_to_postmaster_at_most);
  CPPUNIT_TEST(notices_are_submitted_to_where_policy_says);
  CPPUNIT_TEST(what_cannot_be_told_now_is_told_later_and_what_never_can_is_dropped);
  CPPUNIT_TEST(a_time_that_is_over_is_told_as_such);
  CPPUNIT_TEST(mistakes_in_texts_are_mistakes_of_the_configuration);
  CPPUNIT_TEST_SUITE_END();

  // RFC 3461 section 4.1.
  void notify_says_who_is_told() {
    const struct {
      const char* notify;  // of the words given, "-" for none
      const char* told;    // for failed, delayed, delivered
    } rows[] = {{"-", "failed delayed "}, {"N", ""}, {"S", "delivered "}, {"F", "failed "}, {"D", "delayed "}, {"SFD", "failed delayed delivered "}};
    for (const auto& row : rows) {
      std::string told;
      for (const DeliveryAction action : {DeliveryAction::failed, DeliveryAction::delayed, DeliveryAction::delivered}) {
        mail::RecipientStatus one = status(action);
        const std::string notify = row.notify;
        one.recipient.notify_given = notify != "-";
        one.recipient.notify_never = notify == "N";
        one.recipient.notify_failure = notify == "-" || notify.find('F') != std::string::npos;
        one.recipient.notify_success = notify.find('S') != std::string::npos;
        one.recipient.notify_delay = notify.find('D') != std::string::npos;
        if (queue::wanted(envelope(), one)) told += std::string(mail::to_string(action)) + " ";
        CPPUNIT_ASSERT(!queue::wanted(envelope(""), one));
      }
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.notify, std::string(row.told), told);
    }
    mail::RecipientStatus again = status(DeliveryAction::delayed);
    again.recipient.delay_notified = true;
    CPPUNIT_ASSERT(!queue::wanted(envelope(), again));
  }

  void each_kind_is_a_notice_of_its_own() {
    std::vector<mail::RecipientStatus> all{status(DeliveryAction::failed), status(DeliveryAction::delayed, "c@example.net"), status(DeliveryAction::relayed, "d@example.net"),
                                           status(DeliveryAction::failed, "e@example.net")};
    all[2].recipient.notify_success = true;
    const auto notices = queue::delivery_status_notifications(envelope(), "Subject: x\r\n\r\ny\r\n", all, {});
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, notices.size());
    CPPUNIT_ASSERT(notices[0].text.find("<e@example.net>") != std::string::npos);
    CPPUNIT_ASSERT(notices[0].text.find("<c@example.net>") == std::string::npos);
    CPPUNIT_ASSERT(notices[1].text.find("Action: delayed") != std::string::npos);
    CPPUNIT_ASSERT(notices[2].text.find("Action: relayed") != std::string::npos);
    CPPUNIT_ASSERT(notices[0].envelope.id != notices[1].envelope.id);
  }

  void many_recipients_are_several_notices() {
    std::vector<mail::RecipientStatus> all;
    for (int i = 0; i < 7; ++i) all.push_back(status(DeliveryAction::failed, "u" + std::to_string(i) + "@example.net"));
    queue::NotificationSettings settings;
    settings.recipients = 3;
    const auto notices = queue::delivery_status_notifications(envelope(), "\r\n", all, settings);
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, notices.size());
    CPPUNIT_ASSERT(notices[2].text.find("<u6@example.net>") != std::string::npos);
    CPPUNIT_ASSERT(notices[1].envelope.id != notices[2].envelope.id);
  }

  void ids_are_the_same_at_a_replay() {
    const std::vector<mail::RecipientStatus> one{status(DeliveryAction::failed)};
    const auto first = queue::delivery_status_notifications(envelope(), "\r\n", one, {}), again = queue::delivery_status_notifications(envelope(), "\r\n", one, {});
    CPPUNIT_ASSERT_EQUAL(first[0].envelope.id, again[0].envelope.id);
    CPPUNIT_ASSERT(mail::is_message_id(first[0].envelope.id));
    CPPUNIT_ASSERT(first[0].envelope.id != envelope().id);
  }

  void a_message_without_sender_goes_to_postmaster_at_most() {
    const std::vector<mail::RecipientStatus> failed{status(DeliveryAction::failed)}, delayed{status(DeliveryAction::delayed)};
    queue::NotificationSettings settings;
    settings.postmaster = "postmaster@example.com";
    CPPUNIT_ASSERT(queue::delivery_status_notifications(envelope(""), "\r\n", failed, settings).empty());
    settings.double_bounces = true;
    CPPUNIT_ASSERT(queue::delivery_status_notifications(envelope(""), "\r\n", delayed, settings).empty());
    const auto notices = queue::delivery_status_notifications(envelope(""), "\r\n", failed, settings);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, notices.size());
    CPPUNIT_ASSERT_EQUAL(settings.postmaster, notices[0].envelope.recipients[0].address);
    // And if that fails too, nobody.
    CPPUNIT_ASSERT(queue::delivery_status_notifications(notices[0].envelope, "\r\n", failed, settings).empty());
  }

  struct World {
    std::vector<mail::Envelope> submitted;
    std::vector<std::string> texts;
    Result<std::vector<mail::Recipient>> answer = std::vector<mail::Recipient>(2);
    Result<void> room;
    Result<void> tell(DeliveryAction action) {
      auto telling = notifier();
      return net::run_coroutine(telling.tell(envelope(), "\r\n", {status(action)}));
    }
    queue::Notifier notifier() {
      return queue::Notifier([this](std::string) -> net::Awaitable<Result<std::vector<mail::Recipient>>> { co_return answer; },
                             [this](mail::Envelope made, std::string text) -> net::Awaitable<Result<void>> {
                               submitted.push_back(std::move(made));
                               texts.push_back(std::move(text));
                               co_return room;
                             },
                             {});
    }
  };

  void notices_are_submitted_to_where_policy_says() {
    World world;
    (*world.answer)[0].address = "a@inner.example.com";
    (*world.answer)[0].destination_channel = "ims-ms";
    CPPUNIT_ASSERT(world.tell(DeliveryAction::failed).has_value());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, world.submitted.size());
    CPPUNIT_ASSERT(world.submitted[0].reverse_path.empty());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, world.submitted[0].recipients.size());
    CPPUNIT_ASSERT_EQUAL(std::string("ims-ms"), world.submitted[0].recipients[0].destination_channel);
    CPPUNIT_ASSERT(world.submitted[0].recipients[1].notify_never && !world.submitted[0].recipients[1].notify_failure);
    CPPUNIT_ASSERT(world.tell(DeliveryAction::delivered).has_value());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, world.submitted.size());
  }

  void what_cannot_be_told_now_is_told_later_and_what_never_can_is_dropped() {
    World later;
    later.answer = Error{Kind::temporary, "the directory is silent"};
    CPPUNIT_ASSERT(!later.tell(DeliveryAction::failed).has_value());
    World never;
    never.answer = Error{Kind::not_found, "no such user"};
    CPPUNIT_ASSERT(never.tell(DeliveryAction::failed).has_value());
    CPPUNIT_ASSERT(never.submitted.empty());
    World full;
    full.room = Error{Kind::temporary, "no room"};
    CPPUNIT_ASSERT(!full.tell(DeliveryAction::failed).has_value());
  }

  // RFC 2852.
  void a_time_that_is_over_is_told_as_such() {
    World world;
    mail::Envelope late = envelope();
    late.recipients = {status(DeliveryAction::delayed).recipient};
    late.recipients[0].last_failure = {"4.4.1", "nobody there", "", {}};
    for (const auto& [past, want] : {std::pair{true, "Status: 4.4.7\r\n"}, {false, "Status: 4.4.1\r\n"}}) {
      late.deliver_by = mail::DeliverBy{base::wall_now() + (past ? -std::chrono::seconds(1) : std::chrono::seconds(3600)), mail::DeliverBy::Mode::notify, false};
      late.recipients[0].delay_notified = false;
      auto notifier = world.notifier();
      CPPUNIT_ASSERT(net::run_coroutine(notifier.tell_delay(late, "\r\n", base::wall_now())).has_value());
      CPPUNIT_ASSERT_MESSAGE(world.texts.back(), world.texts.back().find(want) != std::string::npos);
      CPPUNIT_ASSERT(late.recipients[0].delay_notified);
    }
  }

  void mistakes_in_texts_are_mistakes_of_the_configuration() {
    conf::Configuration configuration;
    configuration.host_name = "mail.example.com";
    configuration.notice_texts = {{"failure Subject:%20x%0AFrom:%20y%0A%0A%25{nonsense}", {}}, {"delay Subject:%20late%0AFrom:%20y%0A%0Atext", {}}};
    const auto mistakes = queue::check_notices(configuration);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, mistakes.size());
    CPPUNIT_ASSERT(mistakes[0].text.find("/en/failure: line 4: ") != std::string::npos);
    const auto settings = queue::notification_settings(configuration);
    CPPUNIT_ASSERT_EQUAL(std::string("late"), settings.delay.subject([](std::string_view) { return std::string(); }));
    CPPUNIT_ASSERT_EQUAL(std::string("postmaster@mail.example.com"), settings.postmaster);
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(NotificationTest);

}  // namespace
