// SPDX-License-Identifier: Apache-2.0
// Pieces of messages wait for each other, and neither a killed process nor a stranger changes what comes of them.
#include "delivery/defragmenter.h"

#include "base/files.h"
#include "mail/message_id.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>

namespace postern::delivery {
namespace {

namespace fs = std::filesystem;

std::string text_of(const std::string& id, unsigned number, unsigned total, const std::string& body) {
  return "From: s@example.org\r\nSubject: piece\r\nMIME-Version: 1.0\r\nContent-Type: message/partial; id=\"" + id + "\"; number=" + std::to_string(number) +
         (total == 0 ? "" : "; total=" + std::to_string(total)) + "\r\n\r\n" + body;
}

class World {
 public:
  World() {
    char name[] = "/tmp/postern-defragment-XXXXXX";
    root_ = ::mkdtemp(name);
    spool_ = base::Descriptor(::open(root_.c_str(), O_RDONLY | O_DIRECTORY));
  }
  ~World() { fs::remove_all(root_); }

  static mail::Envelope envelope() {
    mail::Envelope envelope;
    envelope.id = mail::new_message_id(1);
    envelope.received = base::wall_now();
    envelope.reverse_path = "s@example.org";
    envelope.source_channel = "tcp_local";
    mail::Recipient recipient;
    recipient.address = "a@example.com";
    recipient.destination_channel = "ims-ms";
    envelope.recipients.push_back(recipient);
    return envelope;
  }

  // Whether it waits.
  bool put(mail::Envelope envelope, const std::string& message) {
    auto defragmenter = make();
    const auto piece = defragmenter->piece(envelope, message);
    if (!piece) return false;
    defragmenter->put(std::move(envelope), *piece, {3, 17, ++records_ * 4096}, message, std::nullopt).value();
    return true;
  }
  bool put(const std::string& id, unsigned number, unsigned total, const std::string& body, const std::function<void(mail::Envelope&)>& change = {}) {
    mail::Envelope it = envelope();
    if (change) change(it);
    return put(std::move(it), text_of(id, number, total, body));
  }
  // Another process's life: one look.
  void look() {
    auto defragmenter = make();
    std::exception_ptr failed;
    net::asio::co_spawn(io_, defragmenter->look(), [&](std::exception_ptr error, std::chrono::milliseconds) { failed = error; });
    io_.restart();
    io_.run();
    if (failed) std::rethrow_exception(failed);
  }
  // A process that is told to end while the first message is put into the journal.
  void run_until_first() {
    auto defragmenter = make();
    while_submitting_ = [&] { defragmenter->finish(); };
    bool ended = false;
    net::asio::co_spawn(io_, defragmenter->run(), [&](std::exception_ptr error) { ended = error == nullptr; });
    io_.restart();
    io_.run();
    while_submitting_ = nullptr;
    CPPUNIT_ASSERT(ended);
  }
  std::size_t waiting() { return spool::Deferred::open(base::system_files(), spool_.get(), "defragment").value().list(1000).value().size(); }

  // What was submitted, one after the other, with "piece:" in front of what went on as it was.
  [[nodiscard]] std::string bodies() const {
    std::string all;
    for (const auto& [envelope, text] : submitted_) {
      CPPUNIT_ASSERT(envelope.defragmented && envelope.held_by.empty());
      const bool piece = mail::piece_of(text).has_value();
      all += (all.empty() ? "" : ", ") + std::string(piece ? "piece:" : "") + text.substr(text.find("\r\n\r\n") + 4);
    }
    return all;
  }

  std::vector<std::pair<mail::Envelope, std::string>> submitted_;
  DefragmenterSettings settings_;
  bool submit_fails_ = false;
  std::uint64_t records_ = 0, unfinished_ = 0;  // how many there are, and the number of the one that is not marked
  unsigned deaths_ = 0;
  std::size_t given_back() { return spool::Deferred::open(base::system_files(), spool_.get()).value().list(1000).value().size(); }
  spool::Deferred open() { return spool::Deferred::open(base::system_files(), spool_.get(), "defragment").value(); }

