// SPDX-License-Identifier: Apache-2.0
#include "sieve/compiler.h"

#include "base/text.h"
#include "mail/address.h"
#include "sieve/parser.h"
#include "sieve/run.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace postern::sieve {

namespace {

constexpr std::uint32_t kLastMatchValue = 32;

std::string in_quotes(std::string_view text) { return "\"" + base::printable(text, 80) + "\""; }

std::string_view form_name(Form form) {
  switch (form) {
    case Form::string: return "a string";
    case Form::strings: return "a string list";
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
    case Argument::Kind::list: return "a string list";
  }
  return "";
}

// "the header test", as messages about its arguments name it.
std::string called(const Node& node, bool is_test) { return "the " + base::printable(node.name, 80) + (is_test ? " test" : " command"); }

// Those that the compiler knows by itself.
bool is_builtin_test(std::string_view name) { return name == "allof" || name == "anyof" || name == "false" || name == "not" || name == "true"; }

std::string arguments(std::size_t count) { return std::to_string(count) + (count == 1 ? " argument" : " arguments"); }

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

// ---- all scripts of a program

std::optional<std::uint32_t> Builder::script(const std::string& name, std::string_view source) {
  const auto unit = static_cast<std::uint32_t>(program_->units.size());
  program_->units.emplace_back().name = name;
  Mistakes mistakes(options_.limits.mistakes);
  std::optional<Compiled::Stage> failed;
  if (source.starts_with("\xef\xbb\xbf")) source.remove_prefix(3);  // a byte order mark
  if (source.size() > options_.limits.script_bytes) {
    mistakes.error({}, "script is longer than " + std::to_string(options_.limits.script_bytes) + " bytes");
    failed = Compiled::Stage::parsing;
  } else if (source.find('\0') != std::string_view::npos || !base::is_utf8(source)) {
    // Where: the first line that is not text.
    int line = 0;
    for (const std::string_view text : base::split(source, '\n')) {
      ++line;
      if (const auto nul = text.find('\0'); nul != std::string_view::npos) mistakes.error({line, static_cast<int>(nul) + 1}, "script has a NUL byte");
      else if (!base::is_utf8(text)) mistakes.error({line, 1}, "line is not valid UTF-8");
    }
    failed = Compiled::Stage::parsing;
  } else {
    const std::vector<Node> commands = parse(source, options_.limits, mistakes);
    if (mistakes.any_error()) failed = Compiled::Stage::parsing;
    if (!failed || options_.check_broken) Compiler(*this, unit, mistakes).script(commands);
    if (!failed && mistakes.any_error()) failed = Compiled::Stage::checking;
  }
  if (failed) failed_.push_back({name, *failed});
  broken_ = broken_ || failed.has_value();
  program_->units[unit].rules = mistakes.rules();
  auto& list = unit == 0 ? mistakes_ : included_mistakes_;
  for (Mistake& mistake : mistakes.take()) {
    mistake.script = name;
    list.push_back(std::move(mistake));
  }
  if (failed) return std::nullopt;
  return unit;
}

namespace {

// Follows all ways through a program, whatever its tests may say.
bool a_way_rejects(const Program& program) {
  using Operation = Instruction::Operation;
  std::vector<bool> known(program.instructions.size());
  std::vector<std::uint32_t> ways;
  const auto follow = [&](std::uint32_t at) {
    if (at >= known.size() || known[at]) return;
    known[at] = true;
    ways.push_back(at);
  };
  // The script that was given comes behind those that it includes, in its unit.
  follow(program.units.front().first);
  while (!ways.empty()) {
    const std::uint32_t at = ways.back();
    ways.pop_back();
    const Instruction& instruction = program.instructions[at];
    switch (instruction.operation) {
      case Operation::finish:
      case Operation::stop: break;
      case Operation::jump: follow(instruction.argument); break;
      case Operation::jump_if_true:
      case Operation::jump_if_false:
        follow(instruction.argument);
        follow(at + 1);
        break;
      case Operation::step: {
        const Step& step = *program.steps[instruction.argument];
        if (step.rejects()) return true;
        if (const auto unit = step.called_unit()) follow(program.units[*unit].first);
        if (!step.ends_script()) follow(at + 1);
        break;
      }
      case Operation::enter:
      case Operation::again:
      case Operation::leave:
      case Operation::need:
      case Operation::negate:
      case Operation::set_true:
      case Operation::set_false: follow(at + 1); break;
    }
  }
  return false;
}

}  // namespace

Compiled Builder::take() {
  Compiled done;
  if (!broken_ && facts(*program_).bytes > options_.limits.program_bytes) {
    mistakes_.push_back({1, 1, "the program of the script is larger than " + std::to_string(options_.limits.program_bytes) + " bytes"});
    failed_.push_back({{}, Compiled::Stage::checking});
    broken_ = true;
  }
  program_->regex_bytes = options_.limits.regex_bytes - regex_bytes_;
  if (!broken_) program_->can_reject = a_way_rejects(*program_);
  if (!broken_) done.program = program_;
  done.mistakes = std::move(mistakes_);
  done.mistakes.insert(done.mistakes.end(), std::make_move_iterator(included_mistakes_.begin()), std::make_move_iterator(included_mistakes_.end()));
  done.failed = std::move(failed_);
  for (const Included& one : included_) done.included.push_back({one.place, one.name});
  return done;
}

std::optional<std::uint32_t> Compiler::include(ScriptPlace where, const std::string& name, bool once, bool optional, Place place) {
  auto& known = builder_.included_;
  const auto same = [&](const Builder::Included& one) { return one.place == where && one.name == name; };
  auto found = std::find_if(known.begin(), known.end(), same);
  if (found == known.end()) {
    if (known.size() >= options().limits.includes) {
      error(place, "more than " + std::to_string(options().limits.includes) + " scripts are included");
      return std::nullopt;
    }
    if (builder_.depth_ + 1 > options().limits.include_depth) {
      error(place, "scripts are included more than " + std::to_string(options().limits.include_depth) + " deep");
      return std::nullopt;
    }
    const std::size_t number = known.size();
    known.push_back({where, name, std::nullopt, true, false});
    const auto source = options().script ? options().script(where, name) : std::nullopt;
    if (source) {
      known[number].unit = static_cast<std::uint32_t>(program().units.size());
      ++builder_.depth_;
      if (!builder_.script(name, *source)) known[number].unit.reset();
      --builder_.depth_;
    } else {
      known[number].missing = true;
    }
    known[number].open = false;
    found = known.begin() + static_cast<std::ptrdiff_t>(number);
    if (source && !found->unit) error(place, "the included script " + in_quotes(name) + " has mistakes");
  } else if (found->open && !once) {
    error(place, "the script " + in_quotes(name) + " includes itself");
    return std::nullopt;
  }
  if (found->missing && !optional) error(place, "there is no " + std::string(to_string(where)) + " script " + in_quotes(name));
  if (!found->unit) return std::nullopt;
  if (!found->open) {
    const std::size_t inside = program().units[*found->unit].loop_depth;
    if (inside > 0 && loops_ + inside > options().limits.loop_nesting)
      error(place, "loops are nested more than " + std::to_string(options().limits.loop_nesting) + " deep, those of the included script counted");
    deepest_loop_ = std::max(deepest_loop_, loops_ + inside);
  }
  return found->unit;
}

// ---- one script

Compiler::Compiler(Builder& builder, std::uint32_t unit, Mistakes& mistakes) : builder_(builder), unit_(unit), mistakes_(mistakes) {
  for (const Extension* extension : extensions())
    if (extension->name.empty()) active_.push_back(extension);
}

void Compiler::script(const std::vector<Node>& commands) {
  block(commands, true);
  emit(Instruction::Operation::finish);
  Program::Unit& unit = program().units[unit_];
  unit.uses_match_values = requires_capability("variables");
  unit.loop_depth = deepest_loop_;
  // Behind what the scripts it includes have put there.
  auto& all = program().instructions;
  unit.first = static_cast<std::uint32_t>(all.size());
  for (Instruction instruction : code_) {
    using Operation = Instruction::Operation;
    if (instruction.operation == Operation::jump || instruction.operation == Operation::jump_if_true || instruction.operation == Operation::jump_if_false)
      instruction.argument += unit.first;
    all.push_back(instruction);
  }
}

bool Compiler::requires_capability(std::string_view name) {
  if (required_.find(name) != required_.end()) return true;
  const auto found = found_by_ihave_.find(name);
  if (found == found_by_ihave_.end()) return false;
  needs_.insert(found->second);
  return true;
}

void Compiler::need(const Extension& extension) {
  if (extension.name.empty() || required_.find(extension.name) != required_.end()) return;
  if (const auto found = found_by_ihave_.find(extension.name); found != found_by_ihave_.end()) needs_.insert(found->second);
}

bool Compiler::offered(const Extension& extension) const {
  if ((extension.needs & ~options().abilities) != 0) return false;
  return !options().only || std::find(options().only->begin(), options().only->end(), extension.name) != options().only->end();
}

const Extension* Compiler::find_extension(std::string_view name) const {
  if (name.empty()) return nullptr;
  for (const Extension* extension : options().more_extensions)
    if (extension->name == name) return extension;
  for (const Extension* extension : extensions())
    if (extension->name == name) return offered(*extension) ? extension : nullptr;
  return nullptr;
}

void Compiler::activate(const Extension& extension) {
  if (std::find(active_.begin(), active_.end(), &extension) == active_.end()) active_.push_back(&extension);
}

std::optional<std::vector<const Extension*>> Compiler::found_by_ihave(const std::vector<std::string>& names) const {
  std::vector<const Extension*> found;
  for (const std::string& name : names) {
    if (required_.contains(name)) continue;
    // These two would change how the script is read (RFC 5463 section 3).
    const Extension* extension = name == "variables" || name == "encoded-character" ? nullptr : find_extension(name);
    if (extension == nullptr || (extension->system_only && !options().system_script)) return std::nullopt;
    found.push_back(extension);
  }
  return found;
}

void Compiler::look_ahead(std::span<const Node> nodes) {
  for (const Node& node : nodes) {
    if (node.name == "ihave" && node.arguments.size() == 1) {
      std::vector<std::string> names;
      for (const StringItem& item : node.arguments.front().strings) names.push_back(item.text);
      if (const auto found = found_by_ihave(names))
        for (const Extension* extension : *found) make_available(*extension);
    }
    look_ahead(node.tests);
    look_ahead(node.block);
  }
}

std::uint32_t Compiler::make_available(const Extension& extension) {
  auto& names = program().capabilities;
  const auto found = std::find(names.begin(), names.end(), extension.name);
  const auto number = static_cast<std::uint32_t>(found - names.begin());
  if (found == names.end()) names.emplace_back(extension.name);
  activate(extension);
  found_by_ihave_.emplace(extension.name, number);
  if (const Extension* implied = find_extension(extension.implies); implied != nullptr) {
    activate(*implied);
    found_by_ihave_.emplace(implied->name, number);
  }
  return number;
}

std::uint32_t Compiler::emit(Instruction::Operation operation, std::uint32_t argument) {
  code_.push_back({operation, argument});
  return here() - 1;
}

std::optional<std::uint32_t> Compiler::emit_step(std::unique_ptr<Step> step, const Node& node, Instruction::Operation operation) {
  const std::set<std::uint32_t> needs = std::move(needs_);
  needs_.clear();
  if (step == nullptr) return std::nullopt;   // a mistake was reported
  for (const std::uint32_t capability : needs) emit(Instruction::Operation::need, capability);
  step->place = node.place;
  step->name = node.name;
  program().steps.push_back(std::move(step));
  const auto number = static_cast<std::uint32_t>(program().steps.size() - 1);
  emit(operation, number);
  return number;
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
    if (require_allowed && required_.contains("ihave")) look_ahead(commands.subspan(i));
    require_allowed = false;
    if (node.name == "if") {
      i = if_chain(commands, i);
      continue;
    }
    if (node.name == "elsif" || node.name == "else") {
      error(node.place, "\"" + node.name + "\" without an \"if\" in front of it");
      if (node.name == "elsif")
        if (const Node* condition = single_test(node)) test(*condition);
      ++depth_;
      block(node.block, false);
      --depth_;
    } else if (node.name == "stop") {
      no_arguments(node);
      emit(Instruction::Operation::stop);
    } else {
      command(node);
    }
    ++i;
  }
}

