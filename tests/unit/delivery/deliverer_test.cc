// SPDX-License-Identifier: Apache-2.0
#include "site.h"

#include <cppunit/extensions/HelperMacros.h>

namespace postern::delivery {
namespace {

class DelivererTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(DelivererTest);
  CPPUNIT_TEST(plain_message_reaches_the_inbox_with_its_return_path);
  CPPUNIT_TEST(recipients_without_filters_share_one_file);
  CPPUNIT_TEST(record_is_delivered_once_however_often_it_is_offered);
  CPPUNIT_TEST(what_reached_a_mailbox_is_counted_once);
  CPPUNIT_TEST(levels_decide_in_their_order);
  CPPUNIT_TEST(broken_script_keeps_the_message);
  CPPUNIT_TEST(absent_directory_puts_the_message_off);
  CPPUNIT_TEST(mail_for_an_account_that_is_gone_is_kept_for_postmaster);
  CPPUNIT_TEST(return_path_of_the_peer_is_dropped);
  CPPUNIT_TEST(large_messages_make_small_batches);
  CPPUNIT_TEST(postmaster_needs_no_account);
  CPPUNIT_TEST(redirect_goes_to_the_journal_with_a_derived_id);
  CPPUNIT_TEST(redirect_that_fails_keeps_the_message);
  CPPUNIT_TEST(redirect_ends_where_it_has_been_before);
  CPPUNIT_TEST(fileinto_that_fails_keeps_the_message);
  CPPUNIT_TEST(message_that_killed_often_is_delivered_without_filters);
  CPPUNIT_TEST(held_message_is_kept_until_it_is_let_go);
  CPPUNIT_TEST(recipient_on_hold_waits_alone_and_is_resolved_anew);
  CPPUNIT_TEST(recipients_of_other_hosts_are_handed_on_together);
  CPPUNIT_TEST(what_went_on_goes_once_while_the_rest_can_not_be_put_off);
  CPPUNIT_TEST(what_a_dead_child_handed_on_is_not_handed_on_again);
  CPPUNIT_TEST(message_discarded_by_a_table_stays_for_whoever_keeps_it);
  CPPUNIT_TEST_SUITE_END();

  void plain_message_reaches_the_inbox_with_its_return_path() {
    Site site;
    site.account("a@example.com");
    site.work({site.append({"a@example.com"}, {}, [](mail::Envelope& e) { e.added_header_fields = {"X-Seen: yes"}; })});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a"));
    const std::string text = content(site.only_file("example.com/a"));
    CPPUNIT_ASSERT_MESSAGE(text, text.starts_with("Return-Path: <s@example.org>\nX-Seen: yes\nFrom: s@example.org\n"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);
  }

  void recipients_without_filters_share_one_file() {
    Site site;
    site.account("a@example.com");
    site.account("b@example.com");
    site.work({site.append({"a@example.com", "b@example.com"})});
    struct stat status {};
    CPPUNIT_ASSERT_EQUAL(0, ::stat(site.only_file("example.com/a").c_str(), &status));
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, static_cast<std::size_t>(status.st_nlink));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/b"));
  }

  void record_is_delivered_once_however_often_it_is_offered() {
    Site site;
    site.account("a@example.com");
    const spool::Position position = site.append({"a@example.com"});
    site.work({position, position});
    site.work({position});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a"));
  }

