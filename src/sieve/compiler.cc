// SPDX-License-Identifier: Apache-2.0
#include "sieve/compiler.h"

#include "base/text.h"
#include "mail/address.h"
#include "sieve/parser.h"

#include <algorithm>

namespace postern::sieve {

namespace {

constexpr std::size_t kMostVariables = 255;
constexpr std::uint32_t kMostMatchValues = 32;

std::string in_quotes(std::string_view text) { return "\"" + base::printable(text, 80) + "\""; }

std::string_view form_name(Form form) {
  switch (form) {
    case Form::string: return "a string";
    case Form::strings: return "a string or a list of strings";
    case Form::number: return "a number";
  }
  return "";
}

bool fits(const Argument& argument, Form form) {
  switch (form) {
    case Form::string: return argument.kind == Argument::Kind::string;
    case Form::strings: return argument.kind == Argument::Kind::string || argument.kind == Argument::Kind::list;
    case Form::number: return argument.kind == Argument::Kind::number;
  }
  return false;
}

std::string_view found_name(const Argument& argument) {
  switch (argument.kind) {
    case Argument::Kind::tag: return "a tag";
    case Argument::Kind::number: return "a number";
    case Argument::Kind::string: return "a string";
    case Argument::Kind::list: return "a list of strings";
  }
  return "";
}

}  // namespace

const Arguments::Tag* Arguments::find(std::string_view tag) const {
  for (const Tag& candidate : tags_)
    if (candidate.definition->tag == tag) return &candidate;
  return nullptr;
}

const Argument* Arguments::parameter(std::string_view tag) const {
  const Tag* found = find(tag);
  return found != nullptr ? found->parameter : nullptr;
}

Compiler::Compiler(const CompileOptions& options, Mistakes& mistakes) : options_(options), mistakes_(mistakes), program_(std::make_shared<Program>()) {
  for (const Extension* extension : extensions())
    if (extension->name.empty()) active_.push_back(extension);
}

std::shared_ptr<const Program> Compiler::script(const std::vector<Node>& commands) {
  block(commands, true);
  emit(Instruction::Operation::stop);
  if (mistakes_.any_error()) return nullptr;
  program_->uses_match_values = requires_capability("variables");
  return program_;
}

std::uint32_t Compiler::emit(Instruction::Operation operation, std::uint32_t argument) {
  program_->instructions.push_back({operation, argument});
  return here() - 1;
}

void Compiler::emit_step(std::unique_ptr<Step> step, const Node& node) {
  if (step == nullptr) return;   // a mistake was reported
  step->place = node.place;
  step->name = node.name;
  program_->steps.push_back(std::move(step));
  emit(Instruction::Operation::step, static_cast<std::uint32_t>(program_->steps.size() - 1));
}

// ---- commands

void Compiler::block(std::span<const Node> commands, bool top_level) {
  bool require_allowed = top_level;
  for (std::size_t i = 0; i < commands.size();) {
    const Node& node = commands[i];
    if (node.name == "require") {
      if (!require_allowed) error(node.place, "\"require\" must stand before all other commands");
      require(node);
      ++i;
      continue;
    }
    require_allowed = false;
    if (node.name == "if") {
      i = if_chain(commands, i);
      continue;
    }
    if (node.name == "elsif" || node.name == "else") {
      error(node.place, "\"" + node.name + "\" without an \"if\" in front of it");
      if (node.name == "elsif")
        if (const Node* condition = single_test(node)) test(*condition);
      block(node.block, false);
    } else if (node.name == "stop") {
      no_arguments(node, false, false);
      emit(Instruction::Operation::stop);
    } else {
      command(node);
    }
    ++i;
  }
}

void Compiler::no_arguments(const Node& node, bool block_allowed, bool test_allowed) {
  if (!node.arguments.empty()) error(node.arguments.front().place, "\"" + node.name + "\" takes no arguments");
  if (!test_allowed && (!node.tests.empty() || node.test_list)) error(node.place, "\"" + node.name + "\" takes no test");
  if (!block_allowed && node.has_block) error(node.place, "\"" + node.name + "\" takes no block; expected ';'");
}

void Compiler::require(const Node& command) {
  if (!command.tests.empty() || command.test_list) error(command.place, "\"require\" takes no test");
  if (command.has_block) error(command.place, "\"require\" takes no block; expected ';'");
  if (command.arguments.size() != 1 || !fits(command.arguments.front(), Form::strings)) {
    error(command.place, "\"require\" takes one string or list of strings");
    return;
  }
  for (const StringItem& item : command.arguments.front().strings) {
    const auto found = std::find_if(extensions().begin(), extensions().end(),
                                    [&](const Extension* extension) { return !item.text.empty() && extension->name == item.text; });
    if (found == extensions().end()) {
      error(item.place, "unknown capability " + in_quotes(item.text));
      continue;
    }
    if ((*found)->system_only && !options_.system_script) {
      error(item.place, in_quotes(item.text) + " is for the server's own scripts only");
      continue;
    }
    if (required_.insert(item.text).second) active_.push_back(*found);
  }
}

std::size_t Compiler::if_chain(std::span<const Node> commands, std::size_t first) {
  std::vector<std::uint32_t> ends;
  std::size_t i = first;
  for (bool more = true; more && i < commands.size(); ++i) {
    const Node& node = commands[i];
    if (i > first && node.name != "elsif" && node.name != "else") break;
    if (!node.has_block) error(node.place, "\"" + node.name + "\" needs a block");
    if (!node.arguments.empty()) error(node.arguments.front().place, "\"" + node.name + "\" takes no arguments in front of its test");
    if (node.name == "else") {
      if (!node.tests.empty() || node.test_list) error(node.tests.empty() ? node.place : node.tests.front().place, "\"else\" takes no test (write \"elsif\")");
      block(node.block, false);
      more = false;
      continue;
    }
    std::uint32_t skip = 0;
    if (const Node* condition = single_test(node)) {
      test(*condition);
      skip = emit(Instruction::Operation::jump_if_false);
    }
    block(node.block, false);
    ends.push_back(emit(Instruction::Operation::jump));
    if (skip != 0) program_->instructions[skip].argument = here();
  }
  for (const auto end : ends) program_->instructions[end].argument = here();
  return i;
}

const Node* Compiler::single_test(const Node& node) {
  if (node.tests.size() == 1 && !node.test_list) return node.tests.data();
  error(node.place, node.test_list ? "\"" + node.name + "\" takes one test, not a list in parentheses" : "\"" + node.name + "\" needs a test");
  return nullptr;
}

const Definition* Compiler::find(std::vector<Definition> Extension::*kind, std::string_view name, std::string_view& missing_capability) const {
  for (const Extension* extension : active_)
    for (const Definition& definition : extension->*kind)
      if (definition.name == name) return &definition;
  for (const Extension* extension : extensions())
    for (const Definition& definition : extension->*kind)
      if (definition.name == name) missing_capability = extension->name;
  return nullptr;
}

void Compiler::command(const Node& node) {
  std::string_view capability;
  const Definition* definition = find(&Extension::commands, node.name, capability);
  if (definition == nullptr) {
    std::string_view ignored;
    if (!capability.empty()) error(node.place, in_quotes(node.name) + " needs: require " + in_quotes(capability) + ";");
    else if (find(&Extension::tests, node.name, ignored) != nullptr || !ignored.empty()) error(node.place, in_quotes(node.name) + " is a test, not a command");
    else error(node.place, "unknown command " + in_quotes(node.name));
    if (node.has_block) block(node.block, false);
    return;
  }
  if (!node.tests.empty() || node.test_list) error(node.tests.empty() ? node.place : node.tests.front().place, in_quotes(node.name) + " takes no test (is a ';' missing?)");
  if (node.has_block) error(node.place, in_quotes(node.name) + " takes no block; expected ';'");
  Arguments arguments;
  if (check_arguments(node, *definition, arguments)) emit_step(definition->compile(*this, arguments), node);
}

// ---- tests

void Compiler::test(const Node& node) {
  if (node.name == "allof" || node.name == "anyof") {
    if (!node.arguments.empty()) error(node.arguments.front().place, in_quotes(node.name) + " takes no arguments, only tests in parentheses");
    if (!node.test_list || node.tests.empty()) error(node.place, in_quotes(node.name) + " needs a list of tests in parentheses");
    tests(node, node.name == "anyof");
    return;
  }
  if (node.name == "not") {
    if (!node.arguments.empty()) error(node.arguments.front().place, "\"not\" takes no arguments, only a test");
    if (const Node* inner = single_test(node)) test(*inner);
    emit(Instruction::Operation::negate);
    return;
  }
  if (node.name == "true" || node.name == "false") {
    no_arguments(node, true, false);
    emit(node.name == "true" ? Instruction::Operation::set_true : Instruction::Operation::set_false);
    return;
  }
  std::string_view capability;
  const Definition* definition = find(&Extension::tests, node.name, capability);
  if (definition == nullptr) {
    std::string_view ignored;
    if (!capability.empty()) error(node.place, "test " + in_quotes(node.name) + " needs: require " + in_quotes(capability) + ";");
    else if (find(&Extension::commands, node.name, ignored) != nullptr || !ignored.empty()) error(node.place, in_quotes(node.name) + " is a command, not a test");
    else error(node.place, "unknown test " + in_quotes(node.name));
    return;
  }
  if (!node.tests.empty() || node.test_list) error(node.place, "test " + in_quotes(node.name) + " takes no tests");
  Arguments arguments;
  if (check_arguments(node, *definition, arguments)) emit_step(definition->compile(*this, arguments), node);
}

// Left to right; the first that is `jump_on` decides (RFC 5229 makes the order visible).
void Compiler::tests(const Node& node, bool jump_on) {
  std::vector<std::uint32_t> jumps;
  for (std::size_t i = 0; i < node.tests.size(); ++i) {
    test(node.tests[i]);
    if (i + 1 < node.tests.size()) jumps.push_back(emit(jump_on ? Instruction::Operation::jump_if_true : Instruction::Operation::jump_if_false));
  }
  for (const auto jump : jumps) program_->instructions[jump].argument = here();
}

// ---- arguments

const TagDefinition* Compiler::find_tag(const Node& node, const Definition& definition, const Argument& tag) {
  const auto belongs = [&](const TagDefinition& candidate) {
    if (candidate.tag != tag.tag) return false;
    return candidate.where == definition.name || (candidate.where == "match" && (definition.takes & kMatch) != 0) ||
           (candidate.where == "address-part" && (definition.takes & kAddressPart) != 0);
  };
  for (const Extension* extension : active_)
    for (const TagDefinition& candidate : extension->tags)
      if (belongs(candidate)) return &candidate;
  for (const Extension* extension : extensions())
    for (const TagDefinition& candidate : extension->tags)
      if (belongs(candidate)) {
        error(tag.place, "tag \":" + tag.tag + "\" needs: require " + in_quotes(extension->name) + ";");
        return nullptr;
      }
  error(tag.place, in_quotes(node.name) + " has no tag \":" + tag.tag + "\"");
  return nullptr;
}

const Argument* Compiler::tag_parameter(const Node& node, const TagDefinition& definition, std::size_t& next) {
  const Form form = definition.parameter == TagDefinition::Parameter::number    ? Form::number
                    : definition.parameter == TagDefinition::Parameter::strings ? Form::strings
                                                                                : Form::string;
  if (next < node.arguments.size() && fits(node.arguments[next], form)) return &node.arguments[next++];
  error(next < node.arguments.size() ? node.arguments[next].place : node.place,
        "tag \":" + std::string(definition.tag) + "\" must be followed by " + std::string(form_name(form)));
  return nullptr;
}

bool Compiler::check_arguments(const Node& node, const Definition& definition, Arguments& out) {
  out.node_ = &node;
  bool good = true;
  std::size_t next = 0;
  while (next < node.arguments.size()) {
    const Argument& argument = node.arguments[next++];
    if (argument.kind != Argument::Kind::tag) {
      out.positional_.push_back(&argument);
      continue;
    }
    if (!out.positional_.empty()) {
      error(argument.place, "tag \":" + argument.tag + "\" must stand in front of the positional arguments");
      good = false;
      continue;
    }
    const TagDefinition* tag = find_tag(node, definition, argument);
    if (tag == nullptr) return false;   // whether it takes a parameter is not known, so what follows can't be judged
    for (const Arguments::Tag& earlier : out.tags_) {
      if (earlier.definition->tag == tag->tag) {
        error(argument.place, "tag \":" + argument.tag + "\" stands twice");
        good = false;
      } else if (!tag->group.empty() && earlier.definition->group == tag->group) {
        error(argument.place, "tags \":" + std::string(earlier.definition->tag) + "\" and \":" + argument.tag + "\" exclude each other");
        good = false;
      }
    }
    const Argument* parameter = nullptr;
    if (tag->parameter != TagDefinition::Parameter::none) {
      parameter = tag_parameter(node, *tag, next);
      if (parameter == nullptr) return false;
    }
    out.tags_.push_back({tag, parameter});
  }

  const std::size_t most = definition.arguments.size(), least = definition.first_is_optional ? most - 1 : most;
  const std::size_t count = out.positional_.size();
  const std::size_t left_out = count < most && count >= least ? most - count : 0;
  for (std::size_t i = 0; i < count && i + left_out < most; ++i) {
    const Form form = definition.arguments[i + left_out];
    if (fits(*out.positional_[i], form)) continue;
    error(out.positional_[i]->place, in_quotes(node.name) + " expects " + std::string(form_name(form)) + " here, found " + std::string(found_name(*out.positional_[i])));
    good = false;
  }
  if (count < least) {
    error(node.place, in_quotes(node.name) + " needs " + std::to_string(least) + (least == 1 ? " argument" : " arguments") + " (not counting tags), found " + std::to_string(count));
    good = false;
  } else if (count > most) {
    error(out.positional_[most]->place, in_quotes(node.name) + " takes " + (most == 0 ? std::string("no arguments") : "only " + std::to_string(most) + (most == 1 ? " argument" : " arguments")) + " (not counting tags)");
    good = false;
  }
  return good;
}

// ---- strings

std::optional<std::uint32_t> Compiler::variable(std::string_view name, Place place) {
  const bool good = !name.empty() && !base::is_digit(name.front()) &&
                    std::all_of(name.begin(), name.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '_'; });
  if (!good) {
    error(place, in_quotes(name) + " is no name for a variable");
    return std::nullopt;
  }
  const std::string key = base::lower(name);
  auto& names = program_->variables;
  const auto found = std::find(names.begin(), names.end(), key);
  if (found != names.end()) return static_cast<std::uint32_t>(found - names.begin());
  if (names.size() >= kMostVariables) {
    error(place, "script has more than 255 variables");
    return std::nullopt;
  }
  names.push_back(key);
  return static_cast<std::uint32_t>(names.size() - 1);
}

