// SPDX-License-Identifier: Apache-2.0
// Mailboxes with a quota, mailboxes on other hosts, and messages to the members of a list.
#include "site.h"

#include "../../forwarding_files.h"

#include <cppunit/extensions/HelperMacros.h>

namespace postern::delivery {
namespace {

class QuotaDeliveryTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(QuotaDeliveryTest);
  CPPUNIT_TEST(what_does_not_fit_waits_and_the_owner_is_told_once);
  CPPUNIT_TEST(folders_count_too);
  CPPUNIT_TEST(a_replay_is_counted_once);
  CPPUNIT_TEST(a_batch_that_failed_is_not_counted);
  CPPUNIT_TEST(a_mailbox_elsewhere_gets_its_mail_by_relay);
  CPPUNIT_TEST(members_of_a_list_get_its_owners_message);
  CPPUNIT_TEST_SUITE_END();

  static void with_quota(Site& site, std::uint64_t bytes, std::uint64_t messages, const std::string& filter = {}) {
    directory::Account account;
    account.name = "a@example.com";
    account.quota_bytes = bytes;
    account.quota_messages = messages;
    account.filter = filter;
    site.directory_.set_account(account);
  }
  static std::size_t warnings(const Site& site) {
    return static_cast<std::size_t>(std::count_if(site.submitted_.begin(), site.submitted_.end(), [](const auto& one) {
      return one.second.find("nearly full") != std::string::npos && one.first.recipients[0].address == "a@example.com" && one.first.reverse_path.empty();
    }));
  }
  static base::WallTime full_until(Site& site) {
    base::WallTime until{};
    net::asio::io_context io(1);
    net::asio::co_spawn(io, site.directory_.account("a@example.com"), [&](std::exception_ptr, auto account) { until = (*account)->full_until; });
    io.run();
    return until;
  }

