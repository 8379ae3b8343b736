// SPDX-License-Identifier: Apache-2.0
#include "directory/handles.h"

#include "net/frame_server.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;
using namespace postern::directory;

namespace {

class NoPeer final : public net::FramePeer {
 public:
  [[nodiscard]] uid_t user() const override { return 0; }
  [[nodiscard]] bool administrator() const override { return false; }
  [[nodiscard]] bool closed() const override { return false; }
  void send(const boost::json::object&) override {}
};

class HandlesTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(HandlesTest);
  CPPUNIT_TEST(a_handle_belongs_to_its_connection_and_its_session);
  CPPUNIT_TEST(who_is_at_work_loses_nothing_to_others);
  CPPUNIT_TEST(one_account_takes_its_own);
  CPPUNIT_TEST_SUITE_END();

  const Handles::Time now_ = std::chrono::steady_clock::now();

  void a_handle_belongs_to_its_connection_and_its_session() {
    Handles handles;
    const auto one = std::make_shared<NoPeer>(), other = std::make_shared<NoPeer>();
    const std::string handle = handles.issue(one, "a@example.com"), second = handles.issue(one, "a@example.com");
    CPPUNIT_ASSERT(handle != second && handles.account(one, handle) == "a@example.com");
    CPPUNIT_ASSERT(!handles.account(other, handle) && !handles.account(nullptr, handle) && !handles.account(one, "x"));
    handles.end(other, handle);
    CPPUNIT_ASSERT(handles.account(one, handle));
    handles.end(one, handle);
    CPPUNIT_ASSERT(!handles.account(one, handle) && handles.account(one, second));
    handles.issue(one, "b@example.com");
    handles.forget("a@example.com");
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, handles.size());
  }

  void who_is_at_work_loses_nothing_to_others() {
    Handles handles(3);
    const auto one = std::make_shared<NoPeer>();
    const std::string a = handles.issue(one, "a@example.com", now_), b = handles.issue(one, "b@example.com", now_), c = handles.issue(one, "c@example.com", now_);
    CPPUNIT_ASSERT(handles.issue(one, "d@example.com", now_ + Handles::kIdle - std::chrono::seconds(1)).empty());
    CPPUNIT_ASSERT(handles.account(one, a, now_ + Handles::kIdle));
    // The one that was not used for longest.
    CPPUNIT_ASSERT(!handles.issue(one, "d@example.com", now_ + Handles::kIdle).empty());
    CPPUNIT_ASSERT(handles.account(one, a) && !handles.account(one, b) && handles.account(one, c));
    // And those whose connection is gone, at once.
    Handles few(2);
    const std::string kept = few.issue(one, "a@example.com", now_);
    few.issue(std::make_shared<NoPeer>(), "b@example.com", now_);
    CPPUNIT_ASSERT(!few.issue(one, "c@example.com", now_).empty());
    CPPUNIT_ASSERT(few.account(one, kept));
  }

  void one_account_takes_its_own() {
    Handles handles;
    const auto one = std::make_shared<NoPeer>();
    const std::string others = handles.issue(one, "b@example.com"), first = handles.issue(one, "a@example.com");
    for (std::size_t i = 0; i < Handles::kMostOfAccount; ++i) CPPUNIT_ASSERT(!handles.issue(one, "a@example.com").empty());
    CPPUNIT_ASSERT(!handles.account(one, first) && handles.account(one, others));
    CPPUNIT_ASSERT_EQUAL(Handles::kMostOfAccount + 1, handles.size());
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(HandlesTest);

}  // namespace
