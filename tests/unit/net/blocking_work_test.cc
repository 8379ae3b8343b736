// SPDX-License-Identifier: Apache-2.0
#include "net/blocking_work.h"

#include <cppunit/extensions/HelperMacros.h>

#include <future>
#include <stdexcept>
#include <thread>

using namespace postern;
using namespace std::chrono_literals;
using net::BlockingWork;

namespace {

class BlockingWorkTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(BlockingWorkTest);
  CPPUNIT_TEST(gives_what_the_work_gave);
  CPPUNIT_TEST(who_waits_stops_waiting_when_the_time_is_over);
  CPPUNIT_TEST(the_queue_is_bounded);
  CPPUNIT_TEST_SUITE_END();

  using Ended = BlockingWork::Ended;
  using Outcome = BlockingWork::Outcome;
  net::asio::io_context io_{1};

  std::optional<Ended> ended_;
  void start(BlockingWork& work, std::function<std::optional<std::string>()> what, std::chrono::milliseconds limit) {
    ended_.reset();
    net::asio::co_spawn(io_, work.run(std::move(what), limit), [this](std::exception_ptr, Ended ended) { ended_ = std::move(ended); });
  }
  Ended wait() {
    io_.restart();
    while (!ended_) io_.run_one();
    return *ended_;
  }

  void gives_what_the_work_gave() {
    BlockingWork work(io_, 1, 4);
    const auto own = std::this_thread::get_id();
    start(work, [own] { return std::optional<std::string>(std::this_thread::get_id() == own ? "same" : "other"); }, 10s);
    CPPUNIT_ASSERT(wait().text == "other");
    start(work, [] { return std::optional<std::string>(); }, 10s);
    CPPUNIT_ASSERT(!wait().text && ended_->outcome == Outcome::done);
    start(work, []() -> std::optional<std::string> { throw std::runtime_error("no"); }, 10s);
    CPPUNIT_ASSERT(!wait().text && ended_->outcome == Outcome::done);
  }

  void who_waits_stops_waiting_when_the_time_is_over() {
    std::promise<void> go_on;
    BlockingWork work(io_, 1, 4);
    start(work, [blocked = go_on.get_future().share()] { return blocked.wait(), std::optional<std::string>("late"); }, 20ms);
    CPPUNIT_ASSERT(wait().outcome == Outcome::too_late && !ended_->text);
    go_on.set_value();
    // Its result is nobody's; the next one's is.
    start(work, [] { return std::optional<std::string>("next"); }, 10s);
    CPPUNIT_ASSERT(wait().text == "next");
  }

  void the_queue_is_bounded() {
    std::promise<void> go_on;
    BlockingWork work(io_, 1, 2);
    const auto blocked = go_on.get_future().share();
    for (int i = 0; i < 2; ++i) {
      start(work, [blocked] { return blocked.wait(), std::optional<std::string>("x"); }, 10ms);
      CPPUNIT_ASSERT(wait().outcome == Outcome::too_late);
    }
    start(work, [] { return std::optional<std::string>("y"); }, 10s);
    CPPUNIT_ASSERT(wait().outcome == Outcome::queue_full);
    go_on.set_value();
    do {
      io_.restart();
      io_.run_one();
      start(work, [] { return std::optional<std::string>("y"); }, 10s);
    } while (wait().outcome == Outcome::queue_full);
    CPPUNIT_ASSERT(ended_->text == "y");
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BlockingWorkTest);

}  // namespace