void Compiler::no_arguments(const Node& node) {
  if (!node.arguments.empty()) error(node.arguments.front().place, "\"" + node.name + "\" takes no arguments");
  if (!node.tests.empty() || node.test_list) error(node.place, "\"" + node.name + "\" takes no test");
  if (node.has_block) error(node.place, "\"" + node.name + "\" takes no block; expected ';'");
}

void Compiler::require(const Node& command) {
  if (command.has_block) error(command.place, "\"require\" takes no block; expected ';'");
  if (command.arguments.size() != 1 || !fits(command.arguments.front(), Form::strings)) {
    error(command.place, "\"require\" takes one string or list of strings");
    return;
  }
  for (const StringItem& item : command.arguments.front().strings) {
    const Extension* found = find_extension(item.text);
    if (found == nullptr) {
      error(item.place, "unknown capability " + in_quotes(item.text));
      continue;
    }
    if (found->system_only && !options().system_script) {
      error(item.place, in_quotes(item.text) + " is for the server's own scripts only");
      continue;
    }
    required_.insert(item.text);
    activate(*found);
    if (const Extension* implied = find_extension(found->implies); implied != nullptr) {
      required_.insert(std::string(implied->name));
      activate(*implied);
    }
  }
}

// A branch that can't be reached because of a test whose value is known is not looked at, and is not in the program: it may use what
// this server does not have (RFC 5463 section 4).
std::size_t Compiler::if_chain(std::span<const Node> commands, std::size_t first) {
  std::vector<std::uint32_t> ends;
  std::size_t i = first;
  bool taken = false;   // by a test that is always true
  for (bool more = true; more && i < commands.size(); ++i) {
    const Node& node = commands[i];
    if (i > first && node.name != "elsif" && node.name != "else") break;
    if (!node.has_block) error(node.place, "\"" + node.name + "\" needs a block");
    if (!node.arguments.empty()) error(node.arguments.front().place, "\"" + node.name + "\" takes no arguments in front of its test");
    const bool is_else = node.name == "else";
    if (is_else && (!node.tests.empty() || node.test_list))
      error(node.tests.empty() ? node.place : node.tests.front().place, "\"else\" takes no test (write \"elsif\")");
    more = !is_else;
    if (taken) {
      if (!is_else) single_test(node);
      continue;
    }
    std::optional<bool> known;
    std::optional<std::uint32_t> skip;
    if (is_else) {
      known = true;
    } else if (const Node* condition = single_test(node)) {
      known = test(*condition);
      if (!known) skip = emit(Instruction::Operation::jump_if_false);
    }
    if (known && !*known) continue;
    ++depth_;
    block(node.block, false);
    --depth_;
    if (known) taken = true;
    else ends.push_back(emit(Instruction::Operation::jump));
    if (skip) set_target(*skip);
  }
  for (const auto end : ends) set_target(end);
  return i;
}

