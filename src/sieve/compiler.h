// SPDX-License-Identifier: Apache-2.0
#pragma once
// The checks of the second pass, as extensions see them: what is required, arguments by name, strings with their references.
#include "sieve/compile.h"
#include "sieve/extensions.h"
#include "sieve/lexer.h"
#include "sieve/match.h"
#include "sieve/program.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

// The arguments of one command or test after their check: tags with their parameters, then the positional ones.
class Arguments {
 public:
  [[nodiscard]] const Node& node() const { return *node_; }
  [[nodiscard]] bool has(std::string_view tag) const { return find(tag) != nullptr; }
  // The parameter of a tag, null if the tag is not there.
  [[nodiscard]] const Argument* parameter(std::string_view tag) const;
  // Number of positional arguments, and one of them. With Definition::first_is_optional, at(0) is the optional one if count() says so.
  [[nodiscard]] std::size_t count() const { return positional_.size(); }
  [[nodiscard]] const Argument& at(std::size_t number) const { return *positional_[number]; }
  [[nodiscard]] const Argument& last() const { return *positional_.back(); }

 private:
  friend class Compiler;
  struct Tag {
    const TagDefinition* definition = nullptr;
    const Argument* parameter = nullptr;
  };
  [[nodiscard]] const Tag* find(std::string_view tag) const;
  const Node* node_ = nullptr;
  std::vector<Tag> tags_;
  std::vector<const Argument*> positional_;
};

// What the scripts of one program share: the one that was given and all that it includes.
class Builder {
 public:
  explicit Builder(const CompileOptions& options) : options_(options), program_(std::make_shared<Program>()), regex_bytes_(options.limits.regex_bytes) {}
  // Compiles the script `name` and all that it includes; its number, nothing after mistakes.
  std::optional<std::uint32_t> script(const std::string& name, std::string_view source);
  Compiled take();

 private:
  friend class Compiler;
  struct Included {
    ScriptPlace place;
    std::string name;
    std::optional<std::uint32_t> unit;   // nothing: it has mistakes
    bool open = false;                   // being compiled: whoever includes it again makes a circle
    bool missing = false;
  };
  const CompileOptions& options_;
  std::shared_ptr<Program> program_;
  std::vector<Included> included_;
  std::map<std::string, std::uint32_t, std::less<>> field_names_;
  std::size_t regex_bytes_;             // that further constants may take
  std::size_t depth_ = 0;
  std::vector<Mistake> mistakes_, included_mistakes_;
  std::vector<Compiled::Failed> failed_;
  bool broken_ = false;
};

class Compiler {
 public:
  Compiler(Builder& builder, std::uint32_t unit, Mistakes& mistakes);
  // The whole script.
  void script(const std::vector<Node>& commands);

  void error(Place place, std::string text) { mistakes_.error(place, std::move(text)); }
  void warning(Place place, std::string text) { mistakes_.warning(place, std::move(text)); }
  // Also when `ihave` made it available, which is checked again when the step runs.
  bool requires_capability(std::string_view name);
  // Whether a script of these options may require it.
  [[nodiscard]] const Extension* find_extension(std::string_view name) const;
  [[nodiscard]] const CompileOptions& options() const { return builder_.options_; }
  [[nodiscard]] Program& program() { return *builder_.program_; }

  // A string with encoded characters decoded and references found, as far as the capabilities for them are required.
  Text text(const StringItem& item);
  std::vector<Text> texts(const Argument& argument);
  // The same where only a constant will do; reports a reference.
  std::string constant(const StringItem& item, std::string_view what);

  // The number of a header field's name in the program, for Run::fields_named().
  std::uint32_t field_name(std::string_view name);

  // Match type, comparator and keys of a test that takes kMatch.
  Matcher matcher(const Arguments& arguments, const Argument& keys);
  // The same where one string stands for any number of keys, which `keys_of` finds in it.
  using KeysOf = std::vector<Text> (*)(const Text& text, MatchType type);
  Matcher matcher(const Arguments& arguments, const Argument& keys, KeysOf keys_of);
  Matcher matcher(const Arguments& arguments);   // without keys

  // Notes that the program asks external lists, and reports a constant that names none.
  void check_list(const Text& name, Place place);

  // Number of a variable; it comes into being with its first mention. Nothing if the name is malformed, or there are too many.
  std::optional<std::uint32_t> variable(std::string_view name, Place place);
  // The same of a string of the script that names a variable.
  std::optional<std::uint32_t> variable_of(const StringItem& item);
  // Makes `name` a global variable in this script (RFC 6609 section 3.4.1); false if it is a local one already.
  bool global_variable(const std::string& name, Place place);

