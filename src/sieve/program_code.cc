// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include "sieve/program_code.h"

#include "sieve/archive.h"
#include "sieve/digest.h"
#include "sieve/extensions.h"
#include "sieve/program.h"

#include <algorithm>
#include <map>
#include <utility>

namespace postern::sieve {

namespace {

constexpr std::string_view kMagic = "PSTNPROG";

// A command or test of the table, by name.
struct DefinitionName {
  std::string extension, name;
  bool is_test = false;
  void carry(Archive& archive) { archive(extension, name, is_test); }
};

template <class Callback>
void for_each_definition(Callback callback) {
  for (const Extension* extension : extensions()) {
    for (const Definition& definition : extension->commands) callback(*extension, definition, false);
    for (const Definition& definition : extension->tests) callback(*extension, definition, true);
  }
}

const Definition* definition_named(const DefinitionName& name) {
  const Definition* found = nullptr;
  for_each_definition([&](const Extension& extension, const Definition& definition, bool is_test) {
    if (definition.name == name.name && is_test == name.is_test && extension.name == name.extension) found = &definition;
  });
  return found;
}

std::optional<DefinitionName> name_of(const Definition* wanted) {
  std::optional<DefinitionName> found;
  for_each_definition([&](const Extension& extension, const Definition& definition, bool is_test) {
    if (&definition == wanted) found = {std::string(extension.name), std::string(definition.name), is_test};
  });
  return found;
}

void carry_unit(Archive& archive, Program::Unit& unit) {
  archive(unit.name, unit.first, unit.variables, unit.uses_match_values, unit.loop_depth, unit.rules);
}

// What a step refers to in the unit that it belongs to.
struct StepNeeds {
  std::size_t variables = 0;
  std::vector<std::uint32_t> units;
};

// What the interpreter takes for granted.
class Verifier {
 public:
  Verifier(const Program& program, const std::vector<StepNeeds>& needs) : program_(program), needs_(needs) {}

  bool holds() {
    const std::size_t size = program_.instructions.size();
    if (program_.units.empty() || size == 0) return false;
    std::vector<std::uint32_t> order(program_.units.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return program_.units[a].first < program_.units[b].first; });
    for (std::size_t i = 0; i < order.size(); ++i) {
      const std::size_t first = program_.units[order[i]].first;
      const std::size_t end = i + 1 < order.size() ? program_.units[order[i + 1]].first : size;
      if ((i == 0 && first != 0) || first >= end || end > size || !unit_holds(order[i], first, end)) return false;
    }
    return true;
  }

 private:
  using Operation = Instruction::Operation;
  static constexpr std::size_t kNoTarget = SIZE_MAX;
  struct Open {
    std::uint32_t step = 0;
    std::size_t begin = 0, leave = 0;
  };

  [[nodiscard]] bool is_block(std::uint32_t step) const { return dynamic_cast<const BlockStep*>(program_.steps[step].get()) != nullptr; }
  // An included script was compiled before the one that includes it: so no circle can be.
  [[nodiscard]] bool step_holds(std::uint32_t step, std::uint32_t unit) const {
    return step < program_.steps.size() && needs_[step].variables <= program_.units[unit].variables.size() &&
           std::all_of(needs_[step].units.begin(), needs_[step].units.end(),
                       [&](std::uint32_t included) { return program_.units[included].first < program_.units[unit].first; });
  }