const Node* Compiler::single_test(const Node& node) {
  if (node.tests.size() == 1 && !node.test_list) return node.tests.data();
  error(node.place, node.test_list ? "\"" + node.name + "\" takes one test, not a list in parentheses" : "\"" + node.name + "\" needs a test");
  return nullptr;
}

const Definition* Compiler::find(std::vector<Definition> Extension::*kind, const Node& node, std::string_view& missing_capability) {
  // Two capabilities may have a command of the same name; then the number of arguments decides between them.
  std::size_t positional = 0;
  while (positional < node.arguments.size() && node.arguments[node.arguments.size() - 1 - positional].kind != Argument::Kind::tag) ++positional;
  const Definition* best = nullptr;
  const Extension* owner = nullptr;
  for (const Extension* extension : active_)
    for (const Definition& definition : extension->*kind) {
      if (definition.name != node.name || (best != nullptr && definition.arguments.size() != positional)) continue;
      best = &definition;
      owner = extension;
    }
  if (best != nullptr) {
    need(*owner);
    return best;
  }
  for (const Extension* extension : extensions())
    for (const Definition& definition : extension->*kind)
      if (definition.name == node.name && missing_capability.empty() && offered(*extension)) missing_capability = extension->name;
  return nullptr;
}

void Compiler::begin_loop(std::string label, Place place) {
  next_block_ = OpenBlock{true, std::move(label)};
  if (loops_ + 1 > options().limits.loop_nesting) error(place, "loops are nested more than " + std::to_string(options().limits.loop_nesting) + " deep");
}

