// SPDX-License-Identifier: Apache-2.0
// What the master and services over UDP show: counts of datagrams, and the scoreboard.
#include "gate/datagram_counts.h"
#include "gate/scoreboard.h"

#include <cppunit/extensions/HelperMacros.h>

#include <fcntl.h>

#include <atomic>
#include <thread>

namespace postern::gate {
namespace {

// The same memory as another process has it.
base::SharedMemory again(int descriptor, bool writable) {
  auto memory = base::SharedMemory::map(base::Descriptor(::fcntl(descriptor, F_DUPFD_CLOEXEC, 3)), writable);
  CPPUNIT_ASSERT(memory.has_value());
  return std::move(*memory);
}

ServerState sample(unsigned salt, std::size_t rows) {
  ServerState state;
  state.started_microseconds = salt;
  state.changed_microseconds[1] = salt;
  state.up[1] = true;
  for (std::size_t i = 0; i < rows; ++i) {
    state.sockets.push_back({conf::Module::pop3, static_cast<std::uint16_t>(salt), net::Address::ipv4(salt), i % 2 == 0, "error " + std::to_string(salt)});
    state.processes.push_back({static_cast<std::uint32_t>(i), salt, static_cast<std::int32_t>(salt), ProcessState::Phase::working, "role" + std::to_string(salt % 1000), salt});
  }
  return state;
}

class DatagramsTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(DatagramsTest);
  CPPUNIT_TEST(counts_are_seen_by_all_and_kept_apart);
  CPPUNIT_TEST(other_memory_is_refused);
  CPPUNIT_TEST(what_was_written_is_read);
  CPPUNIT_TEST(more_than_there_is_room_for_is_left_out);
  CPPUNIT_TEST(a_reader_never_sees_half_of_a_change);
  CPPUNIT_TEST_SUITE_END();

  void counts_are_seen_by_all_and_kept_apart() {
    auto counts = DatagramCounts::create();
    CPPUNIT_ASSERT(counts.has_value());
    auto other = DatagramCounts::attach(again(counts->descriptor(), false));
    CPPUNIT_ASSERT(other.has_value());
    counts->add(conf::Module::snmp, DatagramOutcome::answered, 3);
    counts->add(conf::Module::snmp, DatagramOutcome::restricted);
    counts->add(conf::Module::snmp, DatagramOutcome::lost, 7);
    const DatagramFigures figures = other->of(conf::Module::snmp);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, figures[DatagramOutcome::answered]);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, figures[DatagramOutcome::restricted]);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{4}, figures.received());
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, other->of(conf::Module::pop3).received());
  }

  void other_memory_is_refused() {
    auto memory = base::SharedMemory::create("other", 4096);
    CPPUNIT_ASSERT(!DatagramCounts::attach(again(memory->descriptor(), true)).has_value());
    CPPUNIT_ASSERT(!Scoreboard::attach(again(memory->descriptor(), true)).has_value());
    auto board = Scoreboard::create();
    auto blank = base::SharedMemory::create("blank", again(board->descriptor(), true).size());
    CPPUNIT_ASSERT(!Scoreboard::attach(again(blank->descriptor(), true)).has_value());
  }

  void what_was_written_is_read() {
    auto board = Scoreboard::create();
    auto reader = Scoreboard::attach(again(board->descriptor(), false));
    CPPUNIT_ASSERT(reader.has_value());
    CPPUNIT_ASSERT(reader->read()->sockets.empty());
    ServerState state = sample(42, 3);
    state.sockets[1].address = *net::Address::parse("2001:db8::1");
    state.sockets[2].error = std::string(1000, 'x');
    state.processes[2].role = "a role with a very long name";
    board->write(state);
    const auto read = reader->read();
    CPPUNIT_ASSERT(read.has_value());
    CPPUNIT_ASSERT_EQUAL(std::int64_t{42}, read->started_microseconds);
    CPPUNIT_ASSERT(read->up[1] && !read->up[0] && read->changed_microseconds[1] == 42);
    state.sockets[2].error.resize(Scoreboard::kErrorBytes);
    state.processes[2].role.resize(Scoreboard::kRoleBytes);
    CPPUNIT_ASSERT(read->sockets == state.sockets);
    CPPUNIT_ASSERT(read->processes == state.processes);
  }

  void more_than_there_is_room_for_is_left_out() {
    auto board = Scoreboard::create();
    board->write(sample(1, Scoreboard::kMostSockets + 10));
    const auto read = board->read();
    CPPUNIT_ASSERT_EQUAL(Scoreboard::kMostSockets, read->sockets.size());
    CPPUNIT_ASSERT_EQUAL(Scoreboard::kMostChildren, read->processes.size());
  }

  void a_reader_never_sees_half_of_a_change() {
    auto board = Scoreboard::create();
    board->write(sample(1, 20));
    std::atomic<bool> stop = false;
    std::thread writer([&] {
      for (unsigned salt = 2; !stop; ++salt) board->write(sample(salt, 20));
    });
    unsigned seen = 0;
    for (int i = 0; i < 2000; ++i) {
      const auto read = board->read();
      if (!read) continue;
      ++seen;
      const auto salt = read->started_microseconds;
      for (const auto& process : read->processes)
        if (process.process != salt || process.started_microseconds != salt) {
          stop = true;
          writer.join();
          CPPUNIT_FAIL("rows of two states");
        }
    }
    stop = true;
    writer.join();
    CPPUNIT_ASSERT(seen > 0);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(DatagramsTest);

}  // namespace
}  // namespace postern::gate
