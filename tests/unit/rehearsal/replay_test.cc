// SPDX-License-Identifier: Apache-2.0
#include "rehearsal/replay.h"

#include "mapping/compile.h"
#include "mapping/effect.h"

#include <cppunit/extensions/HelperMacros.h>

#include <string>

using namespace postern;
using namespace postern::rehearsal;

namespace {

mapping::Tables tables_of(const std::string& text) {
  mapping::CompileInput input;
  input.mappings = "/mappings";
  input.lint = false;
  input.read = [&](const std::string&) -> Result<std::string> { return text; };
  const auto compilation = mapping::compile(input);
  CPPUNIT_ASSERT(compilation.good());
  auto image = mapping::lay_out(compilation, 1, 0);
  CPPUNIT_ASSERT(image);
  auto tables = mapping::Tables::from_bytes(std::move(*image));
  CPPUNIT_ASSERT(tables);
  return std::move(*tables);
}

void ask(ProbeStore& store, const mapping::Tables& tables, const char* table, const char* text, std::uint64_t count, const char* answer = nullptr) {
  mapping::Evaluation evaluation(tables, table, text, mapping::Flags("A"));
  while (evaluation.run() == mapping::Evaluation::State::asks) evaluation.answer(answer == nullptr ? std::nullopt : std::optional<std::string>(answer));
  store.add(identity_of(table, mapping::Flags("A"), text, evaluation.result()), count);
}

constexpr auto kQuiet = [](std::uint64_t, std::uint64_t) {};

}  // namespace

class ReplayTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ReplayTest);
  CPPUNIT_TEST(changes_are_found_with_both_lines);
  CPPUNIT_TEST(what_is_asked_outside_is_answered_as_then);
  CPPUNIT_TEST(what_can_t_be_known_is_left_open);
  CPPUNIT_TEST(missing_tables_object_to_nothing_but_relaying);
  CPPUNIT_TEST_SUITE_END();

  void changes_are_found_with_both_lines() {
    const auto before = tables_of("SEND_ACCESS\n\n  l|a@*  $NNo\n  l|b@*  $NNo\n");
    const auto after = tables_of("SEND_ACCESS\n\n  l|zzz  $Y\n  l|a@*  $NNo\n  l|c@*  $NNo$ more\n");
    ProbeStore store;
    ask(store, before, "SEND_ACCESS", "l|a@x", 5);
    ask(store, before, "SEND_ACCESS", "l|b@x", 2);
    ask(store, before, "SEND_ACCESS", "l|c@x", 7);
    ask(store, before, "SEND_ACCESS", "l|c@x", 1);
    ask(store, before, "SEND_ACCESS", "l|d@x", 1);
    const auto replayed = store.replay(before, after, {}, kQuiet);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{16}, replayed.probes);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{4}, replayed.distinct);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{10}, replayed.changed);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, replayed.open);
    CPPUNIT_ASSERT_EQUAL(std::size_t{2}, replayed.changes.size());
    const auto& first = replayed.changes[0];
    CPPUNIT_ASSERT_EQUAL(std::string("l|c@x"), first.probe.text);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{8}, first.count);
    CPPUNIT_ASSERT_EQUAL(0, first.before.line);
    CPPUNIT_ASSERT_EQUAL(5, first.after.line);
    CPPUNIT_ASSERT_EQUAL(std::string("refuse \"No more\""), mapping::effect_text(first.after));
    CPPUNIT_ASSERT_EQUAL(4, replayed.changes[1].before.line);
    CPPUNIT_ASSERT_EQUAL(std::string("no match"), mapping::effect_text(replayed.changes[1].after));
  }

  void what_is_asked_outside_is_answered_as_then() {
    const char* const throttled = "FROM_ACCESS\n\n  *  $C$[postern:throttle,q,$0]$NSlow$E\n  *  $Y\n";
    const auto before = tables_of(throttled), after = tables_of(std::string(throttled) + "\nOTHER\n\n  *  $Y\n");
    ProbeStore store;
    ask(store, before, "FROM_ACCESS", "a", 3, "");
    ask(store, before, "FROM_ACCESS", "a", 4);
    const auto same = store.replay(before, after, {}, kQuiet);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{7}, same.probes);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, same.changed + same.open);
    // The answer decides which of them a new text concerns.
    const auto changed = store.replay(before, tables_of("FROM_ACCESS\n\n  *  $C$[postern:throttle,q,$0]$NSlower$E\n  *  $Y\n"), {}, kQuiet);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, changed.changed);
  }

  void what_can_t_be_known_is_left_open() {
    const auto before = tables_of("FROM_ACCESS\n\n  x  $N\n  y  $?50?$N\n  *  $Y\n");
    const auto after = tables_of("FROM_ACCESS\n\n  x  $Y\n  y  $?50?$N\n  z*  $C$[postern:dnsbl,$0]$N$E\n  c*  $C$[postern:client,$0]$N$E\n  *  $Y\n");
    ProbeStore store;
    ask(store, before, "FROM_ACCESS", "x", 1);
    ask(store, before, "FROM_ACCESS", "y", 2);
    ask(store, before, "FROM_ACCESS", "z", 4);
    ask(store, before, "FROM_ACCESS", "c", 8);
    const KnownAnswer clients = [](const mapping::Question& question) -> std::optional<std::optional<std::string>> {
      if (question.routine != "client") return std::nullopt;
      return std::optional<std::string>("");
    };
    const auto replayed = store.replay(before, after, clients, kQuiet);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{15}, replayed.probes);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{9}, replayed.changed);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{6}, replayed.open);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, replayed.open_because.at("a random number"));
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{4}, replayed.open_because.at("postern:dnsbl"));
  }

  void missing_tables_object_to_nothing_but_relaying() {
    const auto before = tables_of("ORIG_SEND_ACCESS\n\n  *  $Y\n\nMAIL_ACCESS\n\n  *  $N\n"), after = tables_of("X\n\n  *  $Y\n");
    ProbeStore store;
    ask(store, before, "ORIG_SEND_ACCESS", "tcp_local|a@x|tcp_local|b@y", 1);
    ask(store, before, "ORIG_SEND_ACCESS", "tcp_local|a@x|l|b@y", 2);
    ask(store, before, "MAIL_ACCESS", "anything", 4);
    const auto replayed = store.replay(before, after, {}, kQuiet);
    CPPUNIT_ASSERT_EQUAL(std::uint64_t{5}, replayed.changed);
    CPPUNIT_ASSERT_EQUAL(std::string("refuse \"Relaying not permitted\""), mapping::effect_text(replayed.changes[0].after));
    CPPUNIT_ASSERT_EQUAL(std::string("no match"), mapping::effect_text(replayed.changes[1].after));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ReplayTest);
