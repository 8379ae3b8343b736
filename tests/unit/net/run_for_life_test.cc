// SPDX-License-Identifier: Apache-2.0
#include "net/run_for_life.h"

#include "base/descriptor.h"

#include <cppunit/extensions/HelperMacros.h>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

namespace postern::net {
namespace {

Awaitable<void> fails_later(asio::io_context& io, bool with_text) {
  co_await asio::post(io, net::use_awaitable);
  if (with_text) throw std::runtime_error("no more room");
  throw 7;
}

Awaitable<void> ends(asio::io_context& io) { co_await asio::post(io, net::use_awaitable); }

class RunForLifeTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(RunForLifeTest);
  CPPUNIT_TEST(a_role_that_fails_ends_its_process_and_says_so);
  CPPUNIT_TEST(a_role_that_ends_leaves_its_process_alone);
  CPPUNIT_TEST(a_task_that_fails_ends_what_depends_on_it);
  CPPUNIT_TEST(a_task_that_ends_has_not_failed);
  CPPUNIT_TEST_SUITE_END();

  // Runs `work` in a process of its own; its exit status, and what it wrote to the log.
  template <class Work>
  static std::pair<int, std::string> in_a_process(Work work) {
    auto ends = *base::socket_pair(SOCK_STREAM);
    const pid_t pid = ::fork();
    if (pid == 0) {
      base::set_log_descriptor(ends.first.get());
      work();
      ::_exit(0);
    }
    ends.first.reset();
    std::string log;
    char piece[512];
    for (ssize_t got; (got = ::read(ends.second.get(), piece, sizeof piece)) > 0;) log.append(piece, static_cast<std::size_t>(got));
    int status = 0;
    ::waitpid(pid, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, log};
  }

  static bool has(const std::string& log, const std::string& text) { return log.find(text) != std::string::npos; }

  void a_role_that_fails_ends_its_process_and_says_so() {
    for (const bool with_text : {true, false}) {
      const auto [status, log] = in_a_process([&] {
        asio::io_context io(1);
        run_for_life(io, fails_later(io, with_text));
        io.run();
      });
      CPPUNIT_ASSERT_EQUAL(70, status);
      CPPUNIT_ASSERT_MESSAGE(log, has(log, with_text ? "role-failed reason=\"no more room\"" : "role-failed reason=unknown"));
    }
  }

  void a_role_that_ends_leaves_its_process_alone() {
    const auto [status, log] = in_a_process([] {
      asio::io_context io(1);
      run_for_life(io, ends(io));
      io.run();
    });
    CPPUNIT_ASSERT_EQUAL(0, status);
    CPPUNIT_ASSERT_EQUAL(std::string(), log);
  }

  void a_task_that_fails_ends_what_depends_on_it() {
    for (const bool with_text : {true, false}) {
      const auto [status, log] = in_a_process([&] {
        asio::io_context io(1);
        std::string why;
        run_task(io, "trial", fails_later(io, with_text), [&](const std::string& reason) { why = reason; });
        io.run();
        ::_exit(why == (with_text ? "no more room" : "unknown") ? 0 : 1);
      });
      CPPUNIT_ASSERT_EQUAL(0, status);
      CPPUNIT_ASSERT_MESSAGE(log, has(log, "task-failed task=trial reason=" + std::string(with_text ? "\"no more room\"" : "unknown")));
    }
  }

  void a_task_that_ends_has_not_failed() {
    const auto [status, log] = in_a_process([] {
      asio::io_context io(1);
      run_task(io, "trial", ends(io), [](const std::string&) { ::_exit(1); });
      io.run();
    });
    CPPUNIT_ASSERT_EQUAL(0, status);
    CPPUNIT_ASSERT_EQUAL(std::string(), log);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(RunForLifeTest);

}  // namespace
}  // namespace postern::net
