// SPDX-License-Identifier: Apache-2.0
#include "delivery/program_cache.h"

#include "../scratch_directory.h"

#include <cppunit/extensions/HelperMacros.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace {

using namespace postern;
using delivery::ProgramCache;

class ProgramCacheTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(ProgramCacheTest);
  CPPUNIT_TEST(what_was_kept_is_found_by_another_process);
  CPPUNIT_TEST(damaged_files_are_not_believed);
  CPPUNIT_TEST(another_text_in_an_included_script_is_another_program);
  CPPUNIT_TEST(what_was_not_used_for_long_makes_room);
  CPPUNIT_TEST_SUITE_END();

  using Scratch = postern::test::ScratchDirectory;
  static ProgramCache cache(const Scratch& scratch, std::uint64_t most_bytes = 1024 * 1024) {
    return {base::system_files(), base::open_directory(scratch.directory.get(), ".").value(), most_bytes};
  }
  static void keep(ProgramCache& cache, const std::string& source, const sieve::CompileOptions& options = {}) {
    const sieve::Compiled compiled = sieve::compile(source, options);
    CPPUNIT_ASSERT(compiled.program != nullptr);
    cache.keep(source, options, compiled);
  }
  static std::vector<std::filesystem::path> files(const Scratch& scratch) {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(scratch.path)) found.push_back(entry.path());
    return found;
  }

  void what_was_kept_is_found_by_another_process() {
    Scratch scratch;
    ProgramCache one = cache(scratch), other = cache(scratch);
    CPPUNIT_ASSERT(one.find("keep;", {}).program == nullptr);
    keep(one, "keep;");
    CPPUNIT_ASSERT(other.find("keep;", {}).program != nullptr);
    CPPUNIT_ASSERT(other.find("discard;", {}).program == nullptr);
    sieve::CompileOptions others;
    others.system_script = true;
    CPPUNIT_ASSERT(other.find("keep;", others).program == nullptr);
    CPPUNIT_ASSERT(one.counters().kept == 1 && other.counters().found == 1 && other.counters().refused == 0);
  }

  void damaged_files_are_not_believed() {
    Scratch scratch;
    ProgramCache programs = cache(scratch);
    keep(programs, "keep;");
    const auto path = files(scratch).at(0);
    std::stringstream good;
    good << std::ifstream(path, std::ios::binary).rdbuf();
    const std::string bytes = good.str();
    for (std::size_t at = 0; at < bytes.size(); at += 7) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ 4);
      std::ofstream(path, std::ios::binary) << damaged;
      CPPUNIT_ASSERT(programs.find("keep;", {}).program == nullptr);
    }
    // Another program under this one's name.
    std::filesystem::remove(path);
    keep(programs, "discard;");
    std::filesystem::rename(files(scratch).at(0), path);
    CPPUNIT_ASSERT(programs.find("keep;", {}).program == nullptr);
    keep(programs, "keep;");
    CPPUNIT_ASSERT(programs.find("keep;", {}).program != nullptr);
  }

  void another_text_in_an_included_script_is_another_program() {
    Scratch scratch;
    ProgramCache programs = cache(scratch);
    std::map<std::string, std::string> scripts{{"one", "keep;"}};
    sieve::CompileOptions options;
    options.script = [&](sieve::ScriptPlace, const std::string& name) -> std::optional<std::string> {
      const auto found = scripts.find(name);
      return found == scripts.end() ? std::nullopt : std::optional(found->second);
    };
    const std::string source = "require \"include\"; include \"one\"; include :optional \"two\";";
    keep(programs, source, options);
    CPPUNIT_ASSERT(programs.find(source, options).program != nullptr);
    scripts["one"] = "discard;";
    CPPUNIT_ASSERT(programs.find(source, options).program == nullptr);
    scripts["one"] = "keep;";
    CPPUNIT_ASSERT(programs.find(source, options).program != nullptr);
    scripts["two"] = "keep;";
    CPPUNIT_ASSERT(programs.find(source, options).program == nullptr);
  }

  void what_was_not_used_for_long_makes_room() {
    Scratch scratch;
    ProgramCache programs = cache(scratch, 8192);
    keep(programs, "# first\nkeep;");
    const auto first = files(scratch).at(0);
    keep(programs, "# second\nkeep;");
    for (const auto& path : files(scratch))
      std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - std::chrono::hours(path == first ? 2 : 1));
    CPPUNIT_ASSERT(programs.find("# first\nkeep;", {}).program != nullptr);  // used just now
    for (int i = 0; programs.counters().removed == 0; ++i) {
      CPPUNIT_ASSERT(i < 1000);
      keep(programs, "# number " + std::to_string(i) + "\nkeep;");
    }
    CPPUNIT_ASSERT(programs.find("# second\nkeep;", {}).program == nullptr);
    CPPUNIT_ASSERT(programs.find("# first\nkeep;", {}).program != nullptr);
    std::uintmax_t bytes = 0;
    for (const auto& path : files(scratch)) bytes += std::filesystem::file_size(path);
    CPPUNIT_ASSERT(bytes <= 8192);
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ProgramCacheTest);

}  // namespace
