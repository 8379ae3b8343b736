// SPDX-License-Identifier: Apache-2.0
#pragma once
// Filter templates (access-control.md 6.5): scripts with places for values that a person fills into a form, so that users see prompts
// and never Sieve. And the rules that come of them, as they are stored (6.4).
//
// A template is UTF-8 text. Its header lines stand first:
//   #@ title: Move mail from a sender
//   #@ id: from-folder                                       letters, digits and '-'
//   #@ description: one line of help                         may be missing
//   #@ field NAME TYPE "prompt" [default]                    NAME in capitals, digits and '_'
// with TYPE one of text, address, header, folder, choice(a,b,c), yesno and date; then the script, with %{NAME} where the value of a
// field goes. %{NAME} stands where a Sieve string may stand: never inside a string or a comment, since the value brings its own quotes.
//
// Values are inserted as quoted strings. CR, LF, NUL and other control characters are refused, and so is "${": in a script that
// requires variables, and joined rules share their requires, it would be a reference. A field may be left empty only if its default is "".
//
// A stored rule names the template and the values in comment lines, so that the form can be filled in again. Whoever edits the script
// below them makes it his own: it is recognised and never touched. A rule without such lines was written by hand.
//
// Limits: 64 KiB a template, 50 fields, 100 choices, 2,000 bytes a value.
#include "base/result.h"
#include "sieve/compile.h"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

struct TemplateField {
  enum class Type { text, address, header, folder, choice, yesno, date };
  std::string name;
  Type type = Type::text;
  std::vector<std::string> choices;
  std::string prompt;
  std::optional<std::string> preset;       // the default
  int line = 0;
};
std::string_view to_string(TemplateField::Type type);

// What stands between the parts of a folder's name in the scripts of this site (Limits::mailbox_separators).
inline constexpr std::string_view kUsualFolderSeparators = "/";

struct Template {
  std::string id, title, description;
  std::string folder_separators = std::string(kUsualFolderSeparators);
  std::vector<TemplateField> fields;       // in the order of the form
  std::string script;                      // with %{NAME}
  [[nodiscard]] const TemplateField* field(std::string_view name) const;
};

struct ParsedTemplate {
  std::optional<Template> made;            // nothing if there is a mistake
  std::vector<Mistake> mistakes;           // warnings too: a field that the script does not use
};
// Also fills in harmless values and compiles the script, so that a template that parses gives scripts that compile.
ParsedTemplate parse_template(std::string_view text, std::string_view folder_separators = kUsualFolderSeparators);

using FieldValues = std::map<std::string, std::string, std::less<>>;

// A value as it goes into the script: blanks around it dropped, an address in its canonical form, the name of a folder as fileinto takes it
// here. Kind::invalid says what is wrong with it, in words for the form.
Result<std::string> checked_value(const TemplateField& field, std::string_view value, std::string_view folder_separators = kUsualFolderSeparators);

// The script alone. Missing values are the fields' defaults. Kind::invalid: an unknown name, a field with neither value nor default, a
// value that is none, or values with which the script does not compile.
Result<std::string> render(const Template& made_of, const FieldValues& values);

// Order: the place among the owner's rules, from 1; 0 is switched off. Name: what the owner calls it.
struct RuleInfo {
  unsigned order = 1;
  std::string template_id;                 // empty: written by hand
  std::string name;
};

// Of a line "# $Rule Info: …"; nothing if it is none.
std::optional<RuleInfo> rule_info(std::string_view line);

// What is stored: the line "# $Rule Info: …", a line "# $Rule Value: NAME="value"" for each field, the script.
Result<std::string> render_rule(const Template& made_of, const RuleInfo& info, const FieldValues& values);

struct StoredRule {
  enum class Origin {
    hand_written,     // no template is named, or its comment lines are not as we write them
    edited,           // names a template, but the script is not what that gives with these values; or the template is unknown
    from_template,    // can be shown as a form again
  };
  Origin origin = Origin::hand_written;
  RuleInfo info;
  FieldValues values;                      // empty for hand_written
  std::string script;                      // without the comment lines
};
StoredRule read_rule(std::string_view stored, std::span<const Template> templates);

// The rules of one owner as one script (6.4): by ascending order, equal ones as given, without those of order 0; their requires merged
// in front. A single rule without a "# $Rule Info:" line is a complete script and stays as it is. A rule whose require lines can't be
// read goes in as it stands, and the compiler reports it.
std::string join_rules(std::span<const std::string> stored);

// The same of an owner's rules as one text, each beginning with its "# $Rule Info:" line. A text that does not begin with one is a complete
// script and stays as it is.
std::string joined_rules(std::string_view stored);

}  // namespace postern::sieve
