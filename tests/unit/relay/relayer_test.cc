// SPDX-License-Identifier: Apache-2.0
// What becomes of records whose hosts can't be had, of suspects, and of those that somebody else has. Sending itself is in client_test and
// the end-to-end tests.
#include "relay/relayer.h"

#include "mail/message_id.h"
#include "spool/journal_writer.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <future>

namespace postern::relay {
namespace {

namespace fs = std::filesystem;

class Site {
 public:
  Site() {
    char name[] = "/tmp/postern-relay-XXXXXX";
    root_ = ::mkdtemp(name);
    spool_ = base::Descriptor(::open(root_.c_str(), O_RDONLY | O_DIRECTORY));
    spool::JournalSettings journal;
    journal.segment_bytes = 1024 * 1024;
    journal.large_message_bytes = 256 * 1024;
    journal.minimum_free_bytes = 0;
    writer_ = spool::JournalWriter::open(base::system_files(), spool_.get(), journal, 1).value();
    settings_.child = 7;
    settings_.attempts_alone = 3;
    settings_.received_fields = 3;
    std::vector<conf::Mistake> none;
    settings_.routes = Routes::parse(conf::Configuration(), none);
    failure_ = temporary_failure("4.4.1", "nobody there");
  }
  ~Site() {
    writer_->finish();
    fs::remove_all(root_);
  }

  spool::Position append(const std::vector<std::string>& addresses, const std::string& extra = {}, int priority = 0, std::optional<mail::DeliverBy> deliver_by = {}, bool require_tls = false) {
    mail::Envelope envelope;
    envelope.require_tls = require_tls;
    envelope.deliver_by = deliver_by;
    envelope.priority = priority;
    envelope.id = mail::new_message_id(1);
    envelope.received = base::wall_now();
    envelope.reverse_path = "s@example.org";
    for (const std::string& address : addresses) {
      mail::Recipient recipient;
      // "a@one.example < list@here.example": forwarded from there.
      const auto from = address.find(" < ");
      recipient.address = address.substr(0, from);
      recipient.original = from == std::string::npos ? address : address.substr(from + 3);
      recipient.destination_channel = "tcp_local";
      envelope.recipients.push_back(recipient);
    }
    std::promise<Result<spool::Position>> done;
    writer_->append(envelope, extra + "Subject: x\r\n\r\nbody\r\n", [&](Result<spool::Position> position) { done.set_value(std::move(position)); });
    return done.get_future().get().value();
  }

  // One child's life with these records; ends when nothing is under way any more.
  Relayer::Counters work(const std::vector<spool::Position>& positions) {
    auto reader = spool::JournalReader::open(base::system_files(), spool_.get()).value();
    auto deferred = spool::Deferred::open(base::system_files(), spool_.get()).value();
    net::asio::io_context io(1);
    net::TimeLimits limits(io);
    io_ = &io;
    limits_ = &limits;
    Relayer::Counters counters;
    {
      Relayer relayer({io, reader, state_, deferred,
                       [this](Target target) -> net::Awaitable<Connected> {
                         asked_.push_back(target.domain);
                         wishes_ += target.tls == TlsWish::required ? "must " : target.tls == TlsWish::not_required ? "free " : "none ";
                         if (target.domain.starts_with("silent")) {
                           most_silent_ = std::max(most_silent_, ++silent_now_);
                           net::asio::steady_timer timer(*io_, std::chrono::milliseconds(200));
                           co_await timer.async_wait(net::use_awaitable);
                           --silent_now_;
                         }
                         if (target.domain == silent_) {
                           net::asio::steady_timer timer(*io_);
                           for (int i = 0; i < 1000 && asked_.size() < others_expected_ + 1; ++i) {
                             timer.expires_after(std::chrono::milliseconds(10));
                             co_await timer.async_wait(net::use_awaitable);
                           }
                           others_asked_meanwhile_ = asked_.size() - 1;
                         }
                         claims_at_once_ = std::max(claims_at_once_, state_.claims_of(7));
                         Connected connected;
                         if (!scripts_.empty()) {
                           auto ends = base::socket_pair(SOCK_STREAM).value();
                           const std::string script = std::move(scripts_.front());
                           scripts_.pop_front();
                           CPPUNIT_ASSERT(::write(ends.second.get(), script.data(), script.size()) == static_cast<ssize_t>(script.size()));
                           // Behind its last word the host ends the connection.
                           CPPUNIT_ASSERT_EQUAL(0, ::shutdown(ends.second.get(), SHUT_WR));
                           hosts_.push_back(std::move(ends.second));
                           Connection connection;
                           connection.stream = std::make_unique<net::SocketStream>(*io_, std::move(ends.first), *limits_);
                           connection.client = std::make_unique<Client>(*connection.stream, ClientSettings());
                           auto failed = co_await connection.client->open();
                           CPPUNIT_ASSERT(!failed);
                           connected.connection = std::move(connection);
                           co_return connected;
                         }
                         connected.failure = failure_;
                         co_return connected;
                       },
                       [this](mail::Envelope, std::string_view, std::vector<mail::RecipientStatus> statuses, std::uint64_t) -> net::Awaitable<Result<void>> {
                         if (tell_fails_) co_return Error{Kind::temporary, "no room"};
                         told_.insert(told_.end(), statuses.begin(), statuses.end());
                         co_return Result<void>();
                       }},
                      settings_);
      relayer.take(positions);
      io.run();
      counters = relayer.counters();
    }
    deferred_.clear();
    for (const auto& entry : deferred.list(100).value()) {
      deferred_.push_back(deferred.read(entry).value().envelope);
      waits_.push_back(entry.next_attempt - base::wall_now());
    }
    unfinished_ = reader.scan(100).value().size();
    return counters;
  }

