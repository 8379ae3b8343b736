// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the compiler makes and the interpreter runs: a flat list of instructions with jumps, so that neither nesting nor the
// number of commands costs stack. Immutable and free of anything that belongs to one run.
#include "sieve/rule_place.h"
#include "sieve/tree.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

class Run;
class Archive;
struct Definition;

// A test or an action with its arguments, made by the extension that knows it.
class Step {
 public:
  Step() = default;
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  virtual ~Step() = default;
  // A test returns its result; an action true. A mistake at run time goes to run.fail().
  virtual bool perform(Run& run) const = 0;
  // All that perform() needs, to or from the bytes of a program that is kept (archive.h). A new member here, or another meaning
  // of one, is another kProgramVersion (program_code.h).
  virtual void carry(Archive& archive) = 0;
  // For whoever follows the program without running it: that it refuses the message; that nothing behind it runs in this script; the unit
  // that it calls.
  [[nodiscard]] virtual bool rejects() const { return false; }
  [[nodiscard]] virtual bool ends_script() const { return false; }
  [[nodiscard]] virtual std::optional<std::uint32_t> called_unit() const { return std::nullopt; }

  Place place;
  std::string name;
  const Definition* definition = nullptr;
};

// What a command with a block keeps while its block runs.
class BlockState {
 public:
  BlockState() = default;
  BlockState(const BlockState&) = delete;
  BlockState& operator=(const BlockState&) = delete;
  virtual ~BlockState() = default;
};

// A command with a block of its own (Definition::has_block).
class BlockStep : public Step {
 public:
  bool perform(Run&) const final { return true; }
  // Whether the block is to run at all; `state` is kept until leave().
  virtual bool enter(Run& run, std::unique_ptr<BlockState>& state) const = 0;
  // Whether it is to run once more.
  virtual bool again(Run& /*run*/, BlockState* /*state*/) const { return false; }
  // The block is behind us, whichever way it was left (not after a run-time error or a stop).
  virtual void leave(Run& /*run*/, BlockState* /*state*/) const {}
};

// Variables are numbered in each script; those with this bit are the global ones of `include`.
inline constexpr std::uint32_t kGlobalVariable = 0x80000000;

// A string of the script. With `variables` it may hold references, which are filled in when it is used.
class Text {
 public:
  struct Piece {
    enum class Kind { literal, variable, match_value } kind = Kind::literal;
    std::string literal;
    std::uint32_t number = 0;      // of the variable or the match value
    void carry(Archive& archive);
  };
  Text() = default;
  explicit Text(std::string constant) : constant_(std::move(constant)) {}
  explicit Text(std::vector<Piece> pieces) : pieces_(std::move(pieces)) {}

  [[nodiscard]] bool is_constant() const { return pieces_.empty(); }
  [[nodiscard]] const std::string& constant() const { return constant_; }
  // The value in this run; `scratch` holds it if it had to be put together.
  std::string_view value(const Run& run, std::string& scratch) const;
  [[nodiscard]] std::string value(const Run& run) const;
  void carry(Archive& archive);

 private:
  std::string constant_;
  std::vector<Piece> pieces_;
};

struct Instruction {
  enum class Operation : std::uint8_t {
    step, jump, jump_if_true, jump_if_false, negate, set_true, set_false,
    enter,        // a BlockStep; a jump_if_false to its `leave` follows
    again, leave, // of the same step
    need,         // a capability that only `ihave` can have made available; argument: its number
    finish,       // end of a script: back to the one that includes it
    stop,         // end of all
  };
  Operation operation = Operation::stop;
  std::uint32_t argument = 0;      // number of the step, or of the instruction to go on with
};

class Program {
 public:
  // The script itself is the first unit; every included one is one more.
  struct Unit {
    std::string name;                    // empty: the script itself
    std::uint32_t first = 0;             // instruction
    std::vector<std::string> variables;  // their names
    bool uses_match_values = false;      // `variables` is required: successful :matches tests fill ${0}, ${1} …
    std::size_t loop_depth = 0;          // of loops in it, with those of what it includes
    std::vector<RuleBegin> rules;        // that it is made of
  };
  std::vector<Unit> units;
  std::vector<Instruction> instructions;
  std::vector<std::unique_ptr<Step>> steps;
  std::vector<std::string> global_variables;
  std::vector<std::string> capabilities; // that `ihave` asked for and `need` may check
  std::vector<std::string> field_names;  // of header fields that tests name as constants
  std::vector<std::string> lists;        // external lists (RFC 6134) that it names as constants, in full
  bool asks_lists = false;               // these, or others by a variable
  bool can_reject = false;               // some way through it leads to a step that rejects
  std::size_t regex_bytes = 0;           // of its constant regular expressions, with what searches keep of them
};

}  // namespace postern::sieve
