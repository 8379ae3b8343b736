// SPDX-License-Identifier: Apache-2.0
#include "sieve/run.h"

#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/interpreter.h"
#include "sieve/lexer.h"

#include <ctime>

#include <algorithm>
#include <array>

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

bool stores(const Action& action) { return action.kind == Action::Kind::keep || action.kind == Action::Kind::fileinto; }
bool rejects(const Action& action) {
  return action.kind == Action::Kind::reject || action.kind == Action::Kind::ereject || action.kind == Action::Kind::refuse;
}

// The copy of what it generates goes into a mailbox (RFC 8580).
bool makes_copy(const Action& action) {
  return (action.vacation && action.vacation->copy) || (action.notification && action.notification->copy);
}

// Both put the message into the same mailbox, or do the same otherwise.
bool same_effect(const Action& a, const Action& b) {
  const auto mailbox = [](const Action& action) { return action.kind == Action::Kind::keep ? std::string_view("INBOX") : std::string_view(action.target); };
  if (stores(a) && stores(b)) return mailbox(a) == mailbox(b);
  if (a.kind == Action::Kind::notify || a.kind == Action::Kind::vacation || rejects(a)) return false;
  return a.kind == b.kind && a.target == b.target;
}

// Marks and copies work at the side of what is decided (access-control.md 6.2).
bool decides(const Action& action) {
  switch (action.kind) {
    case Action::Kind::vacation:
    case Action::Kind::notify:
    case Action::Kind::capture: return false;
    default: return !action.copy;
  }
}

}  // namespace