  // The lines that all hosts have got.
  std::vector<std::string> heard() {
    std::vector<std::string> lines;
    for (const base::Descriptor& host : hosts_) {
      std::string all;
      char piece[4096];
      for (ssize_t got = 0; (got = ::recv(host.get(), piece, sizeof piece, MSG_DONTWAIT)) > 0;) all.append(piece, static_cast<std::size_t>(got));
      for (std::size_t end = 0; (end = all.find("\r\n")) != std::string::npos; all.erase(0, end + 2)) lines.push_back(all.substr(0, end));
    }
    return lines;
  }

  RelayerSettings settings_;
  Failure failure_;
  spool::SharedState state_ = spool::SharedState::create(1024).value();
  std::deque<std::string> scripts_;  // what hosts say, one for each connection; none left: failure_
  std::vector<std::string> asked_;  // domains that a connection was wanted to
  std::string wishes_;              // of messages about TLS, for each of them
  std::string silent_;              // a host that does not answer until so many others have been asked, or for ten seconds
  std::size_t others_expected_ = 0, others_asked_meanwhile_ = 0;
  std::size_t claims_at_once_ = 0;
  std::size_t silent_now_ = 0, most_silent_ = 0;  // connections under way to "silent…", which give up after a while
  bool tell_fails_ = false;
  std::vector<mail::RecipientStatus> told_;
  std::vector<mail::Envelope> deferred_;
  std::vector<base::WallTime::duration> waits_;
  std::size_t unfinished_ = 0;

 private:
  fs::path root_;
  base::Descriptor spool_;
  std::unique_ptr<spool::JournalWriter> writer_;
  std::vector<base::Descriptor> hosts_;  // their ends of the connections
  net::asio::io_context* io_ = nullptr;  // of work()
  net::TimeLimits* limits_ = nullptr;
};

class RelayerTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(RelayerTest);
  CPPUNIT_TEST(what_fails_for_now_waits_with_its_reason);
  CPPUNIT_TEST(what_fails_for_good_is_told);
  CPPUNIT_TEST(a_sender_that_cannot_be_told_is_told_later);
  CPPUNIT_TEST(who_cares_for_time_hears_where_nobody_will_tell);
  CPPUNIT_TEST(a_dead_destination_is_left_alone);
  CPPUNIT_TEST(a_host_that_ends_the_connection_is_asked_again_by_another);
  CPPUNIT_TEST(records_of_others_are_left_to_them);
  CPPUNIT_TEST(suspects_are_worked_on_alone);
  CPPUNIT_TEST(a_silent_host_of_a_suspect_holds_up_nobody);
  CPPUNIT_TEST(poison_waits_for_a_day);
  CPPUNIT_TEST(a_message_that_goes_round_comes_back);
  CPPUNIT_TEST(what_is_forwarded_says_so_and_does_not_go_round);
  CPPUNIT_TEST(silent_hosts_that_nobody_knows_leave_room);
  CPPUNIT_TEST(high_priorities_go_first);
  CPPUNIT_TEST(a_host_that_ends_anywhere_costs_no_message);
  CPPUNIT_TEST(a_connection_serves_only_what_it_was_made_for);
  CPPUNIT_TEST_SUITE_END();