Text Compiler::text(const StringItem& item) {
  std::string value = item.text;
  if (requires_capability("encoded-character")) {
    std::string problem;
    value = decode_encoded_characters(value, problem);
    if (!problem.empty()) error(item.place, problem);
  }
  if (!requires_capability("variables")) return Text(std::move(value));

  // RFC 5229 section 3: "${" [namespace] name "}", or a number; what is not of that form is plain text.
  std::vector<Text::Piece> pieces;
  std::string literal;
  bool references = false;
  const auto finish_literal = [&] {
    if (!literal.empty()) pieces.push_back({Text::Piece::Kind::literal, std::move(literal), 0});
    literal.clear();
  };
  for (std::size_t i = 0; i < value.size();) {
    const auto begin = value.find("${", i);
    if (begin == std::string::npos) {
      literal.append(value, i);
      break;
    }
    literal.append(value, i, begin - i);
    std::size_t end = begin + 2;
    while (end < value.size() && (base::is_alpha(value[end]) || base::is_digit(value[end]) || value[end] == '_' || value[end] == '.')) ++end;
    const std::string_view name = std::string_view(value).substr(begin + 2, end - begin - 2);
    const bool closed = end < value.size() && value[end] == '}' && !name.empty();
    const bool numeric = closed && std::all_of(name.begin(), name.end(), base::is_digit);
    const bool named = closed && !base::is_digit(name.front()) && name.find('.') == std::string_view::npos;
    if (numeric) {
      finish_literal();
      const auto number = base::number_from<std::uint32_t>(name);
      if (!number || *number >= kMostMatchValues) error(item.place, "match values go up to ${" + std::to_string(kMostMatchValues - 1) + "}");
      pieces.push_back({Text::Piece::Kind::match_value, {}, number.value_or(0)});
      references = true;
    } else if (named) {
      finish_literal();
      if (const auto found = variable(name, item.place)) pieces.push_back({Text::Piece::Kind::variable, {}, *found});
      references = true;
    } else if (closed && !base::is_digit(name.front()) && name.front() != '.' && name.back() != '.') {
      error(item.place, "unknown namespace in \"${" + std::string(name) + "}\"");
    } else {
      literal += "${";
      i = begin + 2;
      continue;
    }
    i = end + 1;
  }
  if (!references) return Text(std::move(value));
  finish_literal();
  return Text(std::move(pieces));
}

