// SPDX-License-Identifier: Apache-2.0
#pragma once
// The file of conversions (conversions(5), access-control.md 7): which program is run for which body part, and what becomes of the part.
//
// Lines that begin with `!` are comments. An entry is items `name=value;` on one or more lines; every line of it but the last ends in `;`, and a
// line without one, or a blank line, ends it. A value is bare, "in double quotes" (a backslash takes the next character as it is), or
// 'in single quotes': a variable's name, or TABLE:text for what a mapping table makes of the text.
//
// A command is not for a shell: it is parted into words here, at blanks outside of quotes, and $NAME or ${NAME} in a word stands for the variable's
// value, which never makes two words of one.
//
// Failure: mistakes with their lines; what could be read is kept. Limits: kMostEntries, kMostItems an entry, kMostWords a command.
#include "conf/configuration.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::conversion {

inline constexpr std::size_t kMostEntries = 1000, kMostItems = 100, kMostWords = 100;
// in-parameter-name-0 to -9, and so on.
inline constexpr unsigned kMostNumbered = 10;

// What a command and 'NAME' can name. Every one of them has a value for each part, perhaps an empty one.
inline constexpr std::array<std::string_view, 22> kVariables{
    "INPUT_FILE",  "INPUT_HEADERS",   "INPUT_TYPE",      "INPUT_SUBTYPE",      "INPUT_ENCODING", "INPUT_DISPOSITION", "INPUT_DESCRIPTION", "INPUT_CHANNEL",
    "MESSAGE_HEADERS", "OUTPUT_FILE", "OUTPUT_HEADERS",  "OUTPUT_OPTIONS",     "OUTPUT_TYPE",    "OUTPUT_SUBTYPE",    "OUTPUT_ENCODING",   "OUTPUT_DISPOSITION",
    "OUTPUT_DESCRIPTION", "OUTPUT_CHANNEL", "ATTACHMENT_NUMBER", "PART_NUMBER", "PART_SIZE",      "CONVERSION_TAG"};
using Variables = std::map<std::string, std::string, std::less<>>;

// A text with variables in it.
struct Template {
  struct Piece {
    bool variable = false;
    std::string text;  // itself, or the variable's name
  };
  std::vector<Piece> pieces;
  [[nodiscard]] std::string expand(const Variables& variables) const;
};

struct Value {
  enum class Kind : std::uint8_t { text, variable, table } kind = Kind::text;
  std::string text;    // text: itself; variable, table: its name
  Template argument;   // table: what it is asked
};

struct Numbered {
  std::optional<Value> name, value;
};

struct Entry {
  int line = 0;  // where it begins
  // Conditions; those that are not there fit everything. Texts may have * and ? in them, and letters count in both cases.
  std::optional<Value> in_channel, out_channel, in_type, in_subtype, in_disposition, in_description, in_subject, tag, part_number;
  std::map<unsigned, Numbered> in_parameters;
  // What becomes of the part.
  std::optional<Value> out_type, out_subtype, out_disposition, out_description, out_encoding, out_mode;
  std::map<unsigned, Numbered> out_parameters;
  std::vector<Value> parameter_copies;  // names of parameters that stay where the type changes; * and ? as above
  std::vector<Template> command;        // its words; empty: no program is run
  bool remove = false;                  // delete=1
  bool override_header_file = false, override_option_file = false;
};

struct Entries {
  std::vector<Entry> list;
  std::vector<conf::Mistake> mistakes;
};
// `path` is for the mistakes.
Entries parse_entries(std::string_view text, const std::string& path);

// Those of the configuration, checked: syntax, and that each program is there. Nothing to say where it has no file of conversions.
std::vector<conf::Mistake> check(const conf::Configuration& configuration);

// Whether `text` fits the pattern: `*` any characters, `?` one, the rest itself; A-Z like a-z. In time of the product of their lengths at most.
bool fits(std::string_view pattern, std::string_view text);

// Nothing if `name` is not on the list; case and hyphens do not matter.
std::optional<std::string> variable_name(std::string_view name);

}  // namespace postern::conversion