  void what_fails_for_now_waits_with_its_reason() {
    Site site;
    const auto counters = site.work({site.append({"a@one.example", "b@two.example", "c@ONE.example"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.asked_.size());
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, counters.deferred);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.deferred_.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, site.deferred_[0].recipients.size());
    CPPUNIT_ASSERT_EQUAL(1U, site.deferred_[0].attempts);
    CPPUNIT_ASSERT_EQUAL(std::string("4.4.1 nobody there"), site.deferred_[0].recipients[0].last_failure.status + " " + site.deferred_[0].recipients[0].last_failure.diagnostic);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.state_.claims_of(7));
  }

  void what_fails_for_good_is_told() {
    Site site;
    site.failure_ = permanent_failure("5.1.10", "takes no mail");
    site.work({site.append({"a@one.example"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.told_.size());
    CPPUNIT_ASSERT(site.told_[0].action == mail::DeliveryAction::failed);
    CPPUNIT_ASSERT_EQUAL(std::string("5.1.10"), site.told_[0].outcome.status);
    CPPUNIT_ASSERT(site.deferred_.empty());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);
  }

  // RFC 2852 section 4.
  void who_cares_for_time_hears_where_nobody_will_tell() {
    using Mode = mail::DeliverBy::Mode;
    const struct { Mode mode; bool trace, known; std::size_t told; } rows[] = {
        {Mode::notify, false, false, 1}, {Mode::notify, false, true, 0}, {Mode::notify, true, true, 1}, {Mode::return_message, true, true, 1}, {Mode::return_message, false, true, 0}};
    for (const auto& row : rows) {
      Site site;
      mail::DeliverBy by;
      by.until = base::wall_now() + std::chrono::hours(1);
      by.mode = row.mode;
      by.trace = row.trace;
      site.scripts_.push_back(std::string("220 hi\r\n250-mx\r\n") + (row.known ? "250-DELIVERBY\r\n" : "") + "250 DSN\r\n250 a\r\n250 b\r\n354 c\r\n250 d\r\n221 e\r\n");
      CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, site.work({site.append({"a@one.example"}, {}, 0, by)}).sent);
      CPPUNIT_ASSERT_EQUAL(row.told, site.told_.size());
      if (row.told > 0) CPPUNIT_ASSERT(site.told_[0].action == mail::DeliveryAction::relayed && site.told_[0].recipient.notify_success);
    }
  }

  void a_sender_that_cannot_be_told_is_told_later() {
    Site site;
    site.failure_ = permanent_failure("5.1.10", "takes no mail");
    site.tell_fails_ = true;
    site.work({site.append({"a@one.example"})});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.deferred_.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);
  }

  void a_dead_destination_is_left_alone() {
    Site site;
    std::vector<spool::Position> positions;
    for (int i = 0; i < 30; ++i) positions.push_back(site.append({"a@one.example"}));
    site.work(positions);
    CPPUNIT_ASSERT_MESSAGE(std::to_string(site.asked_.size()), site.asked_.size() <= 5);
    CPPUNIT_ASSERT_EQUAL(std::size_t{30}, site.deferred_.size());
  }

