// SPDX-License-Identifier: Apache-2.0
#include "store/mailbox.h"

#include "store/names.h"
#include "scratch.h"

#include <cppunit/extensions/HelperMacros.h>

#include <optional>

namespace postern::store {

using test::message;
using test::Scratch;

class MailboxTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(MailboxTest);
  CPPUNIT_TEST(an_account_without_mail_has_an_empty_mailbox);
  CPPUNIT_TEST(a_second_session_is_refused);
  CPPUNIT_TEST(messages_are_listed_in_order_with_sizes);
  CPPUNIT_TEST(line_ends_are_crlf_whatever_the_file_has);
  CPPUNIT_TEST(sizes_are_those_of_what_is_read);
  CPPUNIT_TEST(sizes_are_counted_once);
  CPPUNIT_TEST(ids_stay_when_flags_change);
  CPPUNIT_TEST(a_message_that_moved_is_found_again);
  CPPUNIT_TEST(removal_is_for_good);
  CPPUNIT_TEST(the_rest_waits_beyond_the_limit);
  CPPUNIT_TEST(what_is_no_message_is_left_out);
  CPPUNIT_TEST_SUITE_END();

  static Result<Mailbox> open(const Scratch& scratch, std::size_t most = 1000) {
    return Mailbox::open(base::system_files(), scratch.directory.get(), "example.com/user", most);
  }