 private:
  std::unique_ptr<Defragmenter> make() {
    waiting_.emplace(open());
    deferred_.emplace(spool::Deferred::open(base::system_files(), spool_.get()).value());
    return std::make_unique<Defragmenter>(DefragmenterParts{io_, *waiting_, *deferred_,
                                                            [this](mail::Envelope envelope, std::string text) -> net::Awaitable<Result<void>> {
                                                              if (submit_fails_) co_return Error{Kind::temporary, "no room"};
                                                              if (while_submitting_) while_submitting_();
                                                              submitted_.emplace_back(std::move(envelope), std::move(text));
                                                              co_return Result<void>();
                                                            },
                                                            [this] { ++deaths_; },
                                                            [this](const std::vector<spool::Position>& records) {
                                                              return std::none_of(records.begin(), records.end(), [this](const spool::Position& record) {
                                                                return record == spool::Position{3, 17, unfinished_ * 4096};
                                                              });
                                                            }},
                                          settings_);
  }
  fs::path root_;
  base::Descriptor spool_;
  net::asio::io_context io_{1};
  std::optional<spool::Deferred> waiting_, deferred_;
  std::function<void()> while_submitting_;
};

}  // namespace

class DefragmenterTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(DefragmenterTest);
  CPPUNIT_TEST(pieces_become_a_message);
  CPPUNIT_TEST(pieces_of_others_are_not_mixed);
  CPPUNIT_TEST(what_is_no_piece_does_not_wait);
  CPPUNIT_TEST(what_does_not_become_complete_goes_on_as_it_is);
  CPPUNIT_TEST(limits_let_pieces_go_on);
  CPPUNIT_TEST(a_piece_sent_twice_counts_once);
  CPPUNIT_TEST(nothing_is_lost_when_it_can_not_be_submitted);
  CPPUNIT_TEST(whoever_comes_after_a_death_finishes);
  CPPUNIT_TEST(a_piece_counts_when_its_record_is_finished);
  CPPUNIT_TEST(nothing_is_begun_when_the_process_ends);
  CPPUNIT_TEST(the_administrator_decides);
  CPPUNIT_TEST_SUITE_END();