  void a_host_that_ends_the_connection_is_asked_again_by_another() {
    const std::string greeting = "220 sink\r\n250 sink\r\n", taken = "250 sender\r\n250 recipient\r\n354 go on\r\n250 taken\r\n", enough = "421 4.7.0 enough\r\n";
    Site site;
    site.settings_.connections_per_destination = 1;
    site.settings_.idle_time = std::chrono::milliseconds(0);
    // Many take so many messages by one connection.
    site.scripts_ = {greeting + taken + enough, greeting + taken + "221 bye\r\n"};
    auto counters = site.work({site.append({"a@one.example"}), site.append({"b@one.example"})});
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, counters.sent);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.asked_.size());
    CPPUNIT_ASSERT(site.deferred_.empty());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);
    // One that takes nothing at all is not asked for ever.
    site.scripts_ = {greeting + enough};
    counters = site.work({site.append({"c@one.example"})});
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, counters.sent);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.deferred_.size());
  }

  void records_of_others_are_left_to_them() {
    Site site;
    const auto theirs = site.append({"a@one.example"}), ours = site.append({"b@two.example"});
    CPPUNIT_ASSERT(site.state_.claim(theirs, 9).granted);
    site.work({theirs, ours, ours});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.deferred_.size());
    CPPUNIT_ASSERT_EQUAL(std::string("b@two.example"), site.deferred_[0].recipients[0].address);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.unfinished_);
  }

  void suspects_are_worked_on_alone() {
    Site site;
    site.settings_.dead_time = site.settings_.dead_time_most = std::chrono::seconds(0);
    std::vector<spool::Position> positions;
    for (int i = 0; i < 6; ++i) {
      positions.push_back(site.append({"a@" + std::to_string(i) + ".example"}));
      if (i % 2 == 0) CPPUNIT_ASSERT(site.state_.claim(positions.back(), 9).granted);
    }
    CPPUNIT_ASSERT(site.state_.release_child(9) == 3U);
    site.work(positions);
    CPPUNIT_ASSERT_EQUAL(std::size_t{6}, site.deferred_.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);
    CPPUNIT_ASSERT_EQUAL_MESSAGE("a suspect is claimed before its host is asked for, and nothing else is", std::size_t{1}, site.claims_at_once_);
    CPPUNIT_ASSERT(site.state_.suspects().empty());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.state_.claims_of(7));
  }

  void a_silent_host_of_a_suspect_holds_up_nobody() {
    Site site;
    site.silent_ = "0.example";
    site.others_expected_ = 3;
    std::vector<spool::Position> positions;
    for (int i = 0; i < 4; ++i) {
      positions.push_back(site.append({"a@" + std::to_string(i) + ".example"}));
      if (i < 2) CPPUNIT_ASSERT(site.state_.claim(positions.back(), 9).granted);
    }
    CPPUNIT_ASSERT(site.state_.release_child(9) == 2U);
    site.work(positions);
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, site.others_asked_meanwhile_);
    CPPUNIT_ASSERT_EQUAL(std::size_t{4}, site.deferred_.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.state_.claims_of(7));
  }

  void poison_waits_for_a_day() {
    Site site;
    const auto poison = site.append({"a@one.example"}), innocent = site.append({"b@two.example"});
    for (int death = 0; death < 4; ++death) {
      CPPUNIT_ASSERT(site.state_.claim(poison, 9).granted);
      if (death > 0) site.state_.work_alone(poison, 9);
      CPPUNIT_ASSERT(site.state_.release_child(9) == 1U);
    }
    site.work({poison, innocent});
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, site.deferred_.size());
    for (std::size_t i = 0; i < 2; ++i) {
      const bool day = site.waits_[i] > std::chrono::hours(23);
      CPPUNIT_ASSERT_EQUAL(site.deferred_[i].recipients[0].address == "a@one.example", day);
      CPPUNIT_ASSERT_EQUAL(std::string(day ? "4.3.0" : "4.4.1"), site.deferred_[i].recipients[0].last_failure.status);
    }
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, site.unfinished_);
  }

  void a_message_that_goes_round_comes_back() {
    Site site;
    site.work({site.append({"a@one.example"}, "Received: 1\r\nReceived: 2\r\nReceived: 3\r\nReceived: 4\r\n")});
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.told_.size());
    CPPUNIT_ASSERT_EQUAL(std::string("5.4.6"), site.told_[0].outcome.status);
  }

  void what_is_forwarded_says_so_and_does_not_go_round() {
    Site site;
    site.settings_.connections_per_destination = 1;
    site.settings_.idle_time = std::chrono::milliseconds(0);
    std::string session = "220 sink\r\n250 sink\r\n";
    for (const int recipients : {2, 2, 1}) {
      session += "250 sender\r\n";
      for (int i = 0; i < recipients; ++i) session += "250 recipient\r\n";
      session += "354 go on\r\n250 taken\r\n";
    }
    site.scripts_ = {session + "221 bye\r\n"};
    site.work({site.append({"a@one.example < list@here.example", "b@one.example", "c@one.example < LIST@here.example", "d@one.example < list@here.example",
                            "e@one.example < gone@here.example", "F@one.example < f@one.example"},
                           "Delivered-To: Gone@here.example\r\n")});
    std::string seen;
    for (const std::string& line : site.heard())
      if (line.starts_with("RCPT TO:<")) seen += line.substr(9, 1);
      else if (line.starts_with("Delivered-To: ")) seen += " " + line.substr(14) + ",";
      else if (line == ".") seen += "; ";
    CPPUNIT_ASSERT_EQUAL(std::string("ad list@here.example, Gone@here.example,; bF Gone@here.example,; c LIST@here.example, Gone@here.example,; "), seen);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.told_.size());
    CPPUNIT_ASSERT_EQUAL(std::string("e@one.example 5.4.6"), site.told_[0].recipient.address + " " + site.told_[0].outcome.status);
  }

  void silent_hosts_that_nobody_knows_leave_room() {
    Site site;
    site.settings_.connections = 8;
    site.settings_.connections_unknown = 3;
    std::vector<spool::Position> positions;
    for (int i = 0; i < 12; ++i) positions.push_back(site.append({"a@silent" + std::to_string(i) + ".example"}));
    positions.push_back(site.append({"a@one.example"}));
    site.work(positions);
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, site.most_silent_);
    CPPUNIT_ASSERT_EQUAL(std::size_t{13}, site.deferred_.size());
    // The last one that came was not the last one to have its turn, nor was the first.
    const auto place = [&](const std::string& domain) { return std::find(site.asked_.begin(), site.asked_.end(), domain) - site.asked_.begin(); };
    CPPUNIT_ASSERT_MESSAGE(std::to_string(place("one.example")), place("one.example") <= 6);
    CPPUNIT_ASSERT(place("silent1.example") <= 6);
  }

  // Each message is sent, or waits, once; what was answered with 250 is not sent again.
  void a_host_that_ends_anywhere_costs_no_message() {
    const std::string begin = "220 sink\r\n250-sink\r\n250 PIPELINING\r\n", taken = "250 sender\r\n250 recipient\r\n354 go on\r\n250 taken\r\n", all = taken + taken + "221 bye\r\n";
    for (std::size_t length = 0; length <= all.size(); ++length) {
      Site site;
      site.settings_.connections_per_destination = 1;
      site.settings_.idle_time = std::chrono::milliseconds(0);
      site.scripts_ = {begin + all.substr(0, length)};
      const auto counters = site.work({site.append({"a@one.example"}), site.append({"b@one.example"})});
      const std::string where = std::to_string(length);
      const std::size_t answered = length >= 2 * taken.size() ? 2 : length >= taken.size() ? 1 : 0;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(where, answered, static_cast<std::size_t>(counters.sent));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(where, 2 - answered, site.deferred_.size());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(where, std::size_t{0}, site.unfinished_);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(where, std::size_t{0}, site.state_.claims_of(7));
    }
  }

  // RFC 8689: what wants TLS all the way goes by no connection that was made without asking for it, nor the other way round.
  void a_connection_serves_only_what_it_was_made_for() {
    Site site;
    site.settings_.connections_per_destination = 1;
    std::vector<spool::Position> positions;
    positions.push_back(site.append({"a@one.example"}));
    positions.push_back(site.append({"b@one.example"}, "TLS-Required: No\r\n"));
    positions.push_back(site.append({"c@one.example"}, {}, 0, {}, true));
    positions.push_back(site.append({"d@one.example"}));
    const std::string session = "220 sink\r\n250 sink\r\n", taken = "250 sender\r\n250 recipient\r\n354 go on\r\n250 taken\r\n";
    site.scripts_ = {session + taken + taken, session + taken + taken, session + taken + taken};
    const auto counters = site.work(positions);
    std::string wishes = site.wishes_;
    for (const char* const wish : {"none ", "free ", "must "}) CPPUNIT_ASSERT_MESSAGE(wishes, wishes.find(wish) != std::string::npos);
    CPPUNIT_ASSERT_EQUAL_MESSAGE(wishes, std::size_t{3}, site.asked_.size());
    // It has no TLS: the one that needs it came back.
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, counters.sent);
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, site.told_.size());
    CPPUNIT_ASSERT_EQUAL(std::string("c@one.example 5.7.10"), site.told_[0].recipient.address + " " + site.told_[0].outcome.status);
  }

  // RFC 6710 section 3.
  void high_priorities_go_first() {
    Site site;
    site.settings_.connections_per_destination = 1;
    site.settings_.idle_time = std::chrono::milliseconds(0);
    std::string session = "220 sink\r\n250 sink\r\n";
    for (int i = 0; i < 5; ++i) session += "250 sender\r\n250 recipient\r\n354 go on\r\n250 taken " + std::to_string(i) + "\r\n";
    site.scripts_ = {session + "221 bye\r\n"};
    std::vector<spool::Position> positions;
    for (const auto& [name, priority] : {std::pair("usual", 0), {"low", -3}, {"second", 0}, {"high", 4}, {"highest", 9}})
      positions.push_back(site.append({std::string(name) + "@one.example"}, {}, priority));
    const auto counters = site.work(positions);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{5}, counters.sent);
    std::string order;
    for (const std::string& line : site.heard())
      if (line.starts_with("RCPT TO:<")) order += line.substr(9, line.find('@') - 9) + " ";
    CPPUNIT_ASSERT_EQUAL(std::string("highest high usual second low "), order);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(RelayerTest);

}  // namespace
}  // namespace postern::relay
