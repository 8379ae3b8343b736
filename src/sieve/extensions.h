// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a capability adds to the language, and the one table of all of them (extensions.cc). One file an extension.
//
// An extension that was not required does not exist: its commands, tests, tags and comparators are looked up only among those of
// the base language and the capabilities that the script requires.
#include "sieve/compile.h"
#include "sieve/program.h"

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace postern::sieve {

class Compiler;
class Arguments;

// Of a positional argument.
enum class Form { string, strings, number };

// Which families of tags a test or command takes.
enum Takes : unsigned { kNoTags = 0, kMatch = 1, kAddressPart = 2 };

// How the step of a command or test comes into being: from its arguments, or empty, to be filled by Step::carry(). Without the second a program
// that has it can't be kept.
struct StepCompiler {
  using Compile = std::unique_ptr<Step> (*)(Compiler&, const Arguments&);
  using Make = std::unique_ptr<Step> (*)();
  StepCompiler() = default;
  StepCompiler(Compile compile, Make make = nullptr) : compile(compile), make(make) {}  // NOLINT(google-explicit-constructor): tables hold plain functions too
  std::unique_ptr<Step> operator()(Compiler& compiler, const Arguments& arguments) const { return compile(compiler, arguments); }
  Compile compile = nullptr;
  Make make = nullptr;
};

// For the tables of the extensions, with the class of the step.
template <class Made>
StepCompiler step(StepCompiler::Compile compile) {
  return {compile, [] { return std::unique_ptr<Step>(std::make_unique<Made>()); }};
}

// A command or a test.
struct Definition {
  std::string_view name;
  std::vector<Form> arguments;
  unsigned takes = kNoTags;
  bool first_is_optional = false;   // the first positional argument may be missing
  // Null: mistakes were reported. Of a test may also return null after it called compiler.decided().
  StepCompiler compile;
  bool last_is_optional = false;    // the last positional argument may be missing
  bool has_block = false;           // a command with a block; compile() returns a BlockStep
};

// A tag. `where` is the name of a command or test, or "match" / "address-part" for all that take that family. Two of one group
// exclude each other.
struct TagDefinition {
  enum class Parameter { none, string, strings, number } parameter = Parameter::none;
  std::string_view where;
  std::string_view tag;
  std::string_view group = {};      // empty: its own
  std::string_view also = {};       // a second capability without which the tag is not there
};

struct Extension {
  std::string_view name;            // what is required; empty: the base language
  std::string_view standard;
  std::string_view summary;
  bool system_only = false;
  std::vector<Definition> commands;
  std::vector<Definition> tests;
  std::vector<TagDefinition> tags;
  std::uint32_t needs = 0;          // enum Ability of compile.h: what the host must be able to do
  std::string_view implies = {};    // a capability that comes with this one
  std::string_view constants = {};  // namespace whose variables are CompileOptions::constants
};

// The table: the base language first, then by name.
const std::vector<const Extension*>& extensions();

// ext_*.cc, marks.cc, and actions.cc and tests.cc for the base language.
const Extension& base_actions();
const Extension& base_tests();
const Extension& addconversiontag_extension();
const Extension& addprefix_extension();
const Extension& addtag_extension();
const Extension& body_extension();
const Extension& capture_extension();
const Extension& comparator_ascii_casemap();
const Extension& comparator_ascii_numeric();
const Extension& comparator_octet();
const Extension& comparator_unicode_casemap();
const Extension& copy_extension();
const Extension& date_extension();
const Extension& duplicate_extension();
const Extension& editheader_extension();
const Extension& enclose_extension();
const Extension& encoded_character_extension();
const Extension& enotify_extension();
const Extension& envelope_extension();
const Extension& environment_extension();
const Extension& ereject_extension();
const Extension& extlists_extension();
const Extension& extracttext_extension();
const Extension& fcc_extension();
const Extension& fileinto_extension();
const Extension& foreverypart_extension();
const Extension& hold_extension();
const Extension& ihave_extension();
const Extension& imap4flags_extension();
const Extension& include_extension();
const Extension& index_extension();
const Extension& jettison_extension();
const Extension& mailbox_extension();
const Extension& mailboxid_extension();
const Extension& mboxmetadata_extension();
const Extension& mime_extension();
const Extension& novacation_extension();
const Extension& postern_addheader_extension();
const Extension& refuse_extension();
const Extension& regex_extension();
const Extension& reject_extension();
const Extension& relational_extension();
const Extension& replace_extension();
const Extension& servermetadata_extension();
const Extension& setconversiontag_extension();
const Extension& spamadjust_extension();
const Extension& spamtest_extension();
const Extension& spamtestplus_extension();
const Extension& special_use_extension();
const Extension& subaddress_extension();
const Extension& vacation_extension();
const Extension& vacation_seconds_extension();
const Extension& variables_extension();
const Extension& virustest_extension();

}  // namespace postern::sieve
