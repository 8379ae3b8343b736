// SPDX-License-Identifier: Apache-2.0
#include "base/syslog_socket.h"

#include "../scratch_directory.h"

#include <cppunit/extensions/HelperMacros.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <cstring>
#include <vector>

using namespace postern;

namespace {

// The part of syslogd that matters here.
class Reader {
 public:
  explicit Reader(const std::string& path, int type = SOCK_DGRAM) : type_(type) {
    ::unlink(path.c_str());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    socket_ = base::Descriptor(::socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    CPPUNIT_ASSERT_EQUAL(0, ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
    if (type == SOCK_STREAM) CPPUNIT_ASSERT_EQUAL(0, ::listen(socket_.get(), 5));
  }
  // All that has come.
  std::vector<std::string> lines() {
    if (type_ == SOCK_STREAM && !accepted_) accepted_ = base::Descriptor(::accept(socket_.get(), nullptr, nullptr));
    std::vector<std::string> all;
    char piece[4096];
    for (;;) {
      const ssize_t got = ::recv(accepted_ ? accepted_.get() : socket_.get(), piece, sizeof piece, MSG_DONTWAIT);
      if (got <= 0) return all;
      all.emplace_back(piece, static_cast<std::size_t>(got));
    }
  }

 private:
  int type_;
  base::Descriptor socket_, accepted_;
};

class SyslogSocketTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SyslogSocketTest);
  CPPUNIT_TEST(a_line_has_priority_time_program_and_process);
  CPPUNIT_TEST(without_a_reader_lines_are_dropped_and_counted);
  CPPUNIT_TEST(a_reader_that_was_started_anew_gets_the_next_line);
  CPPUNIT_TEST(a_reader_that_does_not_read_is_waited_for_once);
  CPPUNIT_TEST(lines_of_a_stream_end_with_nul);
  CPPUNIT_TEST_SUITE_END();

  test::ScratchDirectory scratch_;
  std::string path_ = (scratch_.path / "log").string();
  std::string head() const { return "posternd/smtp[" + std::to_string(::getpid()) + "]: "; }

  void a_line_has_priority_time_program_and_process() {
    Reader reader(path_);
    base::SyslogSocket log(path_);
    log.send(LOG_MAIL | LOG_INFO, "posternd/smtp", "message-accepted id=x");
    const auto lines = reader.lines();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, lines.size());
    const std::string tail = head() + "message-accepted id=x";
    CPPUNIT_ASSERT_MESSAGE(lines[0], lines[0].starts_with("<22>") && lines[0].ends_with(tail));
    // "Nov  2 13:05:00 "
    const std::string time = lines[0].substr(4, lines[0].size() - tail.size() - 4);
    CPPUNIT_ASSERT_EQUAL(std::size_t{16}, time.size());
    CPPUNIT_ASSERT_MESSAGE(time, time[3] == ' ' && time[6] == ' ' && time[9] == ':' && time[12] == ':' && time[15] == ' ');
  }

  void without_a_reader_lines_are_dropped_and_counted() {
    base::SyslogSocket log(path_);
    log.send(LOG_MAIL | LOG_INFO, "posternd", "one");
    Reader reader(path_);
    // Not tried again so soon.
    log.send(LOG_MAIL | LOG_INFO, "posternd", "two");
    CPPUNIT_ASSERT(reader.lines().empty());
    log.open();
    log.send(LOG_MAIL | LOG_INFO, "posternd", "three");
    const auto lines = reader.lines();
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, lines.size());
    CPPUNIT_ASSERT_MESSAGE(lines[0], lines[0].starts_with("<20>") && lines[0].ends_with(": log-lines-lost count=2"));
    CPPUNIT_ASSERT_MESSAGE(lines[1], lines[1].ends_with(": three"));
  }

  void a_reader_that_was_started_anew_gets_the_next_line() {
    base::SyslogSocket log(path_);
    {
      Reader first(path_);
      log.send(LOG_MAIL | LOG_INFO, "posternd", "one");
      CPPUNIT_ASSERT_EQUAL(std::size_t{1}, first.lines().size());
    }
    Reader second(path_);
    log.send(LOG_MAIL | LOG_INFO, "posternd", "two");
    const auto lines = second.lines();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, lines.size());
    CPPUNIT_ASSERT_MESSAGE(lines[0], lines[0].ends_with(": two"));
  }

  void a_reader_that_does_not_read_is_waited_for_once() {
    Reader reader(path_);
    base::SyslogSocket log(path_);
    constexpr std::size_t kLines = 20'000;
    // A wait for each line that does not go through would take half an hour.
    for (std::size_t i = 0; i < kLines; ++i) log.send(LOG_MAIL | LOG_INFO, "posternd", "line");
    const std::size_t came = reader.lines().size();
    CPPUNIT_ASSERT(came > 0 && came < kLines);
    log.open();
    log.send(LOG_MAIL | LOG_INFO, "posternd", "last");
    const auto lines = reader.lines();
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, lines.size());
    CPPUNIT_ASSERT_MESSAGE(lines[0], lines[0].ends_with(": log-lines-lost count=" + std::to_string(kLines - came)));
  }

  void lines_of_a_stream_end_with_nul() {
    Reader reader(path_, SOCK_STREAM);
    base::SyslogSocket log(path_);
    log.send(LOG_MAIL | LOG_INFO, "posternd", "one");
    const auto lines = reader.lines();
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, lines.size());
    CPPUNIT_ASSERT(lines[0].ends_with(std::string_view(": one\0", 6)));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SyslogSocketTest);

}  // namespace
