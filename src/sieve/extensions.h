// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a capability adds to the language, and the one table of all of them (extensions.cc). One file an extension.
//
// An extension that was not required does not exist: its commands, tests, tags and comparators are looked up only among those of
// the base language and the capabilities that the script requires.
#include "sieve/program.h"

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

// A command or a test.
struct Definition {
  std::string_view name;
  std::vector<Form> arguments;
  unsigned takes = kNoTags;
  bool first_is_optional = false;   // the first positional argument may be missing
  std::unique_ptr<Step> (*compile)(Compiler&, const Arguments&) = nullptr;
};

// A tag. `where` is the name of a command or test, or "match" / "address-part" for all that take that family. Two of one group
// exclude each other.
struct TagDefinition {
  enum class Parameter { none, string, strings, number } parameter = Parameter::none;
  std::string_view where;
  std::string_view tag;
  std::string_view group;           // empty: its own
};

struct Extension {
  std::string_view name;            // what is required; empty: the base language
  std::string_view standard;
  std::string_view summary;
  bool system_only = false;
  std::vector<Definition> commands;
  std::vector<Definition> tests;
  std::vector<TagDefinition> tags;
};

// The table: the base language first, then by name.
const std::vector<const Extension*>& extensions();

// ext_*.cc, and actions.cc and tests.cc for the base language.
const Extension& base_actions();
const Extension& base_tests();
const Extension& body_extension();
const Extension& comparator_ascii_casemap();
const Extension& comparator_ascii_numeric();
const Extension& comparator_octet();
const Extension& copy_extension();
const Extension& encoded_character_extension();
const Extension& envelope_extension();
const Extension& fileinto_extension();
const Extension& imap4flags_extension();
const Extension& jettison_extension();
const Extension& mailbox_extension();
const Extension& relational_extension();
const Extension& subaddress_extension();
const Extension& variables_extension();

}  // namespace postern::sieve