std::vector<Text> Compiler::texts(const Argument& argument) {
  std::vector<Text> all;
  all.reserve(argument.strings.size());
  for (const StringItem& item : argument.strings) all.push_back(text(item));
  return all;
}

std::string Compiler::constant(const StringItem& item, std::string_view what) {
  Text found = text(item);
  if (found.is_constant()) return found.constant();
  error(item.place, std::string(what) + " must be a constant");
  return {};
}

Matcher Compiler::matcher(const Arguments& arguments, const Argument& keys) {
  Matcher made;
  if (arguments.has("contains")) made.type = MatchType::contains;
  else if (arguments.has("matches")) made.type = MatchType::matches;
  else if (arguments.has("value")) made.type = MatchType::value;
  else if (arguments.has("count")) made.type = MatchType::count;
  if (const Argument* name = arguments.parameter("comparator")) {
    const StringItem& item = name->strings.front();
    const std::string wanted = constant(item, "a comparator");
    if (!comparator_from(wanted, made.comparator)) {
      error(item.place, "unknown comparator " + in_quotes(wanted));
    } else if (made.comparator == Comparator::ascii_numeric) {
      if (!requires_capability("comparator-i;ascii-numeric")) error(item.place, "comparator \"i;ascii-numeric\" needs: require \"comparator-i;ascii-numeric\";");
      if (made.type == MatchType::contains || made.type == MatchType::matches)
        error(item.place, "comparator \"i;ascii-numeric\" can't be used with :contains or :matches");
    }
  }
  for (const std::string_view tag : {"value", "count"})
    if (const Argument* relation = arguments.parameter(tag)) {
      made.relation = text(relation->strings.front());
      Relation ignored{};
      if (made.relation.is_constant() && !relation_from(made.relation.constant(), ignored))
        error(relation->place, "unknown relation " + in_quotes(made.relation.constant()) + "; expected gt, ge, lt, le, eq or ne");
    }
  for (Text& key : texts(keys)) {
    Matcher::Key& added = made.keys.emplace_back();
    added.text = std::move(key);
  }
  made.prepare();
  return made;
}

