// SPDX-License-Identifier: Apache-2.0
#include "net/frames.h"

#include <cppunit/extensions/HelperMacros.h>

#include <boost/json/serialize.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

using namespace postern;
using namespace std::chrono_literals;

namespace {

std::string with_length(std::string_view text, std::size_t length) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(length >> shift);
  return out += text;
}
std::string with_length(std::string_view text) { return with_length(text, text.size()); }

class FramesTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(FramesTest);
  CPPUNIT_TEST(a_frame_comes_out_as_it_went_in);
  CPPUNIT_TEST(frames_may_come_in_any_pieces);
  CPPUNIT_TEST(bad_frames_are_refused);
  CPPUNIT_TEST(deep_nesting_is_refused);
  CPPUNIT_TEST(questions_are_answered_over_a_socket);
  CPPUNIT_TEST(nobody_listening_is_temporary);
  CPPUNIT_TEST_SUITE_END();

  void a_frame_comes_out_as_it_went_in() {
    const boost::json::object message{{"do", "status"}, {"name", std::string("a\0\n\"\xc3\xa9", 6)}, {"numbers", {1, 2.5, -3}}, {"none", nullptr}};
    const std::string bytes = net::frame(message);
    CPPUNIT_ASSERT_EQUAL(bytes.size() - 4, static_cast<std::size_t>(static_cast<unsigned char>(bytes[3])));
    net::FrameReader reader;
    reader.feed(bytes);
    const auto got = reader.next();
    CPPUNIT_ASSERT(got && *got == message);
    CPPUNIT_ASSERT(reader.next().error().kind == Kind::not_found);
  }

  void frames_may_come_in_any_pieces() {
    const std::string bytes = net::frame({{"a", 1}}) + net::frame({}) + net::frame({{"b", std::string(5000, 'x')}});
    for (const std::size_t size : {std::size_t{1}, std::size_t{3}, std::size_t{7}, bytes.size()}) {
      net::FrameReader reader;
      std::string seen;
      for (std::size_t at = 0; at < bytes.size(); at += size) {
        reader.feed(std::string_view(bytes).substr(at, size));
        while (auto got = reader.next()) seen += boost::json::serialize(*got).substr(0, 9) + ";";
      }
      CPPUNIT_ASSERT_EQUAL(std::string("{\"a\":1};{};{\"b\":\"xxx;"), seen);
    }
  }

  void bad_frames_are_refused() {
    for (const std::string& bytes : {with_length("{", net::kMaxFrameBytes + 1), with_length("", 0xffffffff), with_length(""), with_length("[]"), with_length("7"), with_length("{\"a\":}"),
                                     with_length("{} x"), with_length("{\"a\":1"), with_length(std::string("{\"a\":\"\xff\"}"))}) {
      net::FrameReader reader;
      reader.feed(bytes);
      const auto got = reader.next();
      CPPUNIT_ASSERT_MESSAGE(bytes.substr(4), !got && got.error().kind == Kind::invalid);
    }
  }

  void deep_nesting_is_refused() {
    net::FrameReader reader;
    reader.feed(with_length("{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}"));
    CPPUNIT_ASSERT(reader.next().error().kind == Kind::invalid);
  }

  std::filesystem::path path_;
  base::Descriptor directory_;

 public:
  void setUp() override {
    char name[] = "/tmp/postern-frames-test-XXXXXX";
    CPPUNIT_ASSERT(::mkdtemp(name) != nullptr);
    path_ = name;
    directory_ = base::Descriptor(::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  void tearDown() override {
    directory_.reset();
    std::filesystem::remove_all(path_);
  }

 private:
  void questions_are_answered_over_a_socket() {
    for (int round = 0; round < 2; ++round) {  // the second finds an old socket file
      const auto listening = net::listen_unix(directory_.get(), "control.sock", 0600);
      CPPUNIT_ASSERT_MESSAGE(listening ? "" : listening.error().what, listening.has_value());
      struct stat status {};
      CPPUNIT_ASSERT_EQUAL(0, ::fstatat(directory_.get(), "control.sock", &status, 0));
      CPPUNIT_ASSERT_EQUAL(0600U, static_cast<unsigned>(status.st_mode & 0777));
      const pid_t pid = ::fork();
      if (pid == 0) {
        int got = -1;
        while ((got = ::accept(listening->get(), nullptr, nullptr)) < 0) ::usleep(1000);
        char buffer[1000];
        const ssize_t count = ::read(got, buffer, sizeof buffer);
        net::FrameReader reader;
        reader.feed({buffer, static_cast<std::size_t>(count)});
        auto question = reader.next();
        const std::string answer = net::frame({{"answer", question->at("question")}});
        [[maybe_unused]] auto written = ::write(got, answer.data(), 7);
        ::usleep(10'000);
        written = ::write(got, answer.data() + 7, answer.size() - 7);
        ::_exit(0);
      }
      const auto answer = net::ask(directory_.get(), "control.sock", {{"question", 42}}, 10s);
      CPPUNIT_ASSERT_MESSAGE(answer ? "" : answer.error().what, answer.has_value());
      CPPUNIT_ASSERT_EQUAL(std::int64_t{42}, answer->at("answer").as_int64());
      ::waitpid(pid, nullptr, 0);
    }
  }

  void nobody_listening_is_temporary() {
    CPPUNIT_ASSERT(net::ask(directory_.get(), "absent.sock", {}, 1s).error().kind == Kind::temporary);
    CPPUNIT_ASSERT(net::ask(directory_.get(), std::string(200, 'x'), {}, 1s).error().kind == Kind::invalid);
    const auto listening = net::listen_unix(directory_.get(), "silent.sock", 0600);
    const auto answer = net::ask(directory_.get(), "silent.sock", {}, 1s);
    CPPUNIT_ASSERT(!answer && answer.error().kind == Kind::temporary);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(FramesTest);

}  // namespace
