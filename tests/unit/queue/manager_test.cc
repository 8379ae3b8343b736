// SPDX-License-Identifier: Apache-2.0
// What becomes of entries: attempts, ends, orders, and what a queue that died has left behind. Which one is next is in waiting_test.
#include "queue/manager.h"

#include "mail/message_id.h"
#include "net/run_coroutine.h"

#include "../../forwarding_files.h"
#include "../scratch_directory.h"

#include <cppunit/extensions/HelperMacros.h>

#include <map>
#include <set>

using namespace postern;
using namespace std::chrono_literals;
using queue::Manager;

namespace {

using Order = spool::Deferred::MessageOrder;

class Disk : public test::ForwardingFiles {
 public:
  Result<void> write_gather_at(int file, std::span<const std::string_view> pieces, std::uint64_t offset) override {
    if (full_) return Error{Kind::temporary, "no space left"};
    return ForwardingFiles::write_gather_at(file, pieces, offset);
  }
  Result<void> unlink(int directory, const std::string& name) override {
    if (stuck_) return Error{Kind::temporary, "read-only file system"};
    return ForwardingFiles::unlink(directory, name);
  }
  bool full_ = false, stuck_ = false;
};

// One queue child's life; journals are lists. As in the server, what appears among the entries is told to the manager.
class Site {
 public:
  explicit Site(queue::ManagerSettings settings = {})
      : deferred_(spool::Deferred::open(disk_, scratch_.directory.get()).value()),
        notifier_([](std::string address) -> net::Awaitable<Result<std::vector<mail::Recipient>>> {
                    mail::Recipient recipient;
                    recipient.address = std::move(address);
                    co_return std::vector<mail::Recipient>{recipient};
                  },
                  [this](mail::Envelope envelope, std::string) -> net::Awaitable<Result<void>> {
                    if (journals_full_) co_return Error{Kind::temporary, "no room"};
                    notices_.push_back(std::move(envelope));
                    co_return Result<void>();
                  },
                  {}),
        manager_({deferred_, notifier_,
                  [this](mail::Envelope envelope, std::string text) -> net::Awaitable<Result<void>> {
                    if (incoming_full_) co_return Error{Kind::temporary, "no room"};
                    CPPUNIT_ASSERT_EQUAL(std::string("text"), text);
                    incoming_.push_back(std::move(envelope));
                    co_return Result<void>();
                  },
                  [this](mail::Envelope envelope, std::string text) -> net::Awaitable<Result<spool::Position>> {
                    CPPUNIT_ASSERT_EQUAL(std::string("text"), text);
                    outgoing_.push_back(std::move(envelope));
                    co_return spool::Position{1, 1, outgoing_.size() * 8};
                  },
                  [this](std::vector<spool::Position>& positions) { std::erase_if(positions, [this](const auto& one) { return finished_.count(one.offset) > 0; }); },
                  [] {}, [](const std::string& channel) { return channel == "tcp_local"; },
                  [this](const mail::Envelope& envelope, std::string_view) -> Result<void> {
                    if (journals_full_) return Error{Kind::temporary, "no room"};
                    held_.push_back(envelope);
                    return {};
                  },
                  [this](const std::string& id) { return gone_.count(id) > 0; },
                  [this](const mail::Envelope& envelope, const mail::Recipient& recipient) {
                    const auto found = gone_.find(envelope.id);
                    return found != gone_.end() && found->second == std::to_string(envelope.attempts) + " " + recipient.address;
                  },
                  [this] { return base::wall_now() + clock_; }},
                 settings) {}

  // Those named "…@local.example" have a mailbox; the others were tried before.
  spool::DeferredEntry put(const std::vector<std::string>& addresses, std::uint32_t attempts = 1, base::WallTime when = base::WallTime(1s)) {
    mail::Envelope envelope;
    envelope.id = mail::new_message_id(1);
    envelope.received = base::wall_now() - 1h;
    envelope.reverse_path = "s@example.org";
    envelope.attempts = attempts;
    for (const std::string& address : addresses) {
      mail::Recipient recipient;
      recipient.address = address;
      if (address.ends_with("@local.example")) {
        recipient.account = address;
      } else {
        recipient.destination_channel = "tcp_local";
        if (attempts > 0) recipient.last_failure = {"4.4.1", "nobody there", "", base::wall_now()};
      }
      envelope.recipients.push_back(recipient);
    }
    return deferred_.put(envelope, "text", when).value();
  }
  // Relay, or delivery, puts it off again.
  void come_back(const mail::Envelope& sent, const std::string& status = "4.4.1") {
    mail::Envelope envelope = sent;
    ++envelope.attempts;
    for (auto& recipient : envelope.recipients) recipient.last_failure = {status, "", "", base::wall_now()};
    manager_.appeared(deferred_.put(envelope, "text", base::wall_now() + 1h).value().name);
  }
  void run() {
    net::run_coroutine(manager_.run());
  }
  std::size_t entries() { return deferred_.list(100).value().size(); }