std::optional<std::size_t> Compiler::blocks_to_leave(const std::optional<std::string>& label) const {
  for (std::size_t i = open_.size(); i > 0; --i)
    if (open_[i - 1].loop && (!label || open_[i - 1].label == *label)) return open_.size() - i + 1;
  return std::nullopt;
}

void Compiler::command(const Node& node) {
  std::string_view capability;
  const Definition* definition = find(&Extension::commands, node, capability);
  if (definition == nullptr) {
    std::string_view ignored;
    if (!capability.empty()) error(node.place, in_quotes(node.name) + " needs: require " + in_quotes(capability) + ";");
    else if (is_builtin_test(node.name) || find(&Extension::tests, node, ignored) != nullptr || !ignored.empty()) error(node.place, "can't use test '" + base::printable(node.name, 80) + "' as a command");
    else error(node.place, "unknown command " + in_quotes(node.name));
    needs_.clear();
    if (node.has_block) {
      ++depth_;
      block(node.block, false);
      --depth_;
    }
    return;
  }
  if (node.has_block && !definition->has_block) error(node.place, in_quotes(node.name) + " takes no block; expected ';'");
  if (!node.has_block && definition->has_block) error(node.place, in_quotes(node.name) + " needs a block");
  Arguments arguments;
  std::unique_ptr<Step> step;
  if (check_arguments(node, *definition, false, arguments)) step = definition->compile(*this, arguments);
  if (step) step->definition = definition;
  if (!definition->has_block) {
    emit_step(std::move(step), node);
    return;
  }
  OpenBlock open = next_block_.value_or(OpenBlock{});
  next_block_.reset();
  const auto number = emit_step(std::move(step), node, Instruction::Operation::enter);
  const std::uint32_t skip = emit(Instruction::Operation::jump_if_false);
  const std::uint32_t begin = here();
  loops_ += open.loop ? 1 : 0;
  deepest_loop_ = std::max(deepest_loop_, loops_);
  const bool loop = open.loop;
  open_.push_back(std::move(open));
  ++depth_;
  block(node.block, false);
  --depth_;
  open_.pop_back();
  loops_ -= loop ? 1 : 0;
  if (!number) return;   // a mistake was reported: there will be no program
  emit(Instruction::Operation::again, *number);
  emit(Instruction::Operation::jump_if_true, begin);
  set_target(skip);
  emit(Instruction::Operation::leave, *number);
}

