// SPDX-License-Identifier: Apache-2.0
#include "mail/envelope.h"

#include "mail/message_id.h"

#include <cppunit/extensions/HelperMacros.h>

#include <set>

using namespace postern;
using namespace postern::mail;

namespace {

Envelope full() {
  Envelope envelope;
  envelope.id = new_message_id(3);
  envelope.received = base::from_microseconds(1795000000123456);
  envelope.reverse_path = "a@example.com";
  envelope.source_channel = "tcp_local";
  envelope.client_address = "192.0.2.1";
  envelope.helo = std::string("x\0y\r\n", 5);
  envelope.authenticated = "b@example.com";
  envelope.protocol = "UTF8SMTP";
  envelope.envelope_id = "QQ314159";
  envelope.body_8bit = envelope.held = envelope.jettisoned = envelope.released = true;
  envelope.added_header_fields = {"X-One: 1", ""};
  envelope.conversion_tags = {"scan"};
  envelope.held_by = "FROM_ACCESS line 3";
  envelope.spam_adjustments = {"1.5", "-2"};
  envelope.attempts = 7;
  Recipient recipient;
  recipient.address = recipient.original = "c@example.net";
  recipient.account = "c@example.net";
  recipient.destination_channel = "ims-ms";
  recipient.detail = "lists";
  recipient.conversion_tags = {"x", "y"};
  recipient.orcpt = "C@example.net";
  recipient.orcpt_type = "rfc822";
  recipient.notify_given = recipient.notify_success = true;
  recipient.notify_failure = false;
  recipient.delay_notified = true;
  recipient.next_host = "store.example.net";
  recipient.list_owner = "owner@example.com";
  recipient.conversion = Recipient::Conversion::wanted;
  recipient.last_failure = {"4.4.1", "connection refused", "mx.example.net", base::from_microseconds(1795000000654321)};
  envelope.authentication = {"pass", "fail", "pass", "none", "example.com", "example.com", "a.example b.example", "reject", "2", "mx.example.org; spf=pass"};
  envelope.forwarded = true;
  envelope.ret = Return::headers;
  envelope.require_tls = envelope.returned = envelope.restored = true;
  envelope.priority = -4;
  envelope.hold_until = base::from_microseconds(1795100000000000);
  envelope.deliver_by = DeliverBy{base::from_microseconds(1795200000000000), DeliverBy::Mode::notify, true};
  envelope.recipients = {recipient, Recipient{}};
  return envelope;
}

class EnvelopeTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(EnvelopeTest);
  CPPUNIT_TEST(reads_back_what_was_written);
  CPPUNIT_TEST(a_cut_envelope_is_corrupt);
  CPPUNIT_TEST(a_changed_count_is_corrupt_and_takes_no_memory);
  CPPUNIT_TEST(versions_before_are_read);
  CPPUNIT_TEST(values_that_mean_nothing_are_corrupt);
  CPPUNIT_TEST(another_version_is_corrupt);
  CPPUNIT_TEST(message_ids_are_unique_and_sorted);
  CPPUNIT_TEST(derived_ids_are_the_same_each_time);
  CPPUNIT_TEST_SUITE_END();

  void reads_back_what_was_written() {
    for (const Envelope& envelope : {full(), Envelope{}}) {
      const auto back = decode_envelope(encode(envelope));
      CPPUNIT_ASSERT(back.has_value());
      CPPUNIT_ASSERT(envelope == *back);
    }
  }

