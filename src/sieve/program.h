// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the compiler makes and the interpreter runs: a flat list of instructions with jumps, so that neither nesting nor the
// number of commands costs stack. Immutable and free of anything that belongs to one run.
#include "sieve/tree.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

class Run;

// A test or an action with its arguments, made by the extension that knows it.
class Step {
 public:
  Step() = default;
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;
  virtual ~Step() = default;
  // A test returns its result; an action true. A mistake at run time goes to run.fail().
  virtual bool perform(Run& run) const = 0;

  Place place;
  std::string name;
};

// A string of the script. With `variables` it may hold references, which are filled in when it is used.
class Text {
 public:
  struct Piece {
    enum class Kind { literal, variable, match_value } kind = Kind::literal;
    std::string literal;
    std::uint32_t number = 0;      // of the variable or the match value
  };
  Text() = default;
  explicit Text(std::string constant) : constant_(std::move(constant)) {}
  explicit Text(std::vector<Piece> pieces) : pieces_(std::move(pieces)) {}

  [[nodiscard]] bool is_constant() const { return pieces_.empty(); }
  [[nodiscard]] const std::string& constant() const { return constant_; }
  // The value in this run; `scratch` holds it if it had to be put together.
  std::string_view value(const Run& run, std::string& scratch) const;

 private:
  std::string constant_;
  std::vector<Piece> pieces_;
};

struct Instruction {
  enum class Operation : std::uint8_t { step, jump, jump_if_true, jump_if_false, negate, set_true, set_false, stop };
  Operation operation = Operation::stop;
  std::uint32_t argument = 0;      // number of the step, or of the instruction to go on with
};

class Program {
 public:
  std::vector<Instruction> instructions;
  std::vector<std::unique_ptr<const Step>> steps;
  std::vector<std::string> variables;    // their names
  bool uses_match_values = false;        // `variables` is required: successful :matches tests fill ${0}, ${1} …
  bool can_reject = false;
};

}  // namespace postern::sieve