  // From the compile function of a test: its value is known now, whatever the message.
  void decided(bool value) { decided_ = value; }
  // For `ihave` (RFC 5463): the capabilities of these names that are not required; nothing if one of all these is not there.
  [[nodiscard]] std::optional<std::vector<const Extension*>> found_by_ihave(const std::vector<std::string>& names) const;
  // From the compile function of `ihave`: all of these are there. Number of a capability in the program.
  std::uint32_t make_available(const Extension& extension);

  // Unit of an included script; nothing if there is none, or mistakes were reported.
  std::optional<std::uint32_t> include(ScriptPlace where, const std::string& name, bool once, bool optional, Place place);

  // From the compile function of a command with a block that repeats: `break` leaves it, by its label too.
  void begin_loop(std::string label, Place place);
  // How many blocks `break` leaves; nothing if there is no such loop around.
  [[nodiscard]] std::optional<std::size_t> blocks_to_leave(const std::optional<std::string>& label) const;
  // Commands with blocks of their own around this place (`if` does not count), and blocks of any kind.
  [[nodiscard]] std::size_t open_blocks() const { return open_.size(); }
  [[nodiscard]] std::size_t depth() const { return depth_; }

 private:
  struct OpenBlock {
    bool loop = false;
    std::string label;
  };
  std::string decoded(const StringItem& item);
  void block(std::span<const Node> commands, bool top_level);
  void require(const Node& command);
  // What `ihave` will find further down may stand in front of it, too: whether it was found is asked when that is reached.
  void look_ahead(std::span<const Node> nodes);
  void activate(const Extension& extension);
  std::size_t if_chain(std::span<const Node> commands, std::size_t first);
  void command(const Node& command);
  void command_block(const Node& command, std::uint32_t step);
  // The value, if it is known already.
  std::optional<bool> test(const Node& test);
  std::optional<bool> constant_test(bool value);
  std::optional<bool> tests(const Node& node, bool jump_on);
  const Node* single_test(const Node& node);
  bool check_arguments(const Node& node, const Definition& definition, bool is_test, Arguments& out);
  const Argument* tag_parameter(const Node& node, const TagDefinition& definition, std::size_t& next);
  const TagDefinition* find_tag(const Node& node, const Definition& definition, const Argument& tag, bool is_test);
  const Definition* find(std::vector<Definition> Extension::*kind, const Node& node, std::string_view& missing_capability);
  [[nodiscard]] bool offered(const Extension& extension) const;
  void need(const Extension& extension);
  std::uint32_t emit(Instruction::Operation operation, std::uint32_t argument = 0);
  std::optional<std::uint32_t> emit_step(std::unique_ptr<Step> step, const Node& node, Instruction::Operation operation = Instruction::Operation::step);
  [[nodiscard]] std::uint32_t here() const { return static_cast<std::uint32_t>(code_.size()); }
  void no_arguments(const Node& node);
  void set_target(std::uint32_t jump) { code_[jump].argument = here(); }

  Builder& builder_;
  std::uint32_t unit_;
  Mistakes& mistakes_;
  std::vector<Instruction> code_;       // jumps count from its begin until it is done
  std::vector<const Extension*> active_;
  std::set<std::string, std::less<>> required_;
  std::map<std::string, std::uint32_t, std::less<>> found_by_ihave_;
  std::set<std::uint32_t> needs_;       // of the step that is being compiled
  std::map<std::string, std::uint32_t, std::less<>> variables_;
  std::optional<bool> decided_;
  std::vector<OpenBlock> open_;
  std::optional<OpenBlock> next_block_;
  std::size_t loops_ = 0, deepest_loop_ = 0, depth_ = 0;
};

// Checks shared by several extensions.
// The one address of `text` in canonical form; nothing if there is none, or more than one, or a group.
std::optional<std::string> redirect_address(std::string_view text);
// Why `from` can't stand in a From field; nothing if it is one address, perhaps with a name.
std::optional<std::string> problem_with_sender(std::string_view from);
// A mailbox name in the form that actions carry, from one whose parts stand between any of `separators`; an error text if it is none.
std::optional<std::string> mailbox_name(std::string_view text, std::string_view separators, std::string& problem);

// encoded-character (RFC 5228 section 2.4.2.4); `problem` is set for code points that do not exist.
std::string decode_encoded_characters(std::string_view text, std::string& problem);

}  // namespace postern::sieve
