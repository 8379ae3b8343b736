// SPDX-License-Identifier: Apache-2.0
#include "sieve/run.h"

#include "sieve/interpreter.h"

#include <ctime>

#include <algorithm>

namespace postern::sieve {

namespace {

constexpr std::uint64_t kStepsBetweenClocks = 1024;

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

// Both put the message into the same mailbox, or do the same otherwise.
bool same_effect(const Action& a, const Action& b) {
  const auto files = [](const Action& action) { return action.kind == Action::Kind::keep || action.kind == Action::Kind::fileinto; };
  const auto mailbox = [](const Action& action) { return action.kind == Action::Kind::keep ? std::string_view("INBOX") : std::string_view(action.target); };
  if (files(a) && files(b)) return mailbox(a) == mailbox(b);
  return a.kind == b.kind && a.target == b.target;
}

}  // namespace

std::string to_string(const Action& action) {
  std::string out;
  switch (action.kind) {
    case Action::Kind::keep: out = action.implicit ? "keep (implicit)" : "keep"; break;
    case Action::Kind::fileinto: out = "fileinto " + quoted(action.target); break;
    case Action::Kind::redirect: out = "redirect " + quoted(action.target); break;
    case Action::Kind::discard: out = "discard"; break;
    case Action::Kind::jettison: out = "jettison"; break;
  }
  if (action.copy) out += " :copy";
  if (action.create) out += " :create";
  if (!action.flags.empty()) {
    out += " :flags [";
    for (std::size_t i = 0; i < action.flags.size(); ++i) out += (i == 0 ? "" : ", ") + quoted(action.flags[i]);
    out += "]";
  }
  return out;
}

Run::Run(const Program& program, const mail::MessageView& message, const EnvelopeView& envelope, Host& host, const Limits& limits, Mode mode)
    : program_(program), message_(message), envelope_(envelope), host_(host), limits_(limits), mode_(mode), variables_(program.variables.size()) {
  started_ = cpu_clock();
  next_clock_ = kStepsBetweenClocks;
}

std::chrono::nanoseconds Run::cpu_clock() const {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

bool Run::spend(std::uint64_t steps) {
  if (failed()) return false;
  outcome_.steps_used += steps;
  if (outcome_.steps_used > limits_.steps) {
    outcome_.over_limit = true;
    fail("script used up its " + std::to_string(limits_.steps) + " steps");
    return false;
  }
  if (outcome_.steps_used >= next_clock_) {
    next_clock_ = outcome_.steps_used + kStepsBetweenClocks;
    if (cpu_clock() - started_ > limits_.cpu_time) {
      outcome_.over_limit = true;
      fail("script used up its " + std::to_string(limits_.cpu_time.count()) + " ms of CPU time");
      return false;
    }
  }
  return true;
}

void Run::fail(std::string text) {
  if (failed()) return;
  outcome_.error = current_ != nullptr ? RuntimeError{current_->place.line, current_->place.column, std::move(text)} : RuntimeError{0, 0, std::move(text)};
}

void Run::act(Action action) {
  if (current_ != nullptr) {
    action.line = current_->place.line;
    action.column = current_->place.column;
  }
  if (mode_ == Mode::restricted && action.kind != Action::Kind::jettison) return;
  if (!action.copy) {
    outcome_.implicit_keep = false;
    outcome_.decided_explicitly = true;
  }
  for (Action& earlier : outcome_.actions) {
    if (!same_effect(earlier, action)) continue;
    // The order is that of the first mention; the last flags win (RFC 5232 section 4).
    if (action.kind == Action::Kind::keep) earlier.kind = Action::Kind::keep, earlier.target.clear();
    earlier.copy = earlier.copy && action.copy;
    earlier.create = earlier.create || action.create;
    earlier.flags = std::move(action.flags);
    return;
  }
  if (outcome_.actions.size() >= limits_.actions) return fail("script asks for more than " + std::to_string(limits_.actions) + " actions");
  if (action.kind == Action::Kind::redirect && ++redirects_ > limits_.redirects)
    return fail("script redirects to more than " + std::to_string(limits_.redirects) + " addresses");
  outcome_.actions.push_back(std::move(action));
}

void Run::set_variable(std::uint32_t number, std::string value) {
  // Cut on a character's border: RFC 5229 section 3 leaves it to us, and half a character is no text.
  if (value.size() > limits_.variable_bytes) {
    std::size_t end = limits_.variable_bytes;
    while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xc0) == 0x80) --end;
    value.resize(end);
  }
  variables_[number] = std::move(value);
}

std::string_view Run::match_value(std::uint32_t number) const {
  return number < match_values_.size() ? std::string_view(match_values_[number]) : std::string_view();
}

void Run::set_match_values(std::vector<std::string> values) { match_values_ = std::move(values); }

void Run::loop() {
  const auto& code = program_.instructions;
  const bool traced = host_.wants_trace();
  bool truth = false;
  for (std::size_t at = 0; at < code.size();) {
    const Instruction& instruction = code[at++];
    switch (instruction.operation) {
      case Instruction::Operation::step:
        current_ = program_.steps[instruction.argument].get();
        if (!spend(1)) return;
        truth = current_->perform(*this);
        if (text_too_long_) fail("a text with variables in it is longer than " + std::to_string(kMostTextBytes) + " bytes");
        if (failed()) return;
        if (traced) host_.trace(current_->place.line, current_->place.column, current_->name + (truth ? ": true" : ": false"));
        break;
      case Instruction::Operation::jump: at = instruction.argument; break;
      case Instruction::Operation::jump_if_true:
        if (truth) at = instruction.argument;
        break;
      case Instruction::Operation::jump_if_false:
        if (!truth) at = instruction.argument;
        break;
      case Instruction::Operation::negate: truth = !truth; break;
      case Instruction::Operation::set_true: truth = true; break;
      case Instruction::Operation::set_false: truth = false; break;
      case Instruction::Operation::stop: return;
    }
  }
}

Outcome Run::finish() {
  loop();
  outcome_.cpu_used = std::chrono::duration_cast<std::chrono::microseconds>(cpu_clock() - started_);
  if (failed()) {
    outcome_.actions.clear();
    outcome_.decided_explicitly = false;
    outcome_.implicit_keep = true;
  } else if (outcome_.implicit_keep) {
    outcome_.keep_flags = flags;
  }
  return std::move(outcome_);
}

Outcome run(const Program& program, const mail::MessageView& message, const EnvelopeView& envelope, Host& host, const Limits& limits, Mode mode) {
  return Run(program, message, envelope, host, limits, mode).finish();
}

std::string_view Text::value(const Run& run, std::string& scratch) const {
  if (is_constant()) return constant_;
  scratch.clear();
  for (const Piece& piece : pieces_) {
    std::string_view part = piece.literal;
    if (piece.kind == Piece::Kind::variable) part = run.variable(piece.number);
    if (piece.kind == Piece::Kind::match_value) part = run.match_value(piece.number);
    // A reference takes four bytes of script and may stand for a whole header field.
    if (scratch.size() + part.size() > Run::kMostTextBytes) {
      run.note_long_text();
      break;
    }
    scratch += part;
  }
  return scratch;
}

}  // namespace postern::sieve