// ---- checks shared by several extensions

std::optional<std::string> redirect_address(std::string_view text) {
  const mail::AddressList list = mail::parse_address_list(text);
  if (list.grouped || list.cut || list.addresses.size() != 1 || !list.addresses.front().valid) return std::nullopt;
  const mail::ListedAddress& only = list.addresses.front();
  const auto mailbox = mail::parse_mailbox(mail::quoted_local_part(only.local_part) + "@" + only.domain);
  if (!mailbox) return std::nullopt;
  return mailbox->to_string();
}

std::optional<std::string> mailbox_name(std::string_view text, std::string& problem) {
  constexpr std::size_t kLongest = 1000, kDeepest = 32;
  const auto refuse = [&](std::string_view why) {
    problem = "mailbox name " + in_quotes(text) + " " + std::string(why);
    return std::nullopt;
  };
  if (text.empty()) return refuse("is empty");
  if (text.size() > kLongest) return refuse("is longer than 1000 bytes");
  if (!base::is_utf8(text)) return refuse("is not valid UTF-8");
  if (std::any_of(text.begin(), text.end(), base::is_control)) return refuse("has a control character");
  const auto parts = base::split(text, '/');
  if (parts.size() > kDeepest) return refuse("has more than 32 parts");
  for (const std::string_view part : parts) {
    if (part.empty()) return refuse("has an empty part");
    if (part == "." || part == "..") return refuse("has a part \".\" or \"..\"");
  }
  std::string name(text);
  if (base::equal_ignoring_case(parts.front(), "INBOX")) name.replace(0, 5, "INBOX");
  return name;
}

