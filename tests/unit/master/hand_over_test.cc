// SPDX-License-Identifier: Apache-2.0
#include "master/hand_over.h"

#include "base/descriptor.h"
#include "master/execution.h"

#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>

using namespace postern;
using namespace postern::master;

namespace {

std::string error_of(const Result<HandOver>& result) { return result ? "none" : result.error().what; }

HandOver filled() {
  HandOver full;
  full.version = "1.2.3";
  full.formats = {{"journal", {1, 2}}, {"orders", {1, 1}}};
  full.program = 10;
  full.program_path = "/usr/sbin/posternd";
  full.failure = "it ended by signal SIGSEGV";
  full.writer_number = 2;
  full.program_number = 1;
  full.highest_number = 3;
  full.configuration_path = "/etc/postern/postern.conf";
  full.pid_file = "/run/postern.pid";
  full.background = true;
  full.lock = 11;
  full.base = 12;
  full.run = 13;
  full.control = 14;
  full.configuration = 15;
  full.log = -1;
  full.generation = 7;
  full.started_text = "2026-11-21T12:00:00Z";
  full.started = std::chrono::steady_clock::time_point(std::chrono::nanoseconds(123456789012345));
  full.incarnation = 18446744073709551615U;
  full.sequence = 42;
  full.next_socket = 9;
  HandedSocket open{3, {}, 16, {}, false}, failed{4, {}, -1, "listen on pop3 192.0.2.1:110: Address already in use", false};
  open.wanted = {conf::Module::smtp, 25, {}, net::Address::ipv6({})};
  failed.wanted.module = conf::Module::pop3;
  failed.wanted.port = 110;
  failed.wanted.row = *conf::LocalAddress::parse("192.0.2.1");
  failed.wanted.address = *net::Address::parse("192.0.2.1");
  full.sockets = {open, failed};
  HandedChild child;
  child.facts.number = 5;
  child.facts.incarnation = 1790000000000005;
  child.facts.role = "smtp";
  child.facts.pid = 4711;
  child.facts.phase = ChildFacts::Phase::leaving;
  child.facts.started = full.started;
  child.facts.ready_at = full.started + std::chrono::milliseconds(5);
  child.facts.killed = true;
  child.facts.done = 41;
  child.facts.generation = 6;
  child.facts.program = 2;
  child.facts.wants_replacement = true;
  child.facts.replaces = 4700;
  child.control = 17;
  full.children = {child, HandedChild{}};
  full.children[1].facts.pid = 4712;
  full.owed = {{6, 1790000000000006, "spool-state"}};
  full.tables = {18, 3, "2026-11-21T11:00:00Z", "no", true, 64769, 99, 4096, 1, 2, 3, 4};
  full.descriptors = {{"connections", 19}, {"notices-read", 20}};
  full.requests = {{21, "upgrade"}, {22, ""}};
  full.reload = true;
  full.reopen_log = true;
  return full;
}

class HandOverTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(HandOverTest);
  CPPUNIT_TEST(comes_back_as_it_was_written);
  CPPUNIT_TEST(another_version_is_refused);
  CPPUNIT_TEST(a_format_that_is_not_known_is_refused);
  CPPUNIT_TEST(damaged_text_is_refused_and_says_where);
  CPPUNIT_TEST(fields_that_are_not_known_are_left_alone);
  CPPUNIT_TEST(all_descriptors_are_named_once);
  CPPUNIT_TEST(only_a_sealed_file_is_read);
  CPPUNIT_TEST(arguments_come_back);
  CPPUNIT_TEST(malformed_marks_are_none);
  CPPUNIT_TEST_SUITE_END();

  void comes_back_as_it_was_written() {
    const HandOver full = filled();
    const std::string text = to_text(full);
    auto read = from_text(text, full.formats);
    CPPUNIT_ASSERT_EQUAL(std::string("none"), error_of(read));
    // Every field is in the text, so what is equal as text is equal.
    CPPUNIT_ASSERT_EQUAL(text, to_text(*read));
    CPPUNIT_ASSERT(read->started == full.started);
    CPPUNIT_ASSERT(read->children[1].facts.kill_at == std::chrono::steady_clock::time_point::max());
    CPPUNIT_ASSERT(read->sockets[0].wanted == full.sockets[0].wanted && read->sockets[1].wanted == full.sockets[1].wanted);
    CPPUNIT_ASSERT_EQUAL(full.incarnation, read->incarnation);
    CPPUNIT_ASSERT_EQUAL(19, read->descriptor("connections"));
    CPPUNIT_ASSERT_EQUAL(-1, read->descriptor("ledger"));
  }

  void another_version_is_refused() {
    std::string text = to_text(filled());
    const std::string mark = "\"hand_over\":" + std::to_string(kHandOverVersion);
    text.replace(text.find(mark), mark.size(), "\"hand_over\":" + std::to_string(kHandOverVersion + 1));
    auto read = from_text(text, filled().formats);
    CPPUNIT_ASSERT(!read && read.error().kind == Kind::denied);
    CPPUNIT_ASSERT(read.error().what.find("version " + std::to_string(kHandOverVersion + 1)) != std::string::npos);
  }