  void what_does_not_fit_waits_and_the_owner_is_told_once() {
    Site site;
    with_quota(site, 0, 2);
    site.work({site.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, warnings(site));
    // The last one that fits brings the warning; those behind it wait.
    site.work({site.append({"a@example.com"}), site.append({"a@example.com"}), site.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.count("example.com/a"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.deferred_);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, warnings(site));
    CPPUNIT_ASSERT(full_until(site) > base::wall_now());
    // There is room again: what comes next says so.
    fs::remove(site.only_file("example.com/a"));
    site.settings_.quota_recheck = std::chrono::seconds(0);
    site.work({site.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.count("example.com/a"));
    CPPUNIT_ASSERT(full_until(site) <= base::wall_now());
    // A large message that does not fit says nothing of small ones.
    Site large;
    with_quota(large, 200'000, 0);
    large.work({large.append({"a@example.com"}, {}, {}, std::string(199'990, 'x') + "\r\n")});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, large.deferred_);
    CPPUNIT_ASSERT(full_until(large) <= base::wall_now());
  }

  void folders_count_too() {
    Site site;
    with_quota(site, 0, 3, "require [\"fileinto\", \"copy\"]; fileinto :copy \"Lists\";");
    site.work({site.append({"a@example.com"}), site.append({"a@example.com"})});
    // The second message found room for its copy, so it is in a mailbox.
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, site.count_all("example.com/a"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.deferred_);
    site.work({site.append({"a@example.com"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.deferred_);
  }

  void a_replay_is_counted_once() {
    Site site;
    with_quota(site, 0, 1);
    const auto position = site.append({"a@example.com"});
    site.work({position});
    // As whoever died before he could mark it left it: with the file, and a sum of anything.
    std::ofstream(site.path_of("mail/example.com/a/maildirsize")) << "1C\n5000 5\n";
    site.state_.note_death();
    site.work({site.append({"a@example.com"}, {}, [&](mail::Envelope& envelope) {
      envelope.id = site.last_id_;
      envelope.attempts = 1;
      envelope.received = base::from_microseconds(0);
    })});
    // Another record of another time is another file, and there is no room for it.
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.deferred_);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, content(site.path_of("mail/example.com/a/maildirsize")).find("1C\n"));
    CPPUNIT_ASSERT(content(site.path_of("mail/example.com/a/maildirsize")).find(" 1\n") != std::string::npos);
  }

  void a_batch_that_failed_is_not_counted() {
    class NoSync final : public postern::test::ForwardingFiles {
     public:
      Result<void> sync(int) override { return Error{Kind::temporary, "no"}; }
      Result<void> sync_file_system(int) override { return Error{Kind::temporary, "no"}; }
    } broken;
    Site site;
    with_quota(site, 0, 1);
    const auto position = site.append({"a@example.com"});
    site.work({site.append({"a@example.com"}, {}, [](mail::Envelope& envelope) { envelope.jettisoned = true; })});
    fs::create_directories(site.path_of("mail/example.com/a/tmp"));
    fs::create_directories(site.path_of("mail/example.com/a/new"));
    fs::create_directories(site.path_of("mail/example.com/a/cur"));
    site.store_files_ = &broken;
    site.work({position});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.unfinished_);
    CPPUNIT_ASSERT(!fs::exists(site.path_of("mail/example.com/a/maildirsize")));
    site.store_files_ = &base::system_files();
    site.work({position});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.deferred_);
  }

  void a_mailbox_elsewhere_gets_its_mail_by_relay() {
    Site site;
    directory::Account account;
    account.name = "a@example.com";
    account.mail_host = "store2.example.com";
    account.filter = "discard;";  // is asked there, not here
    site.directory_.set_account(account);
    account.name = "b@example.com";
    account.mailbox_directory.clear();
    account.mail_host = "localhost";  // that is this one
    account.filter.clear();
    site.directory_.set_account(account);
    site.work({site.append({"a@example.com", "b@example.com"}, {}, [](mail::Envelope& envelope) { envelope.recipients[0].detail = "lists"; })});
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.count("example.com/a"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/b"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.sent_out_.size());
    const mail::Recipient& sent = site.sent_out_[0].first.recipients.at(0);
    CPPUNIT_ASSERT_EQUAL(std::string("a+lists@example.com store2.example.com a@example.com ims-ms"),
                         sent.address + " " + sent.next_host + " " + sent.account + " " + sent.destination_channel);
    // It has moved here while its mail waited.
    account.name = "a@example.com";
    account.mailbox_directory.clear();
    account.mail_host.clear();
    site.directory_.set_account(account);
    site.work({site.append({}, {}, [&](mail::Envelope& envelope) { envelope.recipients.push_back(sent); })});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/a"));
  }

  void members_of_a_list_get_its_owners_message() {
    Site site;
    for (const char* const name : {"a@example.com", "b@example.com", "c@example.com"}) site.account(name);
    const auto listed = [](mail::Envelope& envelope) {
      envelope.envelope_id = "mine";
      for (const std::size_t i : {0U, 1U}) envelope.recipients[i].list_owner = "owner@example.com";
      envelope.recipients[0].notify_given = envelope.recipients[0].notify_success = true;
    };
    site.work({site.append({"a@example.com", "b@example.com", "c@example.com"}, {}, listed)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.count("example.com/a") + site.count("example.com/b"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.count("example.com/c"));
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.submitted_.size());
    const auto [envelope, text] = site.submitted_[0];
    CPPUNIT_ASSERT_EQUAL(std::string("owner@example.com"), envelope.reverse_path);
    CPPUNIT_ASSERT_EQUAL(std::string(), envelope.envelope_id);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, envelope.recipients.size());
    for (const mail::Recipient& one : envelope.recipients) CPPUNIT_ASSERT(one.list_owner.empty() && !one.notify_given && one.notify_failure);
    CPPUNIT_ASSERT(content(site.only_file("example.com/c")).starts_with("Return-Path: <s@example.org>\n"));
    // What came in between stays under way; a notice, which nobody is to answer, stays without a sender.
    site.submit_fails_ = true;
    site.work({site.append({"a@example.com", "b@example.com"}, {}, listed)});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.deferred_);
    site.work({site.append({"a@example.com", "b@example.com"}, {}, [&](mail::Envelope& one) {
      listed(one);
      one.reverse_path.clear();
    })});
    CPPUNIT_ASSERT(content(site.only_file("example.com/a")).starts_with("Return-Path: <>\n"));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(QuotaDeliveryTest);

}  // namespace
}  // namespace postern::delivery
