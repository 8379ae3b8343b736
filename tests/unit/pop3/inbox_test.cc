// SPDX-License-Identifier: Apache-2.0
#include "pop3/inbox.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <optional>

namespace {

using namespace postern;
namespace asio = net::asio;

class InboxTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(InboxTest);
  CPPUNIT_TEST(lists_reads_and_removes);
  CPPUNIT_TEST(belongs_to_one_session);
  CPPUNIT_TEST_SUITE_END();

 public:
  void setUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "postern-test-XXXXXX").string();
    CPPUNIT_ASSERT(::mkdtemp(name.data()) != nullptr);
    path_ = name;
    mail_ = base::Descriptor(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::filesystem::create_directories(path_ + "/example.com/user/new");
    std::filesystem::create_directories(path_ + "/example.com/user/cur");
    std::filesystem::create_directories(path_ + "/example.com/user/tmp");
  }
  void tearDown() override { std::filesystem::remove_all(path_); }

 private:
  template <class T>
  static T run(asio::io_context& io, net::Awaitable<T> work) {
    std::optional<T> result;
    asio::co_spawn(io, std::move(work), [&](std::exception_ptr error, T value) {
      CPPUNIT_ASSERT(!error);
      result = std::move(value);
      io.stop();
    });
    io.restart();
    io.run_for(std::chrono::seconds(20));
    CPPUNIT_ASSERT(result.has_value());
    return std::move(*result);
  }
  static net::Awaitable<std::string> whole(pop3::Inbox& inbox, std::size_t index) {
    auto reader = co_await inbox.read(index);
    if (!reader) co_return "error: " + reader.error().what;
    std::string text;
    for (;;) {
      const auto piece = co_await (*reader)->next();
      if (!piece) co_return "error: " + piece.error().what;
      if (piece->empty()) co_return text;
      text += *piece;
    }
  }
  void put(const std::string& name, const std::string& text) const { std::ofstream(path_ + "/example.com/user/" + name, std::ios::binary) << text; }

  void lists_reads_and_removes() {
    std::string big;
    for (int i = 0; i < 30000; ++i) big += "line " + std::to_string(i) + "\n";
    put("new/1700000001.a.host", "A: b\n\nbody\n");
    put("cur/1700000002.b.host:2,S", big);
    asio::io_context io(1);
    pop3::Inboxes inboxes(io, base::system_files(), mail_.get());
    auto inbox = run(io, inboxes.open("example.com/user", 100)).value();
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, inbox->messages().size());
    CPPUNIT_ASSERT_EQUAL(std::string("A: b\r\n\r\nbody\r\n"), run(io, whole(*inbox, 0)));
    const std::string got = run(io, whole(*inbox, 1));
    CPPUNIT_ASSERT_EQUAL(big.size() + 30000, got.size());
    CPPUNIT_ASSERT_EQUAL(inbox->messages()[1].size_bytes, std::uint64_t{got.size()});
    CPPUNIT_ASSERT(run(io, inbox->remove({0})).has_value());
    inbox = nullptr;
    CPPUNIT_ASSERT_EQUAL(std::size_t{1}, run(io, inboxes.open("example.com/user", 100)).value()->messages().size());
  }

  void belongs_to_one_session() {
    asio::io_context io(1);
    pop3::Inboxes inboxes(io, base::system_files(), mail_.get());
    auto first = run(io, inboxes.open("example.com/user", 100)).value();
    CPPUNIT_ASSERT(run(io, inboxes.open("example.com/user", 100)).error().kind == Kind::denied);
    first = nullptr;
    CPPUNIT_ASSERT(run(io, inboxes.open("example.com/user", 100)).has_value());
    // Without mail yet.
    CPPUNIT_ASSERT(run(io, inboxes.open("example.com/new", 100)).value()->messages().empty());
  }

  std::string path_;
  base::Descriptor mail_;
};
CPPUNIT_TEST_SUITE_REGISTRATION(InboxTest);

}  // namespace