  bool unit_holds(std::uint32_t unit, std::size_t first, std::size_t end) {
    const auto& code = program_.instructions;
    open_.clear();
    jumps_.clear();
    depths_.assign(end - first, 0);
    for (std::size_t at = first; at < end; ++at) {
      const Instruction& instruction = code[at];
      depths_[at - first] = open_.size();
      switch (instruction.operation) {
        case Operation::step:
          if (!step_holds(instruction.argument, unit) || is_block(instruction.argument)) return false;
          break;
        case Operation::enter: {
          if (!step_holds(instruction.argument, unit) || !is_block(instruction.argument) || at + 1 >= end || code[at + 1].operation != Operation::jump_if_false) return false;
          const std::size_t leave = code[at + 1].argument;
          if (leave <= at + 1 || leave >= end || code[leave].operation != Operation::leave || code[leave].argument != instruction.argument) return false;
          if (!open_.empty() && leave >= open_.back().leave) return false;
          open_.push_back({instruction.argument, at + 2, leave});
          break;
        }
        case Operation::again:
          if (open_.empty() || open_.back().step != instruction.argument || at + 2 != open_.back().leave || code[at + 1].operation != Operation::jump_if_true ||
              code[at + 1].argument != open_.back().begin)
            return false;
          // The jump back: whoever came to it without the step in front would go round for ever and spend nothing.
          depths_[++at - first] = kNoTarget;
          break;
        case Operation::leave:
          if (open_.empty() || open_.back().leave != at) return false;
          open_.pop_back();
          break;
        case Operation::jump:
        case Operation::jump_if_true:
        case Operation::jump_if_false:
          // Forward, so that whatever runs comes to an end or spends steps.
          if (instruction.argument <= at || instruction.argument >= end) return false;
          jumps_.emplace_back(at, instruction.argument);
          break;
        case Operation::need:
          if (instruction.argument >= program_.capabilities.size()) return false;
          break;
        case Operation::negate:
        case Operation::set_true:
        case Operation::set_false:
        case Operation::finish:
        case Operation::stop: break;
      }
    }
    if (!open_.empty() || (code[end - 1].operation != Operation::finish && code[end - 1].operation != Operation::stop)) return false;
    // No jump leads into a block or out of one: between its ends nothing is less deep.
    return std::all_of(jumps_.begin(), jumps_.end(), [&](const auto& jump) {
      const std::size_t depth = depths_[jump.first - first];
      return depths_[jump.second - first] == depth &&
             (depth == 0 || std::all_of(depths_.begin() + static_cast<std::ptrdiff_t>(jump.first - first), depths_.begin() + static_cast<std::ptrdiff_t>(jump.second - first),
                                        [depth](std::size_t between) { return between >= depth; }));
    });
  }

  const Program& program_;
  const std::vector<StepNeeds>& needs_;
  std::vector<Open> open_;
  std::vector<std::pair<std::size_t, std::size_t>> jumps_;
  std::vector<std::size_t> depths_;
};

// Everything in front of the steps.
void carry_head(Archive& archive, Program& program) {
  std::size_t units = program.units.size();
  archive.count(units);
  program.units.resize(units);
  for (Program::Unit& unit : program.units) carry_unit(archive, unit);
  archive(program.global_variables, program.capabilities, program.field_names, program.lists, program.asks_lists, program.can_reject);
  archive.set_shape({program.units.size(), program.global_variables.size(), program.capabilities.size(), program.field_names.size()});
}

void carry_code(Archive& archive, std::vector<Instruction>& code) {
  std::size_t number = code.size();
  archive.count(number);
  code.resize(number);
  for (Instruction& instruction : code) {
    archive.choice(instruction.operation, Instruction::Operation::stop);
    archive(instruction.argument);
  }
}

// A new limit must be named in program_key(): a program that was compiled under another one may not be what is wanted.
static_assert(sizeof(CompileLimits) == 15 * sizeof(std::size_t) && sizeof(Limits) == 23 * 8 + 2 * sizeof(std::vector<std::string>) + sizeof(std::string));

// `text` grows by each number and what ends it.
class KeyText {
 public:
  template <class... Numbers>
  void operator()(Numbers... numbers) {
    ((text += std::to_string(numbers) + ","), ...);
  }
  std::string text;
};

}  // namespace