  void what_reached_a_mailbox_is_counted_once() {
    Site site;
    site.account("a@example.com");
    site.account("b@example.com", "require [\"fileinto\", \"copy\"]; fileinto :copy \"Two\"; keep;");
    site.account("c@example.com", "discard;");
    const spool::Position position = site.append({"a@example.com", "b@example.com", "c@example.com"});
    site.work({position});
    site.work({position});
    site.work({site.append({"c@example.com"})});
    const auto traffic = site.state_.traffic();
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, traffic.delivered_messages);
    // The second one has it twice, the third one not at all.
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, traffic.delivered_recipients);
    CPPUNIT_ASSERT(traffic.delivered_bytes > 0 && traffic.received_messages == 0);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, site.state_.totals().finished);
  }

  // access-control.md 11.4, FI1 to FI7.
  void levels_decide_in_their_order() {
    struct {
      const char *name, *user, *channel, *server;
      std::size_t inbox, bulk;
    } rows[] = {
        {"FI1", "keep;", "", "discard;", 1, 0},
        {"FI2", "keep;", "", "require \"vnd.postern.jettison\"; jettison;", 0, 0},
        {"FI3", "", "require \"fileinto\"; fileinto \"Bulk\";", "discard;", 0, 1},
        {"FI4", "if false { keep; }", "", "discard;", 0, 0},
        {"FI5", "stop;", "", "discard;", 0, 0},
        {"FI6", "discard;", "keep;", "", 0, 0},
        {"FI7", "hold;", "", "", 1, 0},
    };
    for (const auto& row : rows) {
      Site site;
      site.account("a@example.com", row.user);
      site.settings_.filters.destination_filters = {{"ims-ms", {"channel.filter", row.channel}}};
      site.settings_.filters.server = {"system.filter", row.server};
      site.work({site.append({"a@example.com"})});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.inbox, site.count("example.com/a"));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, row.bulk, site.count("example.com/a", ".Bulk"));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.name, std::size_t{0}, site.unfinished_);
    }
  }

  void broken_script_keeps_the_message() {
    Site site;
    site.account("a@example.com", "if header { keep }");
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, site.work({site.append({"a@example.com"})}).filter_errors);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a"));
  }

  void absent_directory_puts_the_message_off() {
    Site site;
    site.account("a@example.com");
    site.directory_.set_down(true);
    site.work({site.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.deferred_);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);
  }

  void mail_for_an_account_that_is_gone_is_kept_for_postmaster() {
    Site site;
    site.work({site.append({"gone@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/postmaster", ".Undeliverable"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.deferred_);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);
  }

  void return_path_of_the_peer_is_dropped() {
    struct {
      std::string_view message, want;
    } rows[] = {
        {"From: a\r\n\r\nReturn-Path: <x>\r\n", "From: a\r\n\r\nReturn-Path: <x>\r\n"},
        {"Return-Path: <x>\r\nFrom: a\r\n\r\nbody\r\n", "From: a\r\n\r\nbody\r\n"},
        {"A: 1\r\nreturn-path:\r\n <x>\r\nB: 2\r\nReturn-Path: y\r\n\r\n", "A: 1\r\nB: 2\r\n\r\n"},
        {"Return-Path: <x>\r\n", ""},
        {"Return-Path: no end", ""},
        {"Return-Paths: <x>\r\n", "Return-Paths: <x>\r\n"},
        {"", ""},
    };
    for (const auto& row : rows) {
      std::string joined;
      for (const std::string_view piece : without_return_path(row.message)) joined += piece;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.message), std::string(row.want), joined);
    }
    Site site;
    site.account("a@example.com");
    site.work({site.append({"a@example.com"}, "Return-Path: <forged@example.net>\r\n")});
    CPPUNIT_ASSERT(content(site.only_file("example.com/a")).find("forged") == std::string::npos);
  }

  void large_messages_make_small_batches() {
    Site site;
    site.account("a@example.com");
    site.settings_.batch_bytes = 100;
    std::vector<spool::Position> positions;
    for (int i = 0; i < 6; ++i) positions.push_back(site.append({"a@example.com"}));
    CPPUNIT_ASSERT(site.work(positions).batches >= 2);
    CPPUNIT_ASSERT_EQUAL(std::size_t{6}, site.count("example.com/a"));
  }

  void postmaster_needs_no_account() {
    Site site;
    site.work({site.append({"postmaster@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/postmaster"));
  }

  void redirect_goes_to_the_journal_with_a_derived_id() {
    Site site;
    site.account("a@example.com", "redirect \"b@example.com\";");
    site.work({site.append({"a@example.com"}, {}, [](mail::Envelope& e) { e.discarded = true; })});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.submitted_.size());
    const auto& [envelope, text] = site.submitted_.front();
    CPPUNIT_ASSERT_EQUAL(mail::derived_message_id(site.last_id_, base::crc32c("a@example.com"), 0), envelope.id);
    CPPUNIT_ASSERT_EQUAL(std::string("b@example.com"), envelope.recipients.front().address);
    CPPUNIT_ASSERT_EQUAL(std::string("s@example.org"), envelope.reverse_path);
    CPPUNIT_ASSERT_MESSAGE("who sends it on overrides a discard", !envelope.discarded);
    CPPUNIT_ASSERT_MESSAGE(text, text.starts_with("Delivered-To: a@example.com\r\nFrom:"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.count("example.com/a"));
  }

  void redirect_that_fails_keeps_the_message() {
    for (const char* target : {"x@example.net", "b@example.com"}) {
      Site site;
      site.submit_fails_ = true;
      site.account("a@example.com", std::string("redirect \"") + target + "\";");
      site.work({site.append({"a@example.com"})});
      CPPUNIT_ASSERT_EQUAL_MESSAGE(target, std::size_t{1}, site.count("example.com/a"));
      CPPUNIT_ASSERT(site.submitted_.empty());
    }
  }

  // And that is no failure: what else is to be done is done.
  void redirect_ends_where_it_has_been_before() {
    std::string travelled;
    for (int i = 0; i < 51; ++i) travelled += "Received: from x by y; Sun, 22 Nov 2026 09:00:00 +0000\r\n";
    for (const std::string& fields : {std::string("Delivered-To: A@example.com\r\n"), std::string("X-Postern-Redirected: A@example.com\r\n"), travelled}) {
      Site site;
      site.account("a@example.com", "require \"enotify\"; redirect \"b@example.com\"; notify \"mailto:c@example.com\";");
      const auto counters = site.work({site.append({"a@example.com"}, fields)});
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.submitted_.size());
      CPPUNIT_ASSERT_EQUAL(std::string("c@example.com"), site.submitted_[0].first.recipients.front().address);
      CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, counters.filter_errors);
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a"));
    }
  }

  void fileinto_that_fails_keeps_the_message() {
    Site site;
    site.settings_.create_folders = false;
    site.account("a@example.com", "require \"fileinto\"; fileinto \"Missing\";");
    site.work({site.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a"));
  }

  void message_that_killed_often_is_delivered_without_filters() {
    Site site;
    site.account("a@example.com", "discard;");
    const spool::Position position = site.append({"a@example.com"});
    for (int death = 0; death < 3; ++death) {
      // A child that dies while it works on the record alone leaves a mark on it; the first one did not work alone.
      if (death == 0) {
        site.state_.claim(position, 3);
        CPPUNIT_ASSERT(site.state_.release_child(3));
      }
      CPPUNIT_ASSERT(site.state_.claim(position, 3).must_be_alone);
      site.state_.work_alone(position, 3);
      CPPUNIT_ASSERT(site.state_.release_child(3));
    }
    site.work({position});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a"));
  }

  void held_message_is_kept_until_it_is_let_go() {
    Site site;
    site.account("a@example.com");
    const auto held = [](mail::Envelope& e) {
      e.held = true;
      e.held_by = "FROM_ACCESS line 3";
    };
    site.work({site.append({"a@example.com"}, {}, held)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.deferred_);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.held_.size());
    CPPUNIT_ASSERT_EQUAL(std::string("FROM_ACCESS line 3"), site.held_[0].held_by);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.count("example.com/a"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);
  }

  void recipient_on_hold_waits_alone_and_is_resolved_anew() {
    Site site;
    site.account("a@example.com");
    site.account("b@example.com");
    const auto second_on_hold = [](mail::Envelope& e) {
      e.recipients[1].destination_channel = "hold";
      e.recipients[1].account.clear();
    };
    site.work({site.append({"a@example.com", "b@example.com"}, {}, second_on_hold)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.held_.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.held_[0].recipients.size());
    CPPUNIT_ASSERT_EQUAL(std::string("channel hold"), site.held_[0].held_by);

    const auto let_go = [](const std::string& original) {
      return [original](mail::Envelope& e) {
        e.attempts = 1;
        e.released = true;
        e.recipients[0].destination_channel = "hold";
        e.recipients[0].account.clear();
        e.recipients[0].original = original;
      };
    };
    Site other;
    other.work({other.append({"b@held.example.com"}, {}, let_go("b@example.com")), other.append({"x@held.example.com"}, {}, let_go("held@example.com"))});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, other.submitted_.size());
    CPPUNIT_ASSERT_EQUAL(std::string("b@example.com"), other.submitted_[0].first.recipients.at(0).address);
    CPPUNIT_ASSERT_EQUAL_MESSAGE("still on hold", std::size_t{1}, other.held_.size());
  }

  void recipients_of_other_hosts_are_handed_on_together() {
    const auto elsewhere = [](mail::Envelope& e) {
      for (const std::size_t index : {1, 2}) {
        e.recipients[index].destination_channel = index == 1 ? "tcp_local" : "tcp_internal";
        e.recipients[index].account.clear();
      }
    };
    const std::vector<std::string> all{"a@example.com", "x@example.net", "y@example.net"};
    Site site;
    site.account("a@example.com");
    site.work({site.append(all, {}, elsewhere), site.append(all, {}, elsewhere)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.count("example.com/a"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.sent_out_.size());
    const auto& [envelope, text] = site.sent_out_[1];
    CPPUNIT_ASSERT_EQUAL(site.last_id_, envelope.id);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, envelope.recipients.size());
    CPPUNIT_ASSERT_EQUAL(std::string("x@example.net"), envelope.recipients[0].address);
    CPPUNIT_ASSERT(text.ends_with("\r\nbody\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);

    Site full;
    full.account("a@example.com");
    full.send_out_fails_ = true;
    full.work({full.append(all, {}, elsewhere)});
    CPPUNIT_ASSERT_EQUAL_MESSAGE("it stays where it is", std::size_t{1}, full.unfinished_);

    // What a channel's filter changes is a message of its own.
    Site changed;
    changed.account("a@example.com");
    changed.settings_.filters.destination_filters = {{"tcp_internal", {"in.filter", "require \"editheader\"; addheader \"X-Way\" \"inside\";"}}};
    changed.work({changed.append(all, {}, elsewhere)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, changed.sent_out_.size());
    CPPUNIT_ASSERT_EQUAL(changed.last_id_, changed.sent_out_[0].first.id);
    CPPUNIT_ASSERT(changed.sent_out_[1].first.id != changed.last_id_);
    CPPUNIT_ASSERT(changed.sent_out_[1].second.starts_with("X-Way: inside\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("y@example.net"), changed.sent_out_[1].first.recipients.at(0).address);
  }

  // A full disk: what was written to a journal stands there, but nothing can be put off, and the record is tried again at once.
  void what_went_on_goes_once_while_the_rest_can_not_be_put_off() {
    Site site;
    site.account("sends.on@example.com", "redirect \"out@example.org\";");
    site.account("absent@example.com");
    const auto position = site.append({"sends.on@example.com", "x@example.net", "absent@example.com"}, {}, [](mail::Envelope& e) {
      e.recipients[1].destination_channel = "tcp_local";
      e.recipients[1].account.clear();
    });
    const fs::path deferred = site.path_of("spool/deferred"), mailbox = site.path_of("mail/example.com/absent");
    fs::create_directories(mailbox.parent_path());
    std::ofstream(mailbox) << "no directory";
    site.attempts_ = 4;
    site.before_attempt_ = [&](unsigned attempt) {
      // Nothing can be written into a directory that is gone, though it is open.
      if (attempt == 0) fs::remove(deferred);
      site.send_out_fails_ = attempt == 0;
    };
    site.work({position});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.unfinished_);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.submitted_.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.sent_out_.size());
    CPPUNIT_ASSERT_EQUAL(std::string("x@example.net"), site.sent_out_[0].first.recipients.at(0).address);
  }

  void what_a_dead_child_handed_on_is_not_handed_on_again() {
    const auto elsewhere = [](const std::string& id, std::uint32_t attempts) {
      return [id, attempts](mail::Envelope& e) {
        e.id = id;
        e.attempts = attempts;
        for (mail::Recipient& recipient : e.recipients) {
          recipient.destination_channel = "tcp_local";
          recipient.account.clear();
        }
      };
    };
    const std::vector<std::string> all{"x@example.net", "y@example.net"};
    Site site;
    site.handed_on_ = {"whole 0 x@example.net", "whole 0 y@example.net", "part 0 x@example.net", "later 0 x@example.net", "later 0 y@example.net"};
    site.work({site.append(all, {}, elsewhere("whole", 0)), site.append(all, {}, elsewhere("part", 0)), site.append(all, {}, elsewhere("later", 1)),
               site.append(all, {}, elsewhere("other", 0))});
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, site.sent_out_.size());
    CPPUNIT_ASSERT_EQUAL(std::string("part"), site.sent_out_[0].first.id);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.sent_out_[0].first.recipients.size());
    CPPUNIT_ASSERT_EQUAL(std::string("y@example.net"), site.sent_out_[0].first.recipients[0].address);
    CPPUNIT_ASSERT_EQUAL(std::string("later"), site.sent_out_[1].first.id);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.sent_out_[1].first.recipients.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.sent_out_[2].first.recipients.size());

    // What came in since the last death is nobody's but ours.
    Site fresh;
    fresh.handed_on_ = {"new 3 x@example.net"};
    fresh.work({fresh.append({"x@example.net"}, {}, [&](mail::Envelope& e) {
      elsewhere("new", 3)(e);
      e.received = fresh.state_.last_death() + std::chrono::seconds(1) + std::chrono::microseconds(1);
    })});
    CPPUNIT_ASSERT(fresh.asked_.empty());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, fresh.sent_out_.size());

    // A changed text has an id of its own, the same at every replay.
    Site changed;
    changed.settings_.filters.destination_filters = {{"tcp_local", {"in.filter", "require \"editheader\"; addheader \"X-Way\" \"inside\";"}}};
    changed.work({changed.append({"x@example.net"}, {}, elsewhere("text", 0))});
    const std::string id = changed.sent_out_.at(0).first.id;
    changed.handed_on_ = {id + " 0 x@example.net"};
    changed.work({changed.append({"x@example.net"}, {}, elsewhere("text", 0))});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, changed.sent_out_.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, changed.unfinished_);
  }

  // access-control.md 2.6: $V is a discard that somebody's own keep overrides, $Z is not.
  void message_discarded_by_a_table_stays_for_whoever_keeps_it() {
    Site site;
    site.account("a@example.com");
    site.account("b@example.com", "keep;\n");
    site.account("c@example.com", "kepp;\n");
    const std::vector<std::string> all = {"a@example.com", "b@example.com", "c@example.com"};
    site.work({site.append(all, {}, [](mail::Envelope& e) { e.discarded = true; })});
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.count("example.com/a"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/b"));
    CPPUNIT_ASSERT_EQUAL_MESSAGE("a broken filter might have kept it", std::size_t{1}, site.count("example.com/c"));
    site.work({site.append(all, {}, [](mail::Envelope& e) { e.jettisoned = e.discarded = true; })});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/b"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(DelivererTest);

}  // namespace
}  // namespace postern::delivery