  void an_account_without_mail_has_an_empty_mailbox() {
    Scratch scratch;
    CPPUNIT_ASSERT(open(scratch).value().messages().empty());
    CPPUNIT_ASSERT(Mailbox::open(base::system_files(), scratch.directory.get(), "../user").error().kind == Kind::invalid);
  }
  void a_second_session_is_refused() {
    Scratch scratch;
    std::optional<Mailbox> first(open(scratch).value());
    CPPUNIT_ASSERT(open(scratch).error().kind == Kind::denied);
    first.reset();
    CPPUNIT_ASSERT(open(scratch));
  }
  void messages_are_listed_in_order_with_sizes() {
    Scratch scratch;
    auto store = Store::open(base::system_files(), scratch.directory.get()).value();
    auto batch = store.begin_batch();
    for (int i = 9; i > 0; --i) {
      auto next = message("id" + std::to_string(i));
      next.received += std::chrono::seconds(i);
      CPPUNIT_ASSERT(batch.add(next, Text(std::string(static_cast<std::size_t>(i), 'x') + "\r\n")));
    }
    CPPUNIT_ASSERT(batch.commit());
    scratch.put("example.com/user/cur/1600000000.foreign.host:2,S", "one\ntwo\n");
    auto mailbox = open(scratch).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{10}, mailbox.messages().size());
    CPPUNIT_ASSERT_EQUAL(std::string("1600000000.foreign.host"), mailbox.messages()[0].unique_id);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{10}, mailbox.messages()[0].size_bytes);
    for (std::size_t i = 1; i < 10; ++i) {
      CPPUNIT_ASSERT_EQUAL(static_cast<std::uint64_t>(i + 2), mailbox.messages()[i].size_bytes);
      CPPUNIT_ASSERT_EQUAL(std::string(i, 'x') + "\r\n", mailbox.read_whole(i, 1000).value());
    }
    CPPUNIT_ASSERT(mailbox.read(10).error().kind == Kind::not_found);
    CPPUNIT_ASSERT(mailbox.read_whole(9, 5).error().kind == Kind::invalid);
  }
  void line_ends_are_crlf_whatever_the_file_has() {
    Scratch scratch;
    scratch.put("example.com/user/new/1.a.b", "lf\ncrlf\r\n\r\nend without");
    auto mailbox = open(scratch).value();
    const std::string want = "lf\r\ncrlf\r\n\r\nend without\r\n";
    CPPUNIT_ASSERT_EQUAL(static_cast<std::uint64_t>(want.size()), mailbox.messages().at(0).size_bytes);
    for (const std::size_t piece : {1U, 2U, 3U, 7U, 100U}) {
      auto reader = mailbox.read(0).value();
      std::string got;
      for (std::string_view bytes = reader.next(piece).value(); !bytes.empty(); bytes = reader.next(piece).value()) got += bytes;
      CPPUNIT_ASSERT_EQUAL(want, got);
    }
  }
  // RFC 1939 section 11. Whatever the file ends with, and whatever another program's name says.
  void sizes_are_those_of_what_is_read() {
    Scratch scratch;
    const char* const texts[] = {"", "x", "x\n", "x\r", "x\r\n", "\n", "\r", "a\n\nb", "a\r\rb\r\r\n", "lone\rcr\nend\n\r"};
    int number = 10;
    for (const char* text : texts) {
      const std::string base = "example.com/user/new/" + std::to_string(number++) + ".a.b";
      scratch.put(base, text);
      scratch.put(base + "x,S=77,W=99", text);
      scratch.put(base + ".postern,S=77,W=99:2,S", text);
    }
    auto store = Store::open(base::system_files(), scratch.directory.get()).value();
    auto batch = store.begin_batch();
    for (const char* text : texts) CPPUNIT_ASSERT(batch.add(message("id" + std::to_string(number++)), Text(std::string_view(text))));
    CPPUNIT_ASSERT(batch.commit());
    for (int session = 0; session < 2; ++session) {
      auto mailbox = open(scratch).value();
      CPPUNIT_ASSERT_EQUAL(4 * std::size(texts), mailbox.messages().size());
      for (std::size_t i = 0; i < mailbox.messages().size(); ++i) {
        const auto whole = mailbox.read_whole(i, 1000).value();
        CPPUNIT_ASSERT_EQUAL_MESSAGE(mailbox.messages()[i].name, static_cast<std::uint64_t>(whole.size()), mailbox.messages()[i].size_bytes);
        CPPUNIT_ASSERT(whole.empty() || whole.ends_with("\r\n"));
      }
    }
  }
  void sizes_are_counted_once() {
    Scratch scratch;
    const std::string path = "example.com/user/new/1.a.b", cache = "example.com/user/postern-sizes";
    scratch.put(path, "x\ny\n");
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{6}, open(scratch).value().messages().at(0).size_bytes);
    // Another text of the same length and time is taken for the same: so it was not read again.
    const auto time = std::filesystem::last_write_time(scratch.path / path);
    scratch.put(path, "xxxx");
    std::filesystem::last_write_time(scratch.path / path, time);
    std::filesystem::rename(scratch.path / path, scratch.path / "example.com/user/cur/1.a.b:2,S");
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{6}, open(scratch).value().messages().at(0).size_bytes);
    const std::string good = scratch.content(cache);
    for (std::size_t i = 0; i < good.size(); ++i) {
      std::string damaged = good;
      damaged[i] = static_cast<char>(damaged[i] ^ 1);
      scratch.put(cache, damaged);
      CPPUNIT_ASSERT_EQUAL(std::uint64_t{6}, open(scratch).value().messages().at(0).size_bytes);
      CPPUNIT_ASSERT_EQUAL(good, scratch.content(cache));
    }
    scratch.put("example.com/user/cur/1.a.b:2,S", "other");
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{7}, open(scratch).value().messages().at(0).size_bytes);
  }
  void ids_stay_when_flags_change() {
    Scratch scratch;
    scratch.put("example.com/user/new/1.a.b,S=3", "x\n");
    const std::string before = open(scratch).value().messages().at(0).unique_id;
    std::filesystem::rename(scratch.path / "example.com/user/new/1.a.b,S=3", scratch.path / "example.com/user/cur/1.a.b,S=3:2,RS");
    CPPUNIT_ASSERT_EQUAL(before, open(scratch).value().messages().at(0).unique_id);
  }
  void a_message_that_moved_is_found_again() {
    Scratch scratch;
    scratch.put("example.com/user/new/1.a.b", "x\n");
    scratch.put("example.com/user/new/2.a.b", "y\n");
    scratch.put("example.com/user/new/3.a.b", "z\n");
    auto mailbox = open(scratch).value();
    std::filesystem::rename(scratch.path / "example.com/user/new/1.a.b", scratch.path / "example.com/user/cur/1.a.b:2,S");
    std::filesystem::rename(scratch.path / "example.com/user/new/2.a.b", scratch.path / "example.com/user/cur/2.a.b:2,S");
    std::filesystem::remove(scratch.path / "example.com/user/new/3.a.b");
    CPPUNIT_ASSERT_EQUAL(std::string("x\r\n"), mailbox.read_whole(0, 10).value());
    CPPUNIT_ASSERT(mailbox.read(2).error().kind == Kind::not_found);
    const std::size_t all[] = {0, 1, 2};
    CPPUNIT_ASSERT(mailbox.remove(all));
    CPPUNIT_ASSERT(scratch.names("example.com/user/cur").empty());
  }
  void removal_is_for_good() {
    Scratch scratch;
    for (const char* name : {"1.a.b", "2.a.b", "3.a.b"}) scratch.put(std::string("example.com/user/new/") + name, "x\n");
    auto mailbox = std::optional<Mailbox>(open(scratch).value());
    const std::size_t second[] = {1, 1, 77};
    CPPUNIT_ASSERT(mailbox->remove(second));
    CPPUNIT_ASSERT(mailbox->messages()[1].removed && !mailbox->messages()[0].removed);
    mailbox.reset();
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, open(scratch).value().messages().size());
  }
  void the_rest_waits_beyond_the_limit() {
    Scratch scratch;
    for (int i = 10; i < 30; ++i) scratch.put("example.com/user/new/" + std::to_string(i) + ".a.b", "x\n");
    auto mailbox = open(scratch, 5).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{5}, mailbox.messages().size());
    CPPUNIT_ASSERT_EQUAL(std::string("10.a.b"), mailbox.messages()[0].name);
  }
  void what_is_no_message_is_left_out() {
    Scratch scratch;
    scratch.put("example.com/user/new/.hidden", "x");
    scratch.put("example.com/user/new/1.directory/x", "x");
    std::filesystem::create_symlink("/etc/passwd", scratch.path / "example.com/user/new/2.link");
    CPPUNIT_ASSERT(open(scratch).value().messages().empty());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(MailboxTest);

}  // namespace postern::store
