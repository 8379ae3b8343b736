// SPDX-License-Identifier: Apache-2.0
#pragma once
// The checks of the second pass, as extensions see them: what is required, arguments by name, strings with their references.
#include "sieve/compile.h"
#include "sieve/extensions.h"
#include "sieve/lexer.h"
#include "sieve/match.h"
#include "sieve/program.h"

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

class Compiler {
 public:
  Compiler(const CompileOptions& options, Mistakes& mistakes);
  // The whole script; null if anything is wrong.
  std::shared_ptr<const Program> script(const std::vector<Node>& commands);

  void error(Place place, std::string text) { mistakes_.error(place, std::move(text)); }
  void warning(Place place, std::string text) { mistakes_.warning(place, std::move(text)); }
  [[nodiscard]] bool requires_capability(std::string_view name) const { return required_.find(name) != required_.end(); }
  [[nodiscard]] const CompileOptions& options() const { return options_; }

  // A string with encoded characters decoded and references found, as far as the capabilities for them are required.
  Text text(const StringItem& item);
  std::vector<Text> texts(const Argument& argument);
  // The same where only a constant will do; reports a reference.
  std::string constant(const StringItem& item, std::string_view what);

  // Match type, comparator and keys of a test that takes kMatch.
  Matcher matcher(const Arguments& arguments, const Argument& keys);

  // Number of a variable; it comes into being with its first mention. Nothing if the name is malformed, or there are too many.
  std::optional<std::uint32_t> variable(std::string_view name, Place place);

 private:
  void block(std::span<const Node> commands, bool top_level);
  void require(const Node& command);
  std::size_t if_chain(std::span<const Node> commands, std::size_t first);
  void command(const Node& command);
  void test(const Node& test);
  void tests(const Node& node, bool jump_on);
  const Node* single_test(const Node& node);
  bool check_arguments(const Node& node, const Definition& definition, Arguments& out);
  const Argument* tag_parameter(const Node& node, const TagDefinition& definition, std::size_t& next);
  const TagDefinition* find_tag(const Node& node, const Definition& definition, const Argument& tag);
  const Definition* find(std::vector<Definition> Extension::*kind, std::string_view name, std::string_view& missing_capability) const;
  std::uint32_t emit(Instruction::Operation operation, std::uint32_t argument = 0);
  void emit_step(std::unique_ptr<Step> step, const Node& node);
  [[nodiscard]] std::uint32_t here() const { return static_cast<std::uint32_t>(program_->instructions.size()); }
  void no_arguments(const Node& node, bool block_allowed, bool test_allowed);

  const CompileOptions& options_;
  Mistakes& mistakes_;
  std::shared_ptr<Program> program_;
  std::vector<const Extension*> active_;
  std::set<std::string, std::less<>> required_;
};

// Checks shared by several extensions.
// The one address of `text` in canonical form; nothing if there is none, or more than one, or a group.
std::optional<std::string> redirect_address(std::string_view text);
// A mailbox name in the form that actions carry; an error text if it is none.
std::optional<std::string> mailbox_name(std::string_view text, std::string& problem);

// encoded-character (RFC 5228 section 2.4.2.4); `problem` is set for code points that do not exist.
std::string decode_encoded_characters(std::string_view text, std::string& problem);

}  // namespace postern::sieve
