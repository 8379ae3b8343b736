// SPDX-License-Identifier: Apache-2.0
#include "evaluation_rows.h"
#include "helpers.h"

#include <cppunit/extensions/HelperMacros.h>

using namespace postern;
using namespace postern::mapping;
using namespace postern::test;

namespace {

class EvaluationTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(EvaluationTest);
  CPPUNIT_TEST(gives_the_results_of_the_specification);
  CPPUNIT_TEST(the_line_is_that_of_the_entry_that_decided);
  CPPUNIT_TEST(a_trace_counts_the_entries_left_out);
  CPPUNIT_TEST(a_trace_says_why_nothing_came_from_outside);
  CPPUNIT_TEST_SUITE_END();

  // An entry that failed has said nothing: the answer is not its own.
  void the_line_is_that_of_the_entry_that_decided() {
    const Tables tables = tables_in_memory(compiled({{"/mappings",
                                                      "T\n\n  held* $C$0$H\n  * $C$:A$E\n  * $C$:B$E\n\n"
                                                      "SUB\n\n  x* $Y\n  * $C$:A$E\n\n"
                                                      "CALLS\n\n  * $C$|SUB;$0|$Y$E\n  *z last$E\n"}}));
    const struct {
      const char *table, *probe;
      int line;
    } rows[] = {{"T", "held", 3}, {"T", "x", 5}, {"CALLS", "xz", 14}, {"CALLS", "y", 14}, {"CALLS", "yz", 15}, {"SUB", "y", 10}};
    for (const auto& row : rows)
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(row.table) + " " + row.probe, row.line, evaluate(tables, row.table, row.probe).line);
  }

  void a_trace_counts_the_entries_left_out() {
    const Tables tables = tables_in_memory(compiled({{"/mappings", "T\n\n  one 1\n  two 2\n  *e 3\n  six 6\n"}}));
    for (const char* probe : {"one", "three", "four"}) {
      const Mapped mapped = evaluate(tables, "T", probe, {}, true);
      std::uint64_t listed = 0, skipped = 0;
      for (const TraceLine& line : mapped.trace) {
        ++listed;
        skipped += line.skipped;
      }
      // All entries up to the one that decided, or all.
      const std::uint64_t all = !mapped.matched ? 4 : static_cast<std::uint64_t>(mapped.line) - 2;
      CPPUNIT_ASSERT_EQUAL_MESSAGE(probe, all, listed + mapped.skipped);
      CPPUNIT_ASSERT_MESSAGE(probe, skipped <= mapped.skipped);
      CPPUNIT_ASSERT_EQUAL_MESSAGE(probe, std::uint64_t{0}, evaluate(tables, "T", probe).skipped);
    }
  }

  void a_trace_says_why_nothing_came_from_outside() {
    const Tables tables = tables_in_memory(compiled({{"/mappings", "T\n\n  * $C$[postern:x,y]$E\n"}}));
    Evaluation evaluation(tables, "T", "probe", {}, true);
    while (evaluation.run() == Evaluation::State::asks) evaluation.answer(std::nullopt, "nobody asked");
    CPPUNIT_ASSERT_EQUAL(std::string("nobody asked"), evaluation.result().trace.at(0).reason);
  }

  void gives_the_results_of_the_specification() {
    std::string wrong;
    for (const EvaluationRow& row : kEvaluationRows) {
      const Compilation compilation = compiled({{"/mappings", row.source}});
      if (std::string_view(row.want).starts_with("compile error ")) {
        const std::string code = std::string(row.want).substr(14);
        if (compilation.good() || compilation.messages[0].code != code) wrong += std::to_string(row.number) + ": " + messages_of(compilation) + "\n";
        continue;
      }
      if (!compilation.good()) {
        wrong += std::to_string(row.number) + ": " + messages_of(compilation);
        continue;
      }
      for (const Tables& tables : {tables_in_memory(compilation), tables_through_file(compilation)}) {
        const Mapped mapped = evaluate(tables, "probed", row.probe, Flags(row.input));
        if (shown(mapped) != row.want) wrong += std::to_string(row.number) + ": want " + row.want + ", got " + shown(mapped) + "\n";
      }
    }
    CPPUNIT_ASSERT_EQUAL(std::string(), wrong);
    CPPUNIT_ASSERT_EQUAL(std::size_t{96}, std::size(kEvaluationRows));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(EvaluationTest);

}  // namespace