// ---- tests

std::optional<bool> Compiler::constant_test(bool value) {
  emit(value ? Instruction::Operation::set_true : Instruction::Operation::set_false);
  return value;
}

std::optional<bool> Compiler::test(const Node& node) {
  if (node.name == "allof" || node.name == "anyof") {
    if (!node.arguments.empty()) error(node.arguments.front().place, in_quotes(node.name) + " takes no arguments, only tests in parentheses");
    if (!node.test_list || node.tests.empty()) error(node.place, in_quotes(node.name) + " needs a list of tests in parentheses");
    return tests(node, node.name == "anyof");
  }
  if (node.name == "not") {
    if (!node.arguments.empty()) error(node.arguments.front().place, "\"not\" takes no arguments, only a test");
    std::optional<bool> known;
    if (const Node* inner = single_test(node)) known = test(*inner);
    emit(Instruction::Operation::negate);
    if (known) known = !*known;
    return known;
  }
  if (node.name == "true" || node.name == "false") {
    no_arguments(node);
    return constant_test(node.name == "true");
  }
  std::string_view capability;
  const Definition* definition = find(&Extension::tests, node, capability);
  if (definition == nullptr) {
    std::string_view ignored;
    if (!capability.empty()) error(node.place, "test " + in_quotes(node.name) + " needs: require " + in_quotes(capability) + ";");
    else if (find(&Extension::commands, node, ignored) != nullptr || !ignored.empty()) error(node.place, "can't use command '" + base::printable(node.name, 80) + "' as a test");
    else error(node.place, "unknown test " + in_quotes(node.name));
    needs_.clear();
    return std::nullopt;
  }
  if (!node.tests.empty() || node.test_list) error(node.place, "test " + in_quotes(node.name) + " takes no tests");
  Arguments arguments;
  decided_.reset();
  std::unique_ptr<Step> step;
  if (check_arguments(node, *definition, true, arguments)) step = definition->compile(*this, arguments);
  if (step) step->definition = definition;
  const std::optional<bool> known = std::exchange(decided_, std::nullopt);
  if (step == nullptr && known) {
    needs_.clear();
    return constant_test(*known);
  }
  emit_step(std::move(step), node);
  return known;
}

