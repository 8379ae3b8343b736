// SPDX-License-Identifier: Apache-2.0
// Sessions over a real socket: a peer that does not read, and one that does not speak.
#include "base/descriptor.h"
#include "fake_site.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <sys/socket.h>

namespace {

using namespace postern;
using namespace std::chrono_literals;
namespace asio = net::asio;

// A message without an end, which counts what was read of it.
class EndlessReader final : public pop3::Reader {
 public:
  explicit EndlessReader(std::size_t& read) : read_(read), piece_(65536, 'x') {}
  net::Awaitable<Result<std::string_view>> next() override {
    read_ += piece_.size();
    co_return std::string_view(piece_);
  }

 private:
  std::size_t& read_;
  std::string piece_;
};

class EndlessInbox final : public pop3::Inbox {
 public:
  explicit EndlessInbox(std::size_t& read) : read_(read), messages_(1) { messages_[0].unique_id = "one"; }
  [[nodiscard]] const std::vector<pop3::Message>& messages() const override { return messages_; }
  net::Awaitable<Result<std::unique_ptr<pop3::Reader>>> read(std::size_t) override {
    std::unique_ptr<pop3::Reader> reader = std::make_unique<EndlessReader>(read_);
    co_return std::move(reader);
  }
  net::Awaitable<Result<void>> remove(std::vector<std::size_t>) override { co_return Result<void>(); }

 private:
  std::size_t& read_;
  std::vector<pop3::Message> messages_;
};

class EndlessSite final : public pop3::Services {
 public:
  std::shared_ptr<const conf::Configuration> configuration() override { return site.configuration(); }
  directory::Lookups& directory() override { return site.directory(); }
  net::Awaitable<policy::LoginDecision> login_access(policy::LoginFacts login) override { return site.login_access(std::move(login)); }
  net::Awaitable<Result<std::unique_ptr<pop3::Inbox>>> open_inbox(std::string) override {
    std::unique_ptr<pop3::Inbox> inbox = std::make_unique<EndlessInbox>(read);
    co_return std::move(inbox);
  }
  test::FakeSite site;
  std::size_t read = 0;
};

class SlowClientTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SlowClientTest);
  CPPUNIT_TEST(a_client_that_does_not_read_takes_no_memory_and_goes);
  CPPUNIT_TEST(a_silent_client_is_left_without_a_word);
  CPPUNIT_TEST(the_login_has_a_time_limit_of_its_own);
  CPPUNIT_TEST_SUITE_END();

  // Runs a session against a peer that sends `script` at once and then does nothing. Returns what the peer has in its buffers.
  static std::string run(EndlessSite& site, std::string_view script, std::chrono::seconds idle, std::chrono::seconds login) {
    auto [ours, theirs] = base::socket_pair(SOCK_STREAM).value();
    base::set_nonblocking(ours.get(), true).value();
    CPPUNIT_ASSERT_EQUAL(static_cast<ssize_t>(script.size()), ::send(theirs.get(), script.data(), script.size(), MSG_NOSIGNAL));
    asio::io_context io(1);
    net::TimeLimits limits(io, 50ms);
    limits.start();
    net::SocketStream stream(io, std::move(ours), limits);
    pop3::SessionInfo info;
    info.remote = {net::Address::parse("127.0.0.1").value(), 40000};
    info.idle_time = idle;
    info.login_time = login;
    bool ended = false;
    asio::co_spawn(io, pop3::run_session(stream, site, info, site.site.watch), [&](std::exception_ptr) {
      ended = true;
      io.stop();
    });
    io.run_for(10s);
    CPPUNIT_ASSERT(ended);
    std::string got;
    char piece[65536];
    for (;;) {
      const ssize_t count = ::recv(theirs.get(), piece, sizeof piece, MSG_DONTWAIT);
      if (count <= 0) return got;
      got.append(piece, static_cast<std::size_t>(count));
    }
  }

  void a_client_that_does_not_read_takes_no_memory_and_goes() {
    EndlessSite site;
    const std::string got = run(site, "USER user@example.com\r\nPASS pass word\r\nRETR 1\r\n", 1s, 60s);
    CPPUNIT_ASSERT_EQUAL(std::string("time limit"), site.site.watch.end_reason);
    // What the kernel's buffers took, and one piece more.
    CPPUNIT_ASSERT_MESSAGE(std::to_string(site.read), site.read <= got.size() + 3 * 65536);
  }

  void a_silent_client_is_left_without_a_word() {
    EndlessSite site;
    const std::string got = run(site, "USER user@example.com\r\nPASS pass word\r\nDELE 1\r\n", 1s, 60s);
    CPPUNIT_ASSERT_EQUAL(std::string("time limit"), site.site.watch.end_reason);
    CPPUNIT_ASSERT_MESSAGE(got, got.ends_with("+OK message 1 will be removed at QUIT\r\n"));
  }

  void the_login_has_a_time_limit_of_its_own() {
    EndlessSite site;
    const auto begin = std::chrono::steady_clock::now();
    run(site, "CAPA\r\n", 60s, 1s);
    CPPUNIT_ASSERT_EQUAL(std::string("time limit"), site.site.watch.end_reason);
    CPPUNIT_ASSERT(std::chrono::steady_clock::now() - begin < 5s);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SlowClientTest);

}  // namespace