std::optional<std::string> encode_program(const Program& program) {
  std::string bytes(kMagic);
  Archive archive(bytes);
  std::uint32_t version = kProgramVersion;
  archive(version);

  std::vector<DefinitionName> names;
  std::map<const Definition*, std::uint32_t> numbers;
  for (const auto& step : program.steps) {
    if (step->definition == nullptr || step->definition->compile.make == nullptr) return std::nullopt;
    if (numbers.contains(step->definition)) continue;
    auto name = name_of(step->definition);
    if (!name) return std::nullopt;
    numbers.emplace(step->definition, static_cast<std::uint32_t>(names.size()));
    names.push_back(std::move(*name));
  }
  archive(names);
  // Steps are carried as they stand; the rest of a program, which is as constant, is copied to go the same way.
  Program head;
  head.units = program.units;
  head.global_variables = program.global_variables;
  head.capabilities = program.capabilities;
  head.field_names = program.field_names;
  head.lists = program.lists;
  head.asks_lists = program.asks_lists;
  head.can_reject = program.can_reject;
  carry_head(archive, head);
  std::size_t steps = program.steps.size();
  archive.count(steps);
  for (const auto& step : program.steps) {
    std::uint32_t number = numbers.at(step->definition);
    archive(number, step->place.line, step->place.column);
    step->carry(archive);
  }
  std::vector<Instruction> code = program.instructions;
  carry_code(archive, code);
  return bytes;
}

std::shared_ptr<const Program> decode_program(std::string_view bytes, const CompileOptions& options) {
  if (!bytes.starts_with(kMagic)) return nullptr;
  bytes.remove_prefix(kMagic.size());
  Archive archive(bytes, options.run_limits, options.limits.regex_bytes);
  std::uint32_t version = 0;
  archive(version);
  if (version != kProgramVersion) return nullptr;
  std::vector<DefinitionName> names;
  archive(names);
  std::vector<const Definition*> definitions;
  for (const DefinitionName& name : names) {
    const Definition* definition = definition_named(name);
    if (definition == nullptr || definition->compile.make == nullptr) return nullptr;
    definitions.push_back(definition);
  }
  auto program = std::make_shared<Program>();
  carry_head(archive, *program);
  std::size_t steps = 0;
  archive.count(steps);
  std::vector<StepNeeds> needs;
  for (std::size_t i = 0; i < steps && !archive.failed(); ++i) {
    std::uint32_t number = 0;
    archive.reference(number, definitions.size());
    if (archive.failed()) return nullptr;
    auto step = definitions[number]->compile.make();
    step->definition = definitions[number];
    step->name = definitions[number]->name;
    archive(step->place.line, step->place.column);
    step->carry(archive);
    needs.push_back({archive.take_variables(), archive.take_units()});
    program->steps.push_back(std::move(step));
  }
  // A list that is gone is a mistake of the script, which has to be told.
  for (const std::string& list : program->lists)
    if (!options.list_exists || !options.list_exists(list)) return nullptr;
  carry_code(archive, program->instructions);
  if (archive.failed() || !archive.at_end() || !Verifier(*program, needs).holds()) return nullptr;
  return program;
}

std::string program_key(std::string_view source, const CompileOptions& options) {
  const CompileLimits& compile = options.limits;
  const Limits& run = options.run_limits;
  KeyText key;
  key(kProgramVersion, options.system_script ? 1 : 0, options.abilities);
  key(compile.script_bytes, compile.string_bytes, compile.commands, compile.nesting, compile.arguments, compile.list_items, compile.mistakes, compile.includes,
      compile.include_depth, compile.variables, compile.variable_name_bytes, compile.script_name_bytes, compile.loop_nesting, compile.regex_bytes, compile.program_bytes);
  key(run.steps, run.cpu_time.count(), run.memory_bytes, run.actions, run.redirects, run.notifications, run.variable_bytes, run.match_values, run.body_part_bytes,
      run.body_bytes, run.header_edits, run.header_value_bytes, run.regex_program_bytes, run.text_bytes, run.regex_text_bytes, run.regex_work, run.list_lookups, run.list_value_bytes,
      run.vacation_default.count(), run.vacation_least.count(), run.vacation_most.count(), run.duplicate_default.count(), run.duplicate_most.count());
  std::vector<std::string_view> texts = {PACKAGE_VERSION, key.text, run.mailbox_separators, source};
  for (const auto* names : {&run.fields_not_added, &run.fields_not_deleted}) {
    texts.emplace_back("fields");
    texts.insert(texts.end(), names->begin(), names->end());
  }
  return digest(texts, 32);
}

}  // namespace postern::sieve
