// SPDX-License-Identifier: Apache-2.0
#pragma once
// How one program of the master is executed in the place of another (upgrade): the arguments that say so, and the way back.
//
// Marks among the arguments; all others stay as the administrator gave them:
//   --check-upgrade=TEXT        dry start: could you go on from this? Exit status 0: yes; else the reason on standard error.
//   --take-over=TEXT,PROGRAM    you are the master now; if you can't, execute PROGRAM again
//   --taken-back=TEXT,WHY       you are the master again, because the other program failed
// TEXT and PROGRAM are numbers of open descriptors (hand_over.h).
#include <string>
#include <vector>

namespace postern::master {

struct Execution {
  enum class Kind { none, check, take_over, taken_back } kind = Kind::none;
  int text = -1, program = -1;
  std::string why;
  std::vector<std::string> arguments;  // without the mark
};
// Kind::none: no mark, an ordinary start. A mark that is malformed counts as none: the option is then unknown.
Execution execution_of(const std::vector<std::string>& arguments);
// The reverse: what the next program is executed with.
std::vector<std::string> arguments_for(const Execution& execution);

// As execve(2), by descriptor. Returns only if it failed, with errno.
int execute_program(int program, const std::vector<std::string>& arguments);

// Orders by signal wait from here until unblock_orders(), also over an execution.
void block_orders();
void unblock_orders();

// From arm() to release(), whatever ends the process executes the program before it again: a fault, an assertion, the time limit,
// or an error that its caller brings to go(). One a process; nothing may have been changed yet that the other needs.
namespace way_back {
void arm(const Execution& execution);
[[nodiscard]] bool armed();
[[noreturn]] void go(const std::string& why);
void release();
}  // namespace way_back

}  // namespace postern::master