// Left to right; the first that is `jump_on` decides (RFC 5229 makes the order visible). Tests behind one that always decides are
// not looked at.
std::optional<bool> Compiler::tests(const Node& node, bool jump_on) {
  std::vector<std::uint32_t> jumps;
  std::optional<bool> known = !jump_on;
  for (std::size_t i = 0; i < node.tests.size(); ++i) {
    const std::optional<bool> value = test(node.tests[i]);
    if (value == jump_on) {
      known = jump_on;
      break;
    }
    if (!value) known.reset();
    if (i + 1 < node.tests.size()) jumps.push_back(emit(jump_on ? Instruction::Operation::jump_if_true : Instruction::Operation::jump_if_false));
  }
  for (const auto jump : jumps) set_target(jump);
  return known;
}

// ---- arguments

const TagDefinition* Compiler::find_tag(const Node& node, const Definition& definition, const Argument& tag, bool is_test) {
  const auto belongs = [&](const TagDefinition& candidate) {
    if (candidate.tag != tag.tag) return false;
    if (!candidate.also.empty() && required_.find(candidate.also) == required_.end() && found_by_ihave_.find(candidate.also) == found_by_ihave_.end()) return false;
    return candidate.where == definition.name || (candidate.where == "match" && (definition.takes & kMatch) != 0) ||
           (candidate.where == "address-part" && (definition.takes & kAddressPart) != 0);
  };
  for (const Extension* extension : active_)
    for (const TagDefinition& candidate : extension->tags)
      if (belongs(candidate)) {
        need(*extension);
        if (!candidate.also.empty()) requires_capability(candidate.also);
        return &candidate;
      }
  for (const Extension* extension : extensions())
    for (const TagDefinition& candidate : extension->tags)
      if (belongs(candidate) && offered(*extension)) {
        error(tag.place, "tag \":" + tag.tag + "\" needs: require " + in_quotes(extension->name) + ";");
        return nullptr;
      }
  error(tag.place, "unknown tagged argument ':" + tag.tag + "' for " + called(node, is_test));
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

bool Compiler::check_arguments(const Node& node, const Definition& definition, bool is_test, Arguments& out) {
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
    const TagDefinition* tag = find_tag(node, definition, argument, is_test);
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

  const std::size_t most = definition.arguments.size(), least = definition.first_is_optional || definition.last_is_optional ? most - 1 : most;
  const std::size_t count = out.positional_.size();
  const std::size_t left_out = definition.first_is_optional && count < most && count >= least ? most - count : 0;
  for (std::size_t i = 0; i < count && i + left_out < most; ++i) {
    const Form form = definition.arguments[i + left_out];
    if (fits(*out.positional_[i], form)) continue;
    error(out.positional_[i]->place, called(node, is_test) + " expects " + std::string(form_name(form)) + " as argument " + std::to_string(i + left_out + 1) + ", but " +
                                         std::string(found_name(*out.positional_[i])) + " was found");
    good = false;
  }
  if (count < least) {
    error(node.place, called(node, is_test) + " requires " + arguments(least) + ", but " + std::to_string(count) + (count == 1 ? " is given" : " are given"));
    good = false;
  } else if (count > most) {
    error(out.positional_[most]->place, called(node, is_test) + (most == 0 ? " takes no arguments" : " requires " + arguments(most)) + ", but " + std::to_string(count) + (count == 1 ? " is given" : " are given"));
    good = false;
  }
  return good;
}

// ---- strings

std::optional<std::uint32_t> Compiler::variable(std::string_view name, Place place) {
  const std::string key = base::lower(name);
  const bool global = key.starts_with("global.") && requires_capability("include");
  const std::string_view bare = std::string_view(key).substr(global ? 7 : 0);
  const bool good = !bare.empty() && !base::is_digit(bare.front()) &&
                    std::all_of(bare.begin(), bare.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '_'; });
  if (!good) {
    error(place, in_quotes(name) + " is no name for a variable");
    return std::nullopt;
  }
  const std::size_t longest = options().limits.variable_name_bytes, most = options().limits.variables;
  if (bare.size() > longest) {
    error(place, "the name of a variable is longer than " + std::to_string(longest) + " characters");
    return std::nullopt;
  }
  const auto number_in = [&](std::vector<std::string>& names, std::string_view what) -> std::optional<std::uint32_t> {
    const auto found = std::find(names.begin(), names.end(), bare);
    if (found != names.end()) return static_cast<std::uint32_t>(found - names.begin());
    if (names.size() >= most) {
      error(place, "script has more than " + std::to_string(most) + std::string(what) + " variables");
      return std::nullopt;
    }
    names.emplace_back(bare);
    return static_cast<std::uint32_t>(names.size() - 1);
  };
  if (global) {
    const auto number = number_in(program().global_variables, " global");
    return number ? std::optional(*number | kGlobalVariable) : std::nullopt;
  }
  if (const auto found = variables_.find(key); found != variables_.end()) return found->second;
  const auto number = number_in(program().units[unit_].variables, "");
  if (number) variables_.emplace(key, *number);
  return number;
}