  void a_format_that_is_not_known_is_refused() {
    const struct {
      Formats ours;
      bool good;
      std::string_view says;
    } rows[] = {{{{"journal", {1, 2}}, {"orders", {1, 1}}}, true, "none"},
                {{{"journal", {2, 3}}, {"orders", {1, 1}}, {"ledger", {1, 1}}}, true, "none"},
                {{{"journal", {1, 1}}, {"orders", {1, 1}}}, false, "journal: version 2 is in use, this program knows 1"},
                {{{"journal", {3, 4}}, {"orders", {1, 1}}}, false, "this program knows 3 to 4"},
                {{{"journal", {1, 2}}}, false, "orders: version 1 is in use, this program knows none"}};
    for (const auto& row : rows) {
      auto read = from_text(to_text(filled()), row.ours);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(error_of(read), row.good, read.has_value());
      CPPUNIT_ASSERT_MESSAGE(error_of(read), error_of(read).find(row.says) != std::string::npos);
    }
  }

  void damaged_text_is_refused_and_says_where() {
    const std::string good = to_text(filled());
    const struct {
      std::string_view part, instead, says;
    } rows[] = {{"{", "", "not a JSON object"},
                {"\"lock\":11", "\"lock\":-1", "lock"},
                {"\"base\":12", "\"base\":\"12\"", "base"},
                {"\"run\":13", "\"run\":2", "run"},
                {"\"generation\":7,\"started_text\"", "\"started_text\"", "generation"},
                {"\"module\":\"smtp\"", "\"module\":\"gopher\"", "sockets.module"},
                {"\"row\":\"192.0.2.1\"", "\"row\":\"192.0.2\"", "sockets.row"},
                {"\"pid\":4711", "\"pid\":0", "children.pid"},
                {"\"number\":5", "\"number\":5000", "children.number"},
                {"\"phase\":\"leaving\"", "\"phase\":\"left\"", "children.phase"},
                {"\"inode\":99", "\"inode\":-99", "tables.inode"},
                {"\"descriptor\":20", "\"descriptor\":0", "descriptors.descriptor"}};
    for (const auto& row : rows) {
      std::string text = good;
      const auto place = text.find(row.part);
      CPPUNIT_ASSERT_MESSAGE(std::string(row.part), place != std::string::npos);
      text.replace(place, row.part.size(), row.instead);
      auto read = from_text(text, filled().formats);
      CPPUNIT_ASSERT_MESSAGE(std::string(row.part), !read && read.error().kind == Kind::invalid);
      CPPUNIT_ASSERT_MESSAGE(error_of(read), error_of(read).find(row.says) != std::string::npos);
    }
    // Wherever it is cut off.
    for (std::size_t length = 0; length < good.size(); length += 7)
      CPPUNIT_ASSERT(!from_text(good.substr(0, length), filled().formats));
  }

  void fields_that_are_not_known_are_left_alone() {
    std::string text = to_text(filled());
    text.insert(text.size() - 1, ",\"certificates\":30");
    CPPUNIT_ASSERT(from_text(text, filled().formats));
  }

  void all_descriptors_are_named_once() {
    std::vector<int> all = filled().all_descriptors();
    std::sort(all.begin(), all.end());
    std::vector<int> want;
    for (int number = 10; number <= 22; ++number) want.push_back(number);
    CPPUNIT_ASSERT(all == want);
  }

  void only_a_sealed_file_is_read() {
    auto sealed = base::sealed_memory_file("hand-over", to_text(filled()));
    CPPUNIT_ASSERT(sealed);
    // The text's "orders" are this program's own, so that only the other formats are told.
    auto read = read_hand_over(sealed->get(), filled().formats);
    CPPUNIT_ASSERT_EQUAL(std::string("none"), error_of(read));
    CPPUNIT_ASSERT_EQUAL(sealed->get(), read->text);
    auto open = base::socket_pair(1);
    CPPUNIT_ASSERT(open && !read_hand_over(open->first.get(), filled().formats));
  }

  void arguments_come_back() {
    const std::vector<std::string> own{"posternd", "-c", "/etc/postern/postern.conf"};
    const Execution rows[] = {{Execution::Kind::none, -1, -1, "", own},
                              {Execution::Kind::check, 7, -1, "", own},
                              {Execution::Kind::take_over, 7, 12, "", own},
                              {Execution::Kind::taken_back, 7, -1, "it failed, with a comma", own}};
    for (const auto& row : rows) {
      const Execution read = execution_of(arguments_for(row));
      CPPUNIT_ASSERT(read.kind == row.kind && read.text == row.text && read.program == row.program);
      CPPUNIT_ASSERT_EQUAL(row.why, read.why);
      CPPUNIT_ASSERT(read.arguments == own);
    }
  }

  void malformed_marks_are_none() {
    for (const char* const mark : {"--take-over=", "--take-over=7", "--take-over=7,", "--take-over=7,x", "--take-over=2,12", "--check-upgrade=x",
                                   "--check-upgrade=-1", "--taken-back=7", "--check-upgrade=99999999999"}) {
      const Execution read = execution_of({"posternd", mark});
      CPPUNIT_ASSERT_MESSAGE(mark, read.kind == Execution::Kind::none && read.arguments.size() == 2);
    }
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(HandOverTest);

}  // namespace