  test::ScratchDirectory scratch_;
  Disk disk_;
  spool::Deferred deferred_;
  queue::Notifier notifier_;
  std::vector<mail::Envelope> incoming_, outgoing_, held_, notices_;
  std::set<std::uint64_t> finished_;          // offsets of records
  std::map<std::string, std::string> gone_;   // by id: attempts and recipient of a record in the outgoing journal
  bool incoming_full_ = false, journals_full_ = false;
  std::chrono::microseconds clock_{0};        // by which the clock is ahead
  Manager manager_;
};

class ManagerTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ManagerTest);
  CPPUNIT_TEST(each_part_goes_into_its_journal);
  CPPUNIT_TEST(what_was_never_tried_meets_the_filters);
  CPPUNIT_TEST(what_has_gone_out_does_not_go_again_when_the_rest_must_wait);
  CPPUNIT_TEST(an_order_given_during_an_attempt_is_carried_out);
  CPPUNIT_TEST(an_order_that_stands_at_the_start_is_carried_out);
  CPPUNIT_TEST(an_order_that_fails_is_tried_again);
  CPPUNIT_TEST(what_a_dead_queue_has_handed_on_is_not_sent_again);
  CPPUNIT_TEST(two_entries_are_made_one);
  CPPUNIT_TEST(what_expires_goes_back);
  CPPUNIT_TEST(held_until_its_time);
  CPPUNIT_TEST(an_entry_that_somebody_has_is_left_alone);
  CPPUNIT_TEST(what_cannot_be_removed_is_not_done_again);
  CPPUNIT_TEST(a_delay_is_told_once_though_the_disk_is_full);
  CPPUNIT_TEST(a_clock_that_was_wrong_holds_up_nothing);
  CPPUNIT_TEST(a_message_without_recipients_goes);
  CPPUNIT_TEST_SUITE_END();

  void each_part_goes_into_its_journal() {
    Site site;
    site.put({"a@one.example", "b@local.example"});
    CPPUNIT_ASSERT(site.manager_.scan());
    site.run();
    CPPUNIT_ASSERT(site.incoming_.size() == 1 && site.outgoing_.size() == 1);
    CPPUNIT_ASSERT_EQUAL(std::string("b@local.example"), site.incoming_[0].recipients.at(0).address);
    CPPUNIT_ASSERT_EQUAL(std::string("a@one.example"), site.outgoing_[0].recipients.at(0).address);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.entries());
  }

  void what_was_never_tried_meets_the_filters() {
    Site site;
    site.put({"a@one.example"}, 0);
    CPPUNIT_ASSERT(site.manager_.scan());
    site.run();
    CPPUNIT_ASSERT(site.incoming_.size() == 1 && site.outgoing_.empty());
    CPPUNIT_ASSERT_EQUAL_MESSAGE("a delivery before a crash is looked for", 1U, site.incoming_[0].attempts);
  }

  void what_has_gone_out_does_not_go_again_when_the_rest_must_wait() {
    Site site;
    site.put({"a@one.example", "b@local.example"});
    site.incoming_full_ = true;
    CPPUNIT_ASSERT(site.manager_.scan());
    site.run();
    CPPUNIT_ASSERT(site.outgoing_.size() == 1 && site.incoming_.empty());
    const auto left = site.deferred_.list(10).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, left.size());
    const auto envelope = site.deferred_.read(left[0]).value().envelope;
    CPPUNIT_ASSERT(envelope.recipients.size() == 1 && envelope.recipients[0].address == "b@local.example");
    // Where even that can't be written, it is known until the end of this child.
    Site full;
    full.put({"a@one.example", "b@local.example"});
    full.incoming_full_ = full.disk_.full_ = true;
    CPPUNIT_ASSERT(full.manager_.scan());
    full.run();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, full.outgoing_.size());
    full.incoming_full_ = full.disk_.full_ = false;
    CPPUNIT_ASSERT(full.manager_.scan());
    full.run();
    CPPUNIT_ASSERT(full.outgoing_.size() == 1 && full.incoming_.size() == 1);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, full.entries());
  }

  void an_order_given_during_an_attempt_is_carried_out() {
    for (const Order order : {Order::bounce, Order::hold, Order::remove}) {
      Site site;
      const auto entry = site.put({"a@one.example"});
      CPPUNIT_ASSERT(site.manager_.scan());
      site.run();
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.outgoing_.size());
      CPPUNIT_ASSERT(site.deferred_.give_message_order(entry.id, order));
      site.manager_.appeared(".order-" + entry.id);
      site.come_back(site.outgoing_[0]);
      site.run();
      CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.entries());
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.outgoing_.size());
      CPPUNIT_ASSERT_EQUAL(std::size_t{order == Order::bounce ? 1U : 0U}, site.notices_.size());
      CPPUNIT_ASSERT_EQUAL(std::size_t{order == Order::hold ? 1U : 0U}, site.held_.size());
      if (order == Order::hold) CPPUNIT_ASSERT(site.held_[0].held && !site.held_[0].held_by.empty());
      // Another part of the message that comes back later has the same end; once the order is taken back it has its attempts.
      site.come_back(site.outgoing_[0]);
      site.run();
      CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.entries());
      site.deferred_.forget_message_order(entry.id);
      site.manager_.disappeared(".order-" + entry.id);
      site.come_back(site.outgoing_[0]);
      site.run();
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.entries());
    }
  }

  void an_order_that_stands_at_the_start_is_carried_out() {
    Site site;
    const auto entry = site.put({"a@one.example"}, 1, base::wall_now() + 4h), other = site.put({"b@one.example"}, 1, base::wall_now() + 4h);
    CPPUNIT_ASSERT(site.deferred_.give_message_order(entry.id, Order::remove));
    CPPUNIT_ASSERT(site.manager_.scan());
    site.run();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.entries());
    CPPUNIT_ASSERT(site.deferred_.claim(other));
    CPPUNIT_ASSERT(site.outgoing_.empty());
  }

  void an_order_that_fails_is_tried_again() {
    for (const Order order : {Order::bounce, Order::hold}) {
      Site site;
      const auto entry = site.put({"a@one.example"});
      CPPUNIT_ASSERT(site.deferred_.give_message_order(entry.id, order));
      site.journals_full_ = true;
      CPPUNIT_ASSERT(site.manager_.scan());
      site.run();
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.entries());
      site.journals_full_ = false;
      CPPUNIT_ASSERT(site.manager_.scan());
      site.run();
      CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.entries());
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.notices_.size() + site.held_.size());
    }
  }

  void what_a_dead_queue_has_handed_on_is_not_sent_again() {
    Site site;
    const auto whole = site.put({"a@one.example"}), part = site.put({"a@one.example", "b@two.example"}), never = site.put({"a@one.example"}, 0),
               other = site.put({"a@one.example"}, 2);
    for (const auto& entry : {whole, part, never}) site.gone_[entry.id] = "1 a@one.example";
    site.gone_[other.id] = "1 a@one.example";  // the attempt before
    CPPUNIT_ASSERT(site.manager_.scan());
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, site.entries());
    CPPUNIT_ASSERT(!site.deferred_.claim(whole));
    while (site.manager_.waiting().size() > 0) {
      site.run();
      for (const auto& sent : site.outgoing_) site.finished_.insert(8 * (1 + static_cast<std::size_t>(&sent - site.outgoing_.data())));
    }
    std::string sent;
    for (const auto& envelope : site.outgoing_) {
      CPPUNIT_ASSERT(envelope.id != whole.id && envelope.recipients.size() == 1);
      sent += envelope.recipients[0].address + " ";
    }
    CPPUNIT_ASSERT(sent == "a@one.example b@two.example " || sent == "b@two.example a@one.example ");
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.incoming_.size());
    // Only what was there at the start can be a dead one's.
    const auto later = site.put({"a@one.example"});
    site.gone_[later.id] = "1 a@one.example";
    CPPUNIT_ASSERT(site.manager_.scan());
    site.run();
    CPPUNIT_ASSERT_EQUAL(later.id, site.outgoing_.back().id);
  }

  void two_entries_are_made_one() {
    Site site;
    const auto first = site.put({"a@one.example"}, 1, base::wall_now() + 1h);
    auto message = site.deferred_.read(first).value();
    message.envelope.attempts = 2;
    message.envelope.returned = true;
    message.envelope.recipients[0].address = "b@one.example";
    CPPUNIT_ASSERT(site.deferred_.put(message.envelope, "text", base::wall_now() + 2h));
    CPPUNIT_ASSERT(site.manager_.scan());
    site.run();
    const auto left = site.deferred_.list(10).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, left.size());
    const auto envelope = site.deferred_.read(left[0]).value().envelope;
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, envelope.recipients.size());
    CPPUNIT_ASSERT(envelope.attempts == 2 && envelope.returned);
  }

  void what_expires_goes_back() {
    queue::ManagerSettings settings;
    settings.hosts.expire_time = settings.mailboxes.expire_time = 10min;
    Site site(settings);
    site.put({"a@one.example"});
    site.put({"c@one.example"}, 1, base::WallTime{});  // forced: it has one more attempt
    CPPUNIT_ASSERT(site.manager_.scan());
    site.run();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.outgoing_.size());
    CPPUNIT_ASSERT_EQUAL(std::string("c@one.example"), site.outgoing_[0].recipients[0].address);
    site.finished_.insert(8);
    site.run();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.notices_.size());
    CPPUNIT_ASSERT(site.notices_[0].reverse_path.empty());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.entries());
  }

  // RFC 4865 section 5.
  void held_until_its_time() {
    Site site;
    const auto entry = site.put({"a@local.example"}, 0);
    auto message = site.deferred_.read(entry).value();
    message.envelope.hold_until = base::wall_now() + 2h;
    CPPUNIT_ASSERT(site.deferred_.postpone(entry, message.envelope, "text", base::WallTime(1s)));
    CPPUNIT_ASSERT(site.manager_.scan());
    site.run();
    CPPUNIT_ASSERT(site.incoming_.empty());
    CPPUNIT_ASSERT(site.deferred_.list(10).value().at(0).next_attempt > base::wall_now() + 1h);
  }

  void what_cannot_be_removed_is_not_done_again() {
    queue::ManagerSettings settings;
    for (const bool expires : {false, true}) {
      settings.hosts.expire_time = expires ? 10min : 24h * 5;
      Site site(settings);
      site.put({"a@one.example"});
      site.disk_.stuck_ = true;
      CPPUNIT_ASSERT(site.manager_.scan());
      for (int i = 0; i < 4; ++i) {
        site.run();
        site.finished_.insert(8);
        site.clock_ += 10min;
      }
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.outgoing_.size() + site.notices_.size());
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.entries());
      site.disk_.stuck_ = false;
      for (int i = 0; i < 2; ++i) {
        site.run();
        site.clock_ += 10min;
      }
      CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.entries());
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.outgoing_.size() + site.notices_.size());
    }
  }

  void a_delay_is_told_once_though_the_disk_is_full() {
    queue::ManagerSettings settings;
    settings.hosts.delay_notice = settings.mailboxes.delay_notice = 10min;
    Site site(settings);
    site.put({"a@local.example"});
    site.incoming_full_ = true;
    CPPUNIT_ASSERT(site.manager_.scan());
    for (int i = 0; i < 4; ++i) {
      site.run();
      site.clock_ += 10min;
    }
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.notices_.size());
    site.incoming_full_ = false;
    site.run();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.incoming_.size());
    CPPUNIT_ASSERT(site.incoming_[0].recipients[0].delay_notified);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.notices_.size());
  }

  void a_clock_that_was_wrong_holds_up_nothing() {
    // Put off while it was three years ahead.
    const auto ahead = [](Site& site, const std::string& address) {
      const auto entry = site.put({address}, 1, base::wall_now() + 24h * 1000 + 1h);
      auto message = site.deferred_.read(entry).value();
      message.envelope.received = base::wall_now() + 24h * 1000;
      return site.deferred_.postpone(entry, message.envelope, "text", entry.next_attempt).value();
    };
    Site site;
    ahead(site, "a@one.example");
    CPPUNIT_ASSERT(site.manager_.scan());
    site.run();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.outgoing_.size());
    CPPUNIT_ASSERT_MESSAGE("it would never expire", site.outgoing_[0].received <= base::wall_now());
    // Set right while the queue child lives.
    Site living;
    living.clock_ = 24h * 1000;
    ahead(living, "a@one.example");
    CPPUNIT_ASSERT(living.manager_.scan());
    living.run();
    CPPUNIT_ASSERT(living.outgoing_.empty());
    living.clock_ = 0h;
    living.run();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, living.outgoing_.size());
    // Who wants it held so long has it held so long.
    Site held;
    const auto entry = held.put({"a@one.example"}, 0, base::wall_now() + 24h * 300);
    auto message = held.deferred_.read(entry).value();
    message.envelope.hold_until = base::wall_now() + 24h * 300;
    CPPUNIT_ASSERT(held.deferred_.postpone(entry, message.envelope, "text", entry.next_attempt));
    CPPUNIT_ASSERT(held.manager_.scan());
    held.run();
    CPPUNIT_ASSERT(held.outgoing_.empty() && held.incoming_.empty());
  }

  void a_message_without_recipients_goes() {
    Site site;
    site.put({});
    CPPUNIT_ASSERT(site.manager_.scan());
    site.run();
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.entries());
    CPPUNIT_ASSERT(site.outgoing_.empty() && site.incoming_.empty() && site.notices_.empty());
  }

  void an_entry_that_somebody_has_is_left_alone() {
    Site site;
    const auto entry = site.put({"a@one.example"});
    const auto claim = site.deferred_.claim(entry).value();
    CPPUNIT_ASSERT(site.manager_.scan());
    site.run();
    CPPUNIT_ASSERT(site.outgoing_.empty());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.manager_.waiting().size());
  }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ManagerTest);

}  // namespace