  void a_cut_envelope_is_corrupt() {
    const std::string bytes = encode(full());
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      const auto got = decode_envelope(std::string_view(bytes).substr(0, length));
      CPPUNIT_ASSERT(!got.has_value());
      CPPUNIT_ASSERT(got.error().kind == Kind::corrupt);
    }
    CPPUNIT_ASSERT(!decode_envelope(bytes + '\0'));
  }

  void a_changed_count_is_corrupt_and_takes_no_memory() {
    const std::string good = encode(full());
    for (std::size_t at = 5; at < good.size(); ++at) {
      std::string bytes = good;
      bytes[at] = '\xff';
      static_cast<void>(decode_envelope(bytes));  // whatever it says, it must say it
    }
    std::string bytes = encode(Envelope{});
    for (std::size_t i = 1; i <= 4; ++i) bytes[bytes.size() - i] = '\xff';  // the count of recipients
    CPPUNIT_ASSERT(!decode_envelope(bytes));
  }

  // As a spool has them after an upgrade. Version 5 lacks a flag. Version 4 lacks a byte at the end of each recipient. Version 3 lacks two texts at the end of each recipient, and two bytes in front of their
  // count. Version 2 has neither the three bytes behind attempts nor the five fields at the end of each
  // recipient; version 1 lacks an empty text and an empty list in front of attempts, too.
  void versions_before_are_read() {
    Envelope envelope;
    envelope.id = "an id";
    envelope.held = true;
    envelope.attempts = 9;
    Recipient& recipient = envelope.recipients.emplace_back();
    recipient.address = "a@example.com";
    const std::size_t new_of_recipient = 4 * 4 + 8, old_of_recipient = 6 * 4 + 13 + 4 + 1;
    std::string bytes = encode(envelope);
    bytes[4] = 5;
    const auto fifth = decode_envelope(bytes);
    CPPUNIT_ASSERT(fifth.has_value());
    CPPUNIT_ASSERT(envelope == *fifth);
    std::string defragmented = bytes;
    defragmented[defragmented.size() - 1 - new_of_recipient - old_of_recipient - 2 * 4 - 4 - 1] = 2;
    CPPUNIT_ASSERT(!decode_envelope(defragmented));
    defragmented[4] = 6;
    CPPUNIT_ASSERT(decode_envelope(defragmented).value().defragmented);
    bytes.pop_back();
    bytes[4] = 4;
    const auto fourth = decode_envelope(bytes);
    CPPUNIT_ASSERT(fourth.has_value());
    CPPUNIT_ASSERT(envelope == *fourth);
    bytes.resize(bytes.size() - 2 * 4);
    bytes.erase(bytes.size() - old_of_recipient - new_of_recipient - 4 - 2, 2);
    bytes[4] = 3;
    const auto third = decode_envelope(bytes);
    CPPUNIT_ASSERT(third.has_value());
    CPPUNIT_ASSERT(envelope == *third);
    std::string restored = bytes;
    restored[restored.size() - new_of_recipient - old_of_recipient - 4 - 3] = 32;  // nothing was restored then
    CPPUNIT_ASSERT(!decode_envelope(restored));
    bytes.resize(bytes.size() - new_of_recipient);
    bytes.erase(bytes.size() - old_of_recipient - 4 - 3, 3);
    bytes[4] = 2;
    const auto second = decode_envelope(bytes);
    CPPUNIT_ASSERT(second.has_value());
    CPPUNIT_ASSERT(envelope == *second);
    bytes.erase(bytes.size() - old_of_recipient - 4 - 4 - 8, 8);
    bytes[4] = 1;
    const auto first = decode_envelope(bytes);
    CPPUNIT_ASSERT(first.has_value());
    CPPUNIT_ASSERT(envelope == *first);
    // What NOTIFY was follows from what it led to.
    bytes.back() = 0;
    const auto never = decode_envelope(bytes);
    CPPUNIT_ASSERT(never && never->recipients[0].notify_given && never->recipients[0].notify_never);
    // Bits that the present version has put to use are damage in the earlier one.
    bytes.back() = 8;
    CPPUNIT_ASSERT(!decode_envelope(bytes));
  }

  void values_that_mean_nothing_are_corrupt() {
    const std::string good = encode(Envelope{});
    const std::size_t queue_flags = good.size() - 4 - 2 - 3;
    for (const std::size_t at : {queue_flags, queue_flags + 1, queue_flags + 2, queue_flags + 3, queue_flags + 4}) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(at == queue_flags ? 64 : at == queue_flags + 1 ? 3 : at == queue_flags + 2 ? 19 : at == queue_flags + 4 ? 4 : 2);
      CPPUNIT_ASSERT(!decode_envelope(bytes));
    }
    Envelope envelope;
    envelope.recipients.emplace_back();
    std::string bytes = encode(envelope);
    bytes.back() = 3;  // of the conversion channel
    CPPUNIT_ASSERT(!decode_envelope(bytes));
  }

  void another_version_is_corrupt() {
    std::string bytes = encode(Envelope{});
    bytes[4] = 7;
    CPPUNIT_ASSERT(!decode_envelope(bytes));
    CPPUNIT_ASSERT(!decode_envelope(""));
    CPPUNIT_ASSERT(!decode_envelope("PEnv"));
  }

  void message_ids_are_unique_and_sorted() {
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) {
      const std::string id = new_message_id(static_cast<unsigned>(i));
      CPPUNIT_ASSERT(is_message_id(id));
      CPPUNIT_ASSERT(seen.insert(id).second);
    }
    const std::string earlier = new_message_id(0).substr(0, 11);
    CPPUNIT_ASSERT(earlier <= new_message_id(0).substr(0, 11));
    for (const std::string_view bad : {"", "x", "0123456789abcdefghijklmnopqr", "0123456789abcdefghijklmno/", "0123456789ABCDEFGHIJKLMNOP"})
      CPPUNIT_ASSERT(!is_message_id(bad));
  }

  void derived_ids_are_the_same_each_time() {
    const std::string id = new_message_id(1);
    std::set<std::string> seen{id};
    for (unsigned recipient = 0; recipient < 50; ++recipient)
      for (unsigned action = 0; action < 50; ++action) {
        const std::string derived = derived_message_id(id, recipient, action);
        CPPUNIT_ASSERT(is_message_id(derived));
        CPPUNIT_ASSERT(seen.insert(derived).second);
        CPPUNIT_ASSERT_EQUAL(derived, derived_message_id(id, recipient, action));
      }
    CPPUNIT_ASSERT(is_message_id(derived_message_id("short", 0, 0)));
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(EnvelopeTest);

}  // namespace