  void pieces_become_a_message() {
    World world;
    const std::string inside = "Content-Type: text/plain\r\nSubject: whole\r\n\r\none\r\n";
    CPPUNIT_ASSERT(world.put("x@y", 3, 3, "three\r\n", [](mail::Envelope& e) { e.conversion_tags = {"b"}; e.smtputf8 = true; }));
    CPPUNIT_ASSERT(world.put("x@y", 1, 0, inside, [](mail::Envelope& e) { e.conversion_tags = {"a"}; }));
    world.look();
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, world.submitted_.size());
    CPPUNIT_ASSERT(world.put("x@y", 2, 3, "two\r\n"));
    world.look();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, world.submitted_.size());
    const auto& [envelope, text] = world.submitted_.front();
    CPPUNIT_ASSERT_EQUAL(std::string("From: s@example.org\r\nContent-Type: text/plain\r\nSubject: whole\r\n\r\none\r\ntwo\r\nthree\r\n"), text);
    CPPUNIT_ASSERT(envelope.conversion_tags == (std::vector<std::string>{"a", "b"}));
    CPPUNIT_ASSERT(envelope.smtputf8 && envelope.defragmented && envelope.held_by.empty());
    CPPUNIT_ASSERT_EQUAL(std::string("a@example.com"), envelope.recipients.at(0).address);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, world.waiting());
    world.look();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, world.submitted_.size());
  }

  void pieces_of_others_are_not_mixed() {
    const struct { const char* what; std::function<void(mail::Envelope&)> change; } rows[] = {
        {"another sender", [](mail::Envelope& e) { e.reverse_path = "other@example.org"; }},
        {"another recipient", [](mail::Envelope& e) { e.recipients[0].address = "b@example.com"; }},
        {"one recipient more", [](mail::Envelope& e) { e.recipients.push_back(e.recipients[0]); e.recipients[1].address = "b@example.com"; }},
        {"another source channel", [](mail::Envelope& e) { e.source_channel = "tcp_auth"; }},
        {"another login", [](mail::Envelope& e) { e.authenticated = "s@example.org"; }},
        {"another result of SPF", [](mail::Envelope& e) { e.authentication.spf = "fail"; }},
        {"another result of DMARC", [](mail::Envelope& e) { e.authentication.dmarc = "fail"; }},
    };
    for (const auto& row : rows) {
      World world;
      const auto usual = [](mail::Envelope& e) { e.authentication.spf = e.authentication.dmarc = "pass"; };
      CPPUNIT_ASSERT(world.put("x", 1, 2, "\r\none\r\n", usual));
      CPPUNIT_ASSERT(world.put("x", 2, 2, "forged\r\n", [&](mail::Envelope& e) { usual(e); row.change(e); }));
      world.look();
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.what, std::string(), world.bodies());
      CPPUNIT_ASSERT(world.put("X", 2, 2, "another id\r\n", usual));
      CPPUNIT_ASSERT(world.put("x", 2, 2, "two\r\n", usual));
      world.look();
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.what, std::string("one\r\ntwo\r\n"), world.bodies());
      CPPUNIT_ASSERT_EQUAL_MESSAGE(row.what, std::size_t{2}, world.waiting());
    }
  }

  void what_is_no_piece_does_not_wait() {
    World world;
    world.settings_.pieces = 5;
    CPPUNIT_ASSERT(!world.put("x", 1, 2, "x", [](mail::Envelope& e) { e.reverse_path.clear(); }));
    CPPUNIT_ASSERT(!world.put("x", 1, 2, "x", [](mail::Envelope& e) { e.defragmented = true; }));
    CPPUNIT_ASSERT(!world.put("x", 1, 2, "x", [](mail::Envelope& e) { e.restored = true; }));
    CPPUNIT_ASSERT(!world.put("x", 1, 1, "x"));
    CPPUNIT_ASSERT(!world.put("x", 1, 6, "x"));
    CPPUNIT_ASSERT(!world.put("x", 6, 0, "x"));
    CPPUNIT_ASSERT(!world.put(World::envelope(), "Content-Type: message/rfc822\r\n\r\nx"));
    CPPUNIT_ASSERT(world.put("x", 1, 5, "x"));
  }

  void what_does_not_become_complete_goes_on_as_it_is() {
    World world;
    CPPUNIT_ASSERT(world.put("x", 1, 3, "one\r\n"));
    world.settings_.wait_time = std::chrono::seconds(-1);  // entries have whole seconds, rounded up
    CPPUNIT_ASSERT(world.put("x", 3, 3, "three\r\n"));
    CPPUNIT_ASSERT(world.put("other", 1, 0, "other\r\n"));
    world.look();
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, world.submitted_.size());
    CPPUNIT_ASSERT(world.bodies().find("piece:one\r\n") != std::string::npos);
    CPPUNIT_ASSERT(world.bodies().find("piece:three\r\n") != std::string::npos);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, world.waiting());
    // Totals that do not agree make no message.
    World other;
    CPPUNIT_ASSERT(other.put("x", 1, 2, "one\r\n"));
    CPPUNIT_ASSERT(other.put("x", 2, 3, "two\r\n"));
    other.look();
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, other.waiting());
  }

  void limits_let_pieces_go_on() {
    World world;
    world.settings_.messages = 2;
    for (const char* id : {"a", "b", "c"}) {
      auto envelope = World::envelope();
      envelope.received += std::chrono::seconds(id[0]);
      CPPUNIT_ASSERT(world.put(envelope, text_of(id, 1, 2, std::string(id) + "\r\n")));
    }
    world.look();
    CPPUNIT_ASSERT_EQUAL(std::string("piece:c\r\n"), world.bodies());
    // Those that wait can still become whole.
    CPPUNIT_ASSERT(world.put("a", 2, 2, "end\r\n"));
    world.look();
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, world.submitted_.size());
    World bytes;
    bytes.settings_.message_bytes = 1000;
    CPPUNIT_ASSERT(bytes.put("a", 1, 2, std::string(500, 'x') + "\r\n"));
    CPPUNIT_ASSERT(bytes.put("a", 2, 2, std::string(500, 'y') + "\r\n"));
    CPPUNIT_ASSERT(!bytes.put("b", 2, 2, std::string(1000, 'y') + "\r\n"));
    bytes.look();
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, bytes.submitted_.size());
    CPPUNIT_ASSERT(mail::piece_of(bytes.submitted_[0].second) && mail::piece_of(bytes.submitted_[1].second));
  }

  void a_piece_sent_twice_counts_once() {
    World world;
    CPPUNIT_ASSERT(world.put("x", 1, 2, "\r\none\r\n"));
    auto later = World::envelope();
    later.received += std::chrono::seconds(5);
    CPPUNIT_ASSERT(world.put(later, text_of("x", 1, 2, "\r\nagain\r\n")));
    CPPUNIT_ASSERT(world.put("x", 2, 2, "two\r\n"));
    world.look();
    CPPUNIT_ASSERT_EQUAL(std::string("one\r\ntwo\r\n"), world.bodies());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, world.waiting());
  }

  void nothing_is_lost_when_it_can_not_be_submitted() {
    World world;
    world.submit_fails_ = true;
    CPPUNIT_ASSERT(world.put("x", 1, 2, "\r\none\r\n"));
    CPPUNIT_ASSERT(world.put("x", 2, 2, "two\r\n"));
    world.look();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, world.waiting());
    world.submit_fails_ = false;
    world.look();
    CPPUNIT_ASSERT_EQUAL(std::string("one\r\ntwo\r\n"), world.bodies());
    CPPUNIT_ASSERT_MESSAGE("another process takes it for one that may have been submitted", world.deaths_ > 0);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, world.waiting());
  }

  // What was put together stands there, and so do its pieces.
  void whoever_comes_after_a_death_finishes() {
    World world;
    world.submit_fails_ = true;
    CPPUNIT_ASSERT(world.put("x", 1, 2, "\r\none\r\n"));
    CPPUNIT_ASSERT(world.put("x", 2, 2, "two\r\n"));
    auto waiting = world.open();
    std::vector<std::pair<spool::DeferredEntry, spool::Deferred::Message>> pieces;
    for (const auto& entry : waiting.list(10).value()) pieces.emplace_back(entry, waiting.read(entry).value());
    world.look();
    const auto joined = waiting.list(10).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, joined.size());
    const std::string id = joined.front().id;
    // As if none of them had been removed: under the names that they had.
    for (const auto& [entry, message] : pieces) {
      const auto again = waiting.put(message.envelope, message.message, entry.next_attempt).value();
      CPPUNIT_ASSERT(::renameat(waiting.descriptor(), again.name.c_str(), waiting.descriptor(), entry.name.c_str()) == 0);
    }
    world.submit_fails_ = false;
    world.look();
    CPPUNIT_ASSERT_EQUAL(std::string("one\r\ntwo\r\n"), world.bodies());
    CPPUNIT_ASSERT_EQUAL(id, world.submitted_[0].first.id);
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, world.waiting());
  }

  // Else the record would bring the piece once more when its message has gone.
  void a_piece_counts_when_its_record_is_finished() {
    World world;
    CPPUNIT_ASSERT(world.put("x", 1, 2, "\r\none\r\n"));
    auto second = World::envelope();
    CPPUNIT_ASSERT(world.put(second, text_of("x", 2, 2, "two\r\n")));
    world.unfinished_ = 2;
    world.look();
    CPPUNIT_ASSERT_EQUAL(std::string(), world.bodies());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, world.waiting());
    // Its record is worked on again, while somebody has the first entry in his hands: both are of one piece.
    CPPUNIT_ASSERT(world.put(second, text_of("x", 2, 2, "two\r\n")));
    world.unfinished_ = 0;
    world.look();
    CPPUNIT_ASSERT_EQUAL(std::string("one\r\ntwo\r\n"), world.bodies());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, world.waiting());
    // What never gets marked waits no longer than others do.
    world.settings_.wait_time = std::chrono::seconds(-1);  // entries have whole seconds, rounded up
    CPPUNIT_ASSERT(world.put("y", 1, 2, "\r\none\r\n"));
    CPPUNIT_ASSERT(world.put("y", 2, 2, "two\r\n"));
    world.unfinished_ = world.records_;
    world.look();
    CPPUNIT_ASSERT_EQUAL(std::size_t{3}, world.submitted_.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, world.waiting());
  }

  void nothing_is_begun_when_the_process_ends() {
    World world;
    CPPUNIT_ASSERT(world.put("x", 1, 2, "\r\none\r\n"));
    CPPUNIT_ASSERT(world.put("x", 2, 2, "two\r\n"));
    CPPUNIT_ASSERT(world.put("y", 1, 2, "\r\none\r\n"));
    CPPUNIT_ASSERT(world.put("y", 2, 2, "two\r\n"));
    world.run_until_first();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, world.submitted_.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, world.waiting());
  }

  void the_administrator_decides() {
    World world;
    CPPUNIT_ASSERT(world.put("x", 1, 3, "one\r\n"));
    CPPUNIT_ASSERT(world.put("x", 2, 3, "two\r\n"));
    CPPUNIT_ASSERT(world.put("y", 1, 3, "three\r\n"));
    auto waiting = world.open();
    for (const auto& entry : waiting.list(10).value()) {
      auto message = waiting.read(entry).value();
      if (message.envelope.held_by.ends_with(" of x") && message.envelope.held_by.find("1/3") != std::string::npos) waiting.reschedule(entry, base::WallTime{}).value();
      if (!message.envelope.held_by.ends_with(" of y")) continue;
      message.envelope.returned = true;
      waiting.postpone(entry, message.envelope, message.message, base::WallTime{}).value();
    }
    world.look();
    CPPUNIT_ASSERT_EQUAL_MESSAGE("all pieces of the message", std::size_t{2}, world.submitted_.size());
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, world.given_back());
    CPPUNIT_ASSERT_EQUAL(std::size_t{0}, world.waiting());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(DefragmenterTest);

}  // namespace postern::delivery