std::optional<std::uint32_t> Compiler::variable_of(const StringItem& item) {
  if (requires_capability("variables")) return variable(decoded(item), item.place);
  error(item.place, "the name of a variable needs: require \"variables\";");
  return std::nullopt;
}

bool Compiler::global_variable(const std::string& name, Place place) {
  const auto number = variable("global." + name, place);
  if (!number) return true;   // reported
  const auto [known, added] = variables_.emplace(base::lower(name), *number);
  return added || known->second == *number;
}

std::string Compiler::decoded(const StringItem& item) {
  if (!requires_capability("encoded-character")) return item.text;
  std::string problem, value = decode_encoded_characters(item.text, problem);
  if (!problem.empty()) error(item.place, problem);
  return value;
}

Text Compiler::text(const StringItem& item) {
  std::string value = decoded(item);
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
    const auto dot = name.find('.');
    const std::string space = closed && dot != std::string_view::npos ? base::lower(name.substr(0, dot)) : std::string();
    const bool named = closed && !base::is_digit(name.front()) && (dot == std::string_view::npos || (space == "global" && requires_capability("include")));
    const bool constant = !space.empty() && std::any_of(active_.begin(), active_.end(), [&](const Extension* extension) { return extension->constants == space; });
    if (numeric) {
      finish_literal();
      const auto number = base::number_from<std::uint32_t>(name);
      if (!number || *number > kLastMatchValue) error(item.place, "match values go up to ${" + std::to_string(kLastMatchValue) + "}");
      pieces.push_back({Text::Piece::Kind::match_value, {}, number.value_or(0)});
      references = true;
    } else if (named) {
      finish_literal();
      if (const auto found = variable(name, item.place)) pieces.push_back({Text::Piece::Kind::variable, {}, *found});
      references = true;
    } else if (constant) {
      const auto found = options().constants.find(base::lower(name));
      if (found != options().constants.end()) literal += found->second;
    } else if (closed && !base::is_digit(name.front()) && name.front() != '.' && name.back() != '.') {
      error(item.place, "unknown namespace in \"${" + base::printable(name, 80) + "}\"");
      literal.append("${").append(name).append("}");
    } else {
      literal += "${";
      i = begin + 2;
      continue;
    }
    i = end + 1;
  }
  if (!references) return Text(std::move(literal));
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

void Compiler::check_list(const Text& name, Place place) {
  program().asks_lists = true;
  if (!name.is_constant()) return;
  const std::string list = list_name(name.constant());
  auto& lists = program().lists;
  if (!options().list_exists || !options().list_exists(list)) error(place, "there is no list " + in_quotes(name.constant()));
  else if (std::find(lists.begin(), lists.end(), list) == lists.end()) lists.push_back(list);
}

std::uint32_t Compiler::field_name(std::string_view name) {
  const auto [known, added] = builder_.field_names_.emplace(base::lower(name), static_cast<std::uint32_t>(program().field_names.size()));
  if (added) program().field_names.push_back(known->first);
  return known->second;
}

Matcher Compiler::matcher(const Arguments& arguments, const Argument& keys) {
  return matcher(arguments, keys, [](const Text& text, MatchType) { return std::vector<Text>{text}; });
}

Matcher Compiler::matcher(const Arguments& arguments, const Argument& keys, KeysOf keys_of) {
  Matcher made = matcher(arguments);
  for (const StringItem& item : keys.strings) {
    for (Text& key : keys_of(text(item), made.type)) {
      if (made.type == MatchType::list) check_list(key, item.place);
      made.keys.emplace_back().text = std::move(key);
    }
  }
  if (const auto problem = made.prepare(options().run_limits, &builder_.regex_bytes_)) error(keys.place, *problem);
  return made;
}