// ---- the public face

Compiled compile(std::string_view source, const CompileOptions& options) {
  Compiled done;
  Mistakes mistakes(options.limits.mistakes);
  if (source.starts_with("\xef\xbb\xbf")) source.remove_prefix(3);  // a byte order mark
  if (source.size() > options.limits.script_bytes) {
    mistakes.error({}, "script is longer than " + std::to_string(options.limits.script_bytes) + " bytes");
  } else if (source.find('\0') != std::string_view::npos || !base::is_utf8(source)) {
    // Where: the first line that is not text.
    int line = 0;
    for (const std::string_view text : base::split(source, '\n')) {
      ++line;
      if (const auto nul = text.find('\0'); nul != std::string_view::npos) mistakes.error({line, static_cast<int>(nul) + 1}, "script has a NUL byte");
      else if (!base::is_utf8(text)) mistakes.error({line, 1}, "line is not valid UTF-8");
    }
  } else {
    const std::vector<Node> commands = parse(source, options.limits, mistakes);
    Compiler compiler(options, mistakes);
    done.program = compiler.script(commands);
  }
  done.mistakes = mistakes.take();
  return done;
}

const std::vector<Capability>& capabilities() {
  static const std::vector<Capability> list = [] {
    std::vector<Capability> made;
    for (const Extension* extension : extensions())
      if (!extension->name.empty()) made.push_back({std::string(extension->name), std::string(extension->standard), std::string(extension->summary), extension->system_only});
    std::sort(made.begin(), made.end(), [](const Capability& a, const Capability& b) { return a.name < b.name; });
    return made;
  }();
  return list;
}

ProgramFacts facts(const Program& program) {
  ProgramFacts found;
  found.can_reject = program.can_reject;
  found.instructions = program.instructions.size();
  found.bytes = program.instructions.size() * sizeof(Instruction) + program.steps.size() * 256;
  return found;
}

}  // namespace postern::sieve
