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
  CPPUNIT_TEST_SUITE_END();

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
