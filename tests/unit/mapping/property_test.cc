// SPDX-License-Identifier: Apache-2.0
// Random tables and probes: the compiled and indexed evaluation answers as the plain reference does.
#include "helpers.h"
#include "reference.h"

#include <cppunit/extensions/HelperMacros.h>

#include <chrono>
#include <random>

using namespace postern;
using namespace postern::mapping;
using namespace postern::test;

namespace {

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_() % limit); }
  template <std::size_t N>
  std::string one_of(const char* const (&list)[N]) { return list[below(N)]; }

  std::string word() {
    static const char* const words[] = {"a", "b", "ab", "Ba", "1", "25", "example.com", "sub.example.com", "x.lan", "tcp_local", "l", "u1", "192.0.2.1", "192.0.2.77",
                                        "192.0.3.1", "10.1.2.3", "2001:db8::5", "2001:db9::1", ":", "", "0", "zz.b.a"};
    return one_of(words);
  }
  std::string glue() {
    static const char* const glues[] = {"|", "@", ".", "|", "", "|"};
    return one_of(glues);
  }
  std::string probe() {
    std::string out = word();
    for (std::size_t n = below(5); n > 0; --n) out += glue() + word();
    return out;
  }
  // A pattern and the number of fields that it saves.
  std::string pattern(int& fields) {
    static const char* const wildcards[] = {"*", "*", "*", "%", "$_*", "$D*", "$A*", "$A%", "$S*", "$H%", "$[a-c]*", "$[x1\\-]%", "$_D*"};
    static const char* const unsaved[] = {"$@*", "$@%", "$_@*", "$@D*"};
    static const char* const blocks[] = {"$(192.0.2.0/24)", "$(10.0.0.0/8)", "$<192.0.2.0/8>", "${2001:db8::/32}", "$(0.0.0.0/0)", "$(192.0.2.77)", "${::/0}", "${2001:db8::5}"};
    std::string out;
    fields = 0;
    for (std::size_t n = 1 + below(6); n > 0; --n) {
      const std::size_t kind = below(16);
      if (kind < 6) {
        out += word();
      } else if (kind < 11) {
        out += one_of(wildcards);
        ++fields;
      } else if (kind == 11) {
        out += one_of(unsaved);
      } else if (kind < 14) {
        out += one_of(blocks);
        ++fields;
      } else if (kind == 14 && fields > 0) {
        out += "$" + std::to_string(below(static_cast<std::size_t>(std::min(fields, 10)))) + "*";
        ++fields;
      }
      if (n > 1 && below(3) != 0) out += glue();
    }
    if (out.empty()) out = "*", fields = 1;
    return out;
  }
  // Text that has a chance to match a pattern: its wildcards replaced by something.
  std::string bait(const std::string& pattern) {
    std::string out;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
      const char c = pattern[i];
      if (c == '*' || c == '%') {
        out += below(3) == 0 ? std::string("1") : word();
      } else if (c == '$') {
        const std::size_t end = pattern.find_first_of(")>}*%", i);
        static const char* const fillers[] = {"192.0.2.77", "10.1.2.3", "2001:db8::5", "a", "1", "ab", ""};
        out += one_of(fillers);
        i = std::min(end, pattern.size());
      } else {
        out += c;
      }
    }
    return out;
  }
  std::string expansion(int fields, bool calls) {
    static const char* const parts[] = {"x", "$Y", "$N", "$H", "-", "$$", "$^", "$\\q", "$_", "<", "$y"};
    static const char* const controls[] = {"$C", "$E", "$L", "$R"};
    std::string out;
    for (std::size_t n = below(4); n > 0; --n) {
      const std::size_t kind = below(12);
      if (kind < 5) out += one_of(parts);
      else if (kind < 8 && fields > 0) out += "$" + std::to_string(below(static_cast<std::size_t>(std::min(fields, 10))));
      else if (kind == 8) out += one_of(controls);
      else if (kind == 9) out += below(2) == 0 ? "$:A" : "$;A";
      else if (kind == 10 && calls) out += "$|T" + std::to_string(below(3)) + ";" + (fields > 0 ? "$0" : "u1") + "|";
    }
    return out.empty() ? "$Y" : out;
  }

 private:
  std::mt19937_64 random_;
};

class PropertyTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(PropertyTest);
  CPPUNIT_TEST(answers_as_the_reference_does);
  CPPUNIT_TEST_SUITE_END();

  void answers_as_the_reference_does() {
    const char* const given = std::getenv("POSTERN_TEST_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 20261121;
    Generator generator(seed);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    int pairs = 0, matched = 0, tables_made = 0;
    while (pairs < 20'000 && std::chrono::steady_clock::now() < end) {
      Reference reference;
      std::string source;
      std::vector<std::string> patterns;
      const bool calls = generator.below(4) == 0;
      for (int table = 0; table < (calls ? 3 : 1); ++table) {
        const std::string name = "T" + std::to_string(table);
        source += name + "\n\n";
        Reference::Entries& entries = reference.tables[name];
        for (std::size_t n = 1 + generator.below(calls ? 6 : 24); n > 0; --n) {
          int fields = 0;
          const std::string pattern = generator.pattern(fields), expansion = generator.expansion(fields, calls);
          entries.emplace_back(pattern, expansion);
          patterns.push_back(pattern);
          source += "  " + pattern + "  " + expansion + "\n";
        }
        source += "\n";
      }
      const Compilation compilation = compiled({{"/mappings", source}});
      const Tables tables = tables_in_memory(compilation);
      ++tables_made;
      for (int round = 0; round < 12; ++round, ++pairs) {
        const std::string probe = generator.below(3) == 0 ? generator.probe() : generator.bait(patterns[generator.below(patterns.size())]);
        const std::string input = generator.below(2) == 0 ? "A" : "";
        reference.endless = false;
        const Reference::Answer want = reference.ask("T0", probe, input);
        // Loops can go on for ever, or grow the text without end; both give up, at different places.
        if (reference.endless) continue;
        const Mapped got = evaluate(tables, "T0", probe, Flags(input));
        if (got.step_limit_exceeded) continue;
        const std::string want_flags(want.flags.begin(), want.flags.end());
        const bool equal = got.matched == want.matched && got.output == want.output && got.flags.letters() == want_flags;
        CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed) + " table " + std::to_string(tables_made) + " probe \"" + probe + "\" input \"" + input + "\"\nwant " +
                                   (want.matched ? "OUT=" + want.output + ";FLAGS=" + want_flags : std::string("NOMATCH")) + "\ngot " + shown(got) + "\n" + source,
                               equal);
        if (got.matched) ++matched;
      }
    }
    std::printf("property: %d pairs, %d matched, %d tables\n", pairs, matched, tables_made);
    CPPUNIT_ASSERT(matched > pairs / 10);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(PropertyTest);

}  // namespace