Matcher Compiler::matcher(const Arguments& arguments) {
  Matcher made;
  if (arguments.has("contains")) made.type = MatchType::contains;
  else if (arguments.has("matches")) made.type = MatchType::matches;
  else if (arguments.has("value")) made.type = MatchType::value;
  else if (arguments.has("count")) made.type = MatchType::count;
  else if (arguments.has("regex")) made.type = MatchType::regex;
  else if (arguments.has("list")) made.type = MatchType::list;
  if (const Argument* name = arguments.parameter("comparator")) {
    const StringItem& item = name->strings.front();
    const std::string wanted = constant(item, "a comparator");
    // RFC 6134 section 2.1: how values compare is the list's own affair.
    if (made.type == MatchType::list) error(item.place, ":list can't be used with a comparator");
    if (!comparator_from(wanted, made.comparator)) {
      error(item.place, "unknown comparator " + in_quotes(wanted));
    } else if (made.comparator == Comparator::ascii_numeric) {
      if (!requires_capability("comparator-i;ascii-numeric")) error(item.place, "comparator \"i;ascii-numeric\" needs: require \"comparator-i;ascii-numeric\";");
      if (made.type == MatchType::contains || made.type == MatchType::matches || made.type == MatchType::regex)
        error(item.place, "comparator \"i;ascii-numeric\" can't be used with :contains, :matches or :regex");
    }
  }
  for (const std::string_view tag : {"value", "count"})
    if (const Argument* relation = arguments.parameter(tag)) {
      made.relation = text(relation->strings.front());
      Relation ignored{};
      if (made.relation.is_constant() && !relation_from(made.relation.constant(), ignored))
        error(relation->place, "unknown relation " + in_quotes(made.relation.constant()) + "; expected gt, ge, lt, le, eq or ne");
    }
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

std::optional<std::string> problem_with_sender(std::string_view from) {
  const mail::AddressList list = mail::parse_address_list(from);
  if (!list.grouped && !list.cut && list.addresses.size() == 1 && list.addresses.front().valid) return std::nullopt;
  return "\"" + base::printable(from, 80) + "\" is not one mail address";
}

std::optional<std::string> mailbox_name(std::string_view text, std::string_view separators, std::string& problem) {
  constexpr std::size_t kLongest = 1000, kDeepest = 32;
  const auto refuse = [&](std::string_view why) {
    problem = "mailbox name " + in_quotes(text) + " " + std::string(why);
    return std::nullopt;
  };
  if (text.empty()) return refuse("is empty");
  if (text.size() > kLongest) return refuse("is longer than 1000 bytes");
  if (!base::is_utf8(text)) return refuse("is not valid UTF-8");
  if (std::any_of(text.begin(), text.end(), base::is_control)) return refuse("has a control character");
  if (separators.find('/') == std::string_view::npos && text.find('/') != std::string_view::npos) return refuse("has a \"/\"; its parts stand between \".\" here");
  std::string name(text);
  if (separators.find('.') != std::string_view::npos) std::replace(name.begin(), name.end(), '.', '/');
  const auto parts = base::split(name, '/');
  if (parts.size() > kDeepest) return refuse("has more than 32 parts");
  for (const std::string_view part : parts) {
    if (part.empty()) return refuse("has an empty part");
    if (part == "." || part == "..") return refuse("has a part \".\" or \"..\"");
  }
  if (base::equal_ignoring_case(parts.front(), "INBOX")) name.replace(0, 5, "INBOX");
  return name;
}

std::string list_name(std::string_view name) {
  for (const std::string_view beginning : {std::string_view(":addrbook:"), kAddressBooks})
    if (base::starts_with_ignoring_case(name, beginning)) return std::string(kAddressBooks) + base::lower(name.substr(beginning.size()));
  return std::string(name);
}

// ---- the public face

Compiled compile(std::string_view source, const CompileOptions& options) {
  Builder builder(options);
  builder.script({}, source);
  return builder.take();
}

std::string_view to_string(ScriptPlace place) { return place == ScriptPlace::personal ? "personal" : "global"; }

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

std::vector<Capability> capabilities(std::uint32_t abilities) {
  std::vector<Capability> made;
  for (const Capability& capability : capabilities())
    for (const Extension* extension : extensions())
      if (extension->name == capability.name && (extension->needs & ~abilities) == 0) made.push_back(capability);
  return made;
}

ProgramFacts facts(const Program& program) {
  ProgramFacts found;
  found.can_reject = program.can_reject;
  found.asks_lists = program.asks_lists;
  found.instructions = program.instructions.size();
  found.bytes = program.instructions.size() * sizeof(Instruction) + program.steps.size() * 256 + program.regex_bytes;
  return found;
}

}  // namespace postern::sieve