std::string_view to_string(Action::Kind kind) {
  constexpr std::array<std::string_view, 12> kNames = {"keep", "fileinto", "redirect", "discard", "jettison", "reject", "ereject", "refuse", "vacation", "notify", "hold", "capture"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string to_string(const Action& action) {
  std::string out(to_string(action.kind));
  if (action.implicit) out += " (implicit)";
  if (!action.target.empty()) out += " " + quoted(action.target);
  if (!action.reason.empty()) out += " " + quoted(action.reason);
  if (action.notification) out += " " + quoted(action.notification->method);
  if (action.copy) out += " :copy";
  if (action.create) out += " :create";
  if (!action.special_use.empty()) out += " :specialuse " + quoted(action.special_use);
  if (!action.flags.empty()) {
    out += " :flags [";
    for (std::size_t i = 0; i < action.flags.size(); ++i) out += (i == 0 ? "" : ", ") + quoted(action.flags[i]);
    out += "]";
  }
  return out;
}

std::string shown_place(const Action& action) {
  if (action.line == 0) return {};
  return (action.script.empty() ? "" : "included script " + quoted(action.script) + ", ") + shown_place(action.rule, action.line);
}

std::chrono::sys_seconds Host::now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

std::chrono::minutes Host::zone(std::chrono::sys_seconds time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm local{};
  if (localtime_r(&seconds, &local) == nullptr) return std::chrono::minutes(0);
  return std::chrono::minutes(local.tm_gmtoff / 60);
}

Run::Run(const Program& program, Message& message, const EnvelopeView& envelope, Host& host, const Limits& limits, const RunOptions& options)
    : program_(program), message_(message), envelope_(envelope), host_(host), limits_(limits), mode_(options.mode), earlier_(options.earlier), earlier_adjustment_(options.spam_adjustment), before_(message.state()), clock_(options.cpu_clock),
      called_(program.units.size()), available_(program.capabilities.size()), globals_(program.global_variables.size()) {
  if (options.continued != nullptr) {
    outcome_ = *options.continued;
    outcome_.steps_used = 0;
    outcome_.error.reset();
  }
  started_ = cpu_clock();
  next_clock_ = kStepsBetweenClocks;
  push_frame(0, 0);
  at_ = program_.units.front().first;
}

std::chrono::nanoseconds thread_cpu_time() {
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

bool Run::take_memory(std::size_t bytes) {
  if (failed()) return false;
  memory_ += bytes;
  if (memory_ <= limits_.memory_bytes) return true;
  outcome_.over_limit = true;
  fail("script used up its " + std::to_string(limits_.memory_bytes) + " bytes of memory");
  return false;
}

void Run::fail(std::string text) {
  if (failed()) return;
  text = readable(std::move(text));
  outcome_.error = current_ != nullptr ? RuntimeError{current_->place.line, current_->place.column, std::move(text), program_.units[frames_.back().unit].name, rule_of(*current_)}
                                       : RuntimeError{0, 0, std::move(text), {}};
}

void Run::note(const std::string& text) { say(&Host::note, current_, readable(text)); }

void Run::say(void (Host::*where)(int, int, const std::string&), const Step* step, const std::string& text) {
  if (step == nullptr) return (host_.*where)(0, 0, text);
  const RulePlace rule = rule_of(*step);
  if (rule.name.empty()) (host_.*where)(step->place.line, step->place.column, text);
  else (host_.*where)(rule.line, step->place.column, "rule \"" + rule.name + "\": " + text);
}

void Run::act(Action action) {
  if (current_ != nullptr) {
    action.line = current_->place.line;
    action.rule = rule_of(*current_);
    action.script = program_.units[frames_.back().unit].name;
    action.column = current_->place.column;
  }
  if (mode_ == Mode::restricted && action.kind != Action::Kind::jettison && action.kind != Action::Kind::capture) return;
  const auto& actions = outcome_.actions;
  const auto any = [&](auto matches) { return std::any_of(actions.begin(), actions.end(), matches); };
  // RFC 5429 section 2.1: a message is refused or taken, never both; and not by vacation either.
  const auto takes = [](const Action& one) { return stores(one) || one.kind == Action::Kind::redirect || one.kind == Action::Kind::vacation; };
  if ((rejects(action) && any(takes)) || (takes(action) && any(rejects)))
    return fail(std::string(to_string(action.kind)) + " can't be combined with " +
                std::string(to_string(std::find_if(actions.begin(), actions.end(), [&](const Action& one) { return rejects(action) ? takes(one) : rejects(one); })->kind)));
  if (rejects(action) && any(rejects)) return fail("the message is rejected twice");
  if (action.kind == Action::Kind::vacation && any([](const Action& one) { return one.kind == Action::Kind::vacation; }))
    return fail("vacation may be used only once");

  if (decides(action)) {
    outcome_.implicit_keep = false;
    outcome_.decided_explicitly = true;
  }
  for (Action& earlier : outcome_.actions) {
    if (!same_effect(earlier, action)) continue;
    // The order is that of the first mention; the last flags win (RFC 5232 section 4). An edited message is the same message.
    if (action.kind == Action::Kind::keep) earlier.kind = Action::Kind::keep, earlier.target.clear();
    earlier.copy = earlier.copy && action.copy;
    earlier.create = earlier.create || action.create;
    if (earlier.special_use.empty()) earlier.special_use = std::move(action.special_use);
    earlier.flags = std::move(action.flags);
    return;
  }
  // RFC 8580: the copy of a generated message counts, too.
  const auto number = [](const std::vector<Action>& of) {
    return of.size() + static_cast<std::size_t>(std::count_if(of.begin(), of.end(), makes_copy));
  };
  const std::size_t before = number(actions) + (earlier_ != nullptr ? number(*earlier_) : 0);
  if (limits_.actions > 0 && before + (makes_copy(action) ? 2 : 1) > limits_.actions) return fail("total number of actions exceeds policy limit (" + std::to_string(limits_.actions) + ")");
  const auto count = [&](Action::Kind kind) {
    const auto same = [&](const Action& one) { return one.kind == kind; };
    const auto own = std::count_if(actions.begin(), actions.end(), same);
    return static_cast<std::size_t>(own + (earlier_ != nullptr ? std::count_if(earlier_->begin(), earlier_->end(), same) : 0));
  };
  if (action.kind == Action::Kind::redirect) {
    if (limits_.redirects == 0) return fail("local policy prohibits the use of a redirect action");
    if (count(Action::Kind::redirect) >= limits_.redirects) return fail("number of redirect actions exceeds policy limit (" + std::to_string(limits_.redirects) + ")");
  }
  if (action.kind == Action::Kind::notify) {
    if (limits_.notifications == 0) return fail("local policy prohibits the use of a notify action");
    if (count(Action::Kind::notify) >= limits_.notifications) return fail("number of notify actions exceeds policy limit (" + std::to_string(limits_.notifications) + ")");
  }
  if (stores(action) || action.kind == Action::Kind::redirect || action.kind == Action::Kind::capture || action.kind == Action::Kind::hold) action.message = message_.version();
  outcome_.actions.push_back(std::move(action));
}

void Run::set_outcome(Outcome outcome) {
  const auto steps = outcome_.steps_used;
  outcome_ = std::move(outcome);
  outcome_.error.reset();
  outcome_.steps_used = steps;
}

bool Run::before_edit() {
  if (mode_ == Mode::restricted) return false;
  if (++edits_ > limits_.header_edits) {
    fail("number of changes to the message exceeds policy limit (" + std::to_string(limits_.header_edits) + ")");
    return false;
  }
  if (!spend_text(message_.header().text().size()) || !take_memory(message_.header().header().bytes)) return false;
  forget_message();
  return true;
}

void Run::forget_message() {
  decoded_bodies_.clear();
  fields_named_.clear();
  message_flags_.reset();
  for (Folded& one : folded_stable_) one.of = {};
}

const std::vector<std::size_t>& Run::fields_named(std::uint32_t name) {
  if (fields_named_.empty()) fields_named_.resize(program_.field_names.size());
  auto& known = fields_named_[name];
  if (!known) {
    known.emplace();
    message_.header().find(program_.field_names[name], *known);
  }
  return *known;
}

std::string_view Run::folded_stable(std::string_view value) {
  if (value.empty()) return value;
  Folded& place = folded_stable_[(reinterpret_cast<std::uintptr_t>(value.data()) / 8 + value.size()) % folded_stable_.size()];
  if (place.of.data() != value.data() || place.of.size() != value.size()) {
    place.of = value;
    place.text.resize(value.size());
    for (std::size_t i = 0; i < value.size(); ++i) place.text[i] = base::ascii_upper(value[i]);
  }
  return place.text;
}

std::shared_ptr<const Regex> Run::regex(std::string_view pattern, LetterCase letter_case, std::string& problem) {
  constexpr std::size_t kMostKept = 64;
  const auto key = std::make_pair(std::string(pattern), letter_case);
  if (const auto found = regexes_.find(key); found != regexes_.end()) return found->second;
  if (!spend(16 + pattern.size() / 4)) return nullptr;   // compiling costs
  auto made = Regex::compile(pattern, letter_case, limits_, problem);
  if (!made) return nullptr;
  if (regexes_.size() >= kMostKept) regexes_.clear();
  regexes_.emplace(key, made);
  return made;
}

bool Run::look_up() {
  if (!spend(16)) return false;
  if (++look_ups_ <= limits_.list_lookups) return true;
  fail("number of questions to external lists exceeds policy limit (" + std::to_string(limits_.list_lookups) + ")");
  return false;
}

void Run::mark(Mark mark) {
  if (++edits_ > limits_.header_edits) return fail("number of changes to the message exceeds policy limit (" + std::to_string(limits_.header_edits) + ")");
  if (!spend_text(message_.size())) return;
  forget_message();
  apply(mark, message_);
  outcome_.marks.push_back(std::move(mark));
}

// ---- variables

std::size_t Run::variable_place(std::uint32_t number) const { return frames_.back().variables + number; }

std::string_view Run::variable(std::uint32_t number) const {
  return (number & kGlobalVariable) != 0 ? std::string_view(globals_[number & ~kGlobalVariable]) : std::string_view(variables_[variable_place(number)]);
}

void Run::set_variable(std::uint32_t number, std::string value) {
  // Cut on a character's border: RFC 5229 section 3 leaves it to us, and half a character is no text.
  if (value.size() > limits_.variable_bytes) {
    std::size_t end = limits_.variable_bytes;
    while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xc0) == 0x80) --end;
    value.resize(end);
  }
  std::string& place = (number & kGlobalVariable) != 0 ? globals_[number & ~kGlobalVariable] : variables_[variable_place(number)];
  if (value.size() > place.capacity() && !take_memory(value.size())) return;
  place = std::move(value);
}

std::string_view Run::match_value(std::uint32_t number) const {
  return number < match_values_.size() ? std::string_view(match_values_[number]) : std::string_view();
}

void Run::set_match_values(std::vector<std::string> values) { match_values_ = std::move(values); }

const std::vector<std::string>& Run::flags() {
  if (outcome_.flags) return *outcome_.flags;
  if (!message_flags_) message_flags_ = host_.message_flags();
  return *message_flags_;
}

std::chrono::sys_seconds Run::now() {
  if (!now_) now_ = host_.now();
  return *now_;
}

// ---- control

void Run::push_frame(std::uint32_t unit, std::size_t back) {
  frames_.push_back({unit, back, variables_.size(), blocks_.size()});
  variables_.resize(variables_.size() + program_.units[unit].variables.size());
  called_[unit] = true;
}

bool Run::pop_frame() {
  const Frame frame = frames_.back();
  leave_blocks_to(frame.blocks);
  if (frames_.size() == 1) return false;
  variables_.resize(frame.variables);
  frames_.pop_back();
  at_ = frame.back;
  return true;
}

void Run::call(std::uint32_t unit) {
  push_frame(unit, at_);
  at_ = program_.units[unit].first;
}

void Run::return_from_script() {
  if (!pop_frame()) stopped_ = true;
}

// Their own `leave` instructions do the rest, from the outermost one's on.
void Run::leave_blocks(std::size_t count) {
  const std::size_t open = blocks_.size() - frames_.back().blocks;
  if (count == 0 || open == 0) return;
  at_ = blocks_[blocks_.size() - std::min(count, open)].end;
}

bool Run::leave_block_of(std::string_view name) {
  for (std::size_t i = blocks_.size(); i > frames_.back().blocks; --i)
    if (blocks_[i - 1].step->name == name) {
      at_ = blocks_[i - 1].end;
      return true;
    }
  return false;
}

void Run::leave_blocks_to(std::size_t count) {
  while (blocks_.size() > count) {
    Block block = std::move(blocks_.back());
    blocks_.pop_back();
    block.step->leave(*this, block.state.get());
  }
}

void Run::loop() {
  const auto& code = program_.instructions;
  const bool traced = host_.wants_trace();
  bool truth = false;
  while (at_ < code.size() && !stopped_) {
    const Instruction& instruction = code[at_++];
    switch (instruction.operation) {
      case Instruction::Operation::step:
        current_ = program_.steps[instruction.argument].get();
        if (!spend(1)) return;
        {
          const Step* step = current_;
          truth = step->perform(*this);
          if (text_too_long_) fail("a text with variables in it is longer than " + std::to_string(limits_.text_bytes) + " bytes");
          if (failed()) return;
          if (traced) say(&Host::trace, step, step->name + (truth ? ": true" : ": false"));
        }
        break;
      case Instruction::Operation::jump: at_ = instruction.argument; break;
      case Instruction::Operation::jump_if_true:
        if (truth) at_ = instruction.argument;
        break;
      case Instruction::Operation::jump_if_false:
        if (!truth) at_ = instruction.argument;
        break;
      case Instruction::Operation::negate: truth = !truth; break;
      case Instruction::Operation::set_true: truth = true; break;
      case Instruction::Operation::set_false: truth = false; break;
      case Instruction::Operation::enter: {
        const auto* step = static_cast<const BlockStep*>(program_.steps[instruction.argument].get());
        current_ = step;
        if (!spend(1)) return;
        std::unique_ptr<BlockState> state;
        truth = step->enter(*this, state);
        blocks_.push_back({step, code[at_].argument, std::move(state)});
        if (failed()) return;
        break;
      }
      case Instruction::Operation::again:
        current_ = blocks_.back().step;
        if (!spend(1)) return;
        truth = blocks_.back().step->again(*this, blocks_.back().state.get());
        if (failed()) return;
        break;
      case Instruction::Operation::leave: {
        // Those inside that were left by a jump go with it.
        std::size_t count = blocks_.size();
        while (count > frames_.back().blocks && blocks_[count - 1].step != program_.steps[instruction.argument].get()) --count;
        leave_blocks_to(count > frames_.back().blocks ? count - 1 : count);
        if (failed()) return;
        break;
      }
      case Instruction::Operation::need:
        if (available_[instruction.argument]) break;
        fail("the capability \"" + program_.capabilities[instruction.argument] + "\" is used before an ihave test found it");
        return;
      case Instruction::Operation::finish:
        if (!pop_frame()) return;
        break;
      case Instruction::Operation::stop: return;
    }
  }
}

Outcome Run::finish() {
  loop();
  // A stop inside of blocks.
  if (!failed()) leave_blocks_to(0);
  outcome_.cpu_used = std::chrono::duration_cast<std::chrono::microseconds>(cpu_clock() - started_);
  if (failed()) {
    // The message stays as it came: sieve.md 0.2.
    Outcome error;
    error.error = std::move(outcome_.error);
    error.over_limit = outcome_.over_limit;
    error.cpu_used = outcome_.cpu_used;
    error.steps_used = outcome_.steps_used;
    message_.restore(std::move(before_));
    return error;
  }
  if (outcome_.implicit_keep) {
    if (outcome_.flags) outcome_.keep_flags = *outcome_.flags;
    outcome_.keep_message = message_.version();
  }
  if (outcome_.no_vacation) std::erase_if(outcome_.actions, [](const Action& action) { return action.kind == Action::Kind::vacation; });
  return std::move(outcome_);
}

Outcome run(const Program& program, Message& message, const EnvelopeView& envelope, Host& host, const Limits& limits, const RunOptions& options) {
  return Run(program, message, envelope, host, limits, options).finish();
}

Outcome run(const Program& program, const mail::MessageView& message, const EnvelopeView& envelope, Host& host, const Limits& limits, Mode mode) {
  Message own(message);
  return run(program, own, envelope, host, limits, RunOptions{mode, nullptr, nullptr});
}

void Text::Piece::carry(Archive& archive) {
  archive.choice(kind, Kind::match_value);
  archive(literal);
  if (kind == Kind::variable) archive.variable(number);
  else archive(number);
}

void Text::carry(Archive& archive) { archive(constant_, pieces_); }

std::string_view Text::value(const Run& run, std::string& scratch) const {
  if (is_constant()) return constant_;
  scratch.clear();
  for (const Piece& piece : pieces_) {
    std::string_view part = piece.literal;
    if (piece.kind == Piece::Kind::variable) part = run.variable(piece.number);
    if (piece.kind == Piece::Kind::match_value) part = run.match_value(piece.number);
    // A reference takes four bytes of script and may stand for a whole header field.
    if (scratch.size() + part.size() > run.limits().text_bytes) {
      run.note_long_text();
      break;
    }
    scratch += part;
  }
  return scratch;
}

std::string Text::value(const Run& run) const {
  std::string scratch;
  return std::string(value(run, scratch));
}

}  // namespace postern::sieve
