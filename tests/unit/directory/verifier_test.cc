// SPDX-License-Identifier: Apache-2.0
#include "directory/verifier.h"

#include <cppunit/extensions/HelperMacros.h>

#include <time.h>

#include <algorithm>
#include <chrono>
#include <string>

namespace {

using namespace postern;
using namespace postern::directory;
using std::chrono::microseconds;

// bcrypt of "right", eight times as slow as a hash of ours.
const std::string kSlow = "$2b$11$GmdE2Wls675Q.R5MATllyO.xAZPX4ZuwCdhfAP6Oth2in6xUCjPTa";

microseconds cpu_of_a_check() {
  const auto now = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return microseconds(std::int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000);
  };
  const auto before = now();
  CPPUNIT_ASSERT(!password_matches("wrong", kSlow));
  return now() - before;
}

class VerifierTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(VerifierTest);
  CPPUNIT_TEST(what_fails_takes_as_long_as_the_slowest_kind);
  CPPUNIT_TEST(what_waited_too_long_is_dropped);
  CPPUNIT_TEST_SUITE_END();

  struct Answer {
    Verifier::Outcome outcome = Verifier::Outcome::too_late;
    microseconds after{0};
  };
  static Answer ask(net::asio::io_context& io, Verifier& verifier, const std::string& password, const std::string& hash) {
    Answer answer;
    bool there = false;
    const auto begin = std::chrono::steady_clock::now();
    CPPUNIT_ASSERT(verifier.submit(password, hash, [&](Verifier::Outcome outcome) {
      answer = {outcome, std::chrono::duration_cast<microseconds>(std::chrono::steady_clock::now() - begin)};
      there = true;
    }));
    while (!there) {
      io.restart();
      io.run_one_for(std::chrono::seconds(1));
    }
    return answer;
  }

  void what_fails_takes_as_long_as_the_slowest_kind() {
    net::asio::io_context io(1);
    Verifier verifier(io, 1, 10, std::chrono::minutes(1));
    const std::string ours = hash_password("right").value();
    // Its processor time, so what else the machine does plays no part; what is waited for is no shorter.
    const microseconds slow = std::min(cpu_of_a_check(), cpu_of_a_check());
    CPPUNIT_ASSERT(ask(io, verifier, "wrong", kSlow).outcome == Verifier::Outcome::differs);
    const struct {
      const char* what;
      std::string password, hash;
    } rows[] = {{"nobody", "right", ""}, {"a hash of ours", "wrong", ours}, {"a cheap one", "wrong", "{PLAIN}right"}};
    for (const auto& row : rows) {
      const Answer answer = ask(io, verifier, row.password, row.hash);
      CPPUNIT_ASSERT_MESSAGE(row.what, answer.outcome == Verifier::Outcome::differs);
      CPPUNIT_ASSERT_MESSAGE(std::string(row.what) + ": " + std::to_string(answer.after.count()) + " of " + std::to_string(slow.count()) + " microseconds", answer.after >= slow * 7 / 10);
    }
    // What is right is right, however it was padded before.
    CPPUNIT_ASSERT(ask(io, verifier, "right", kSlow).outcome == Verifier::Outcome::matches);
    CPPUNIT_ASSERT(ask(io, verifier, "right", ours).outcome == Verifier::Outcome::matches);
  }

  void what_waited_too_long_is_dropped() {
    net::asio::io_context io(1);
    Verifier verifier(io, 1, 20, std::chrono::milliseconds(0));
    unsigned late = 0;
    for (int i = 0; i < 20; ++i)
      CPPUNIT_ASSERT(verifier.submit("right", kSlow, [&](Verifier::Outcome outcome) { late += outcome == Verifier::Outcome::too_late ? 1 : 100; }));
    while (late < 20) {
      io.restart();
      io.run_one_for(std::chrono::seconds(1));
    }
    CPPUNIT_ASSERT_EQUAL(20u, late);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(VerifierTest);

}  // namespace
