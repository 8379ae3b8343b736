// SPDX-License-Identifier: Apache-2.0
#pragma once
// The state of one run, as steps see it.
#include "sieve/program.h"
#include "sieve/regex.h"
#include "sieve/run.h"

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::sieve {

class Run {
 public:
  Run(const Program& program, Message& message, const EnvelopeView& envelope, Host& host, const Limits& limits, const RunOptions& options);

  // Runs to the end, to a stop, or to a mistake.
  Outcome finish();

  // The header as it is now; and the message with its body.
  [[nodiscard]] const mail::MessageView& message() const { return message_.header(); }
  [[nodiscard]] const mail::MessageView& whole_message() const { return message_.whole(); }
  // For edits: call before_edit() first.
  [[nodiscard]] Message& edited() { return message_; }
  [[nodiscard]] const EnvelopeView& envelope() const { return envelope_; }
  [[nodiscard]] Host& host() const { return host_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }
  [[nodiscard]] Mode mode() const { return mode_; }

  // Takes `steps` from the budget; false, and the run has failed, when it is used up. Long loops must ask.
  bool spend(std::uint64_t steps);
  // One step, and one more for each KiB of text that is looked at.
  bool spend_text(std::size_t bytes) { return spend(1 + bytes / 1024); }
  // The same for memory that the run holds to its end.
  bool take_memory(std::size_t bytes);

  // A mistake of the script at run time: the run ends here.
  void fail(std::string text);
  // One that does not end the run.
  void note(const std::string& text);
  // A text with variables in it grew beyond Limits::text_bytes and was cut: the run fails after this step.
  void note_long_text() const { text_too_long_ = true; }
  [[nodiscard]] bool failed() const { return outcome_.error.has_value(); }

  // Collects an action. Two that do the same become one; limits on their number are checked.
  void act(Action action);
  // What is collected so far. A step of the test language may look at it, and put another in its place.
  [[nodiscard]] Outcome& outcome() { return outcome_; }
  // What spamadjust has added to the score so far, in this script and before it.
  [[nodiscard]] int spam_adjustment() const { return earlier_adjustment_ + outcome_.spam_adjustment; }
  // Another outcome, as of a program that was run inside this one.
  void set_outcome(Outcome outcome);

  // Counts one edit of the header or the message against the limit; false: the run has failed, or edits have no effect here.
  bool before_edit();
  // The message is another one now, or has other parts: what was remembered about it is gone.
  void forget_message();
  // A change by a system script: made at once, and remembered for what other scripts store.
  void mark(Mark mark);

  // Variables and match values (RFC 5229).
  [[nodiscard]] std::string_view variable(std::uint32_t number) const;
  void set_variable(std::uint32_t number, std::string value);
  [[nodiscard]] std::string_view match_value(std::uint32_t number) const;
  [[nodiscard]] bool wants_match_values() const { return program_.units[frames_.back().unit].uses_match_values; }
  void set_match_values(std::vector<std::string> values);

  // The internal variable of imap4flags; until a script sets it, the flags that the message has.
  [[nodiscard]] const std::vector<std::string>& flags();
  // What it holds for an action that stores: nothing until a script sets it.
  [[nodiscard]] std::vector<std::string> flags_to_store() const { return outcome_.flags.value_or(std::vector<std::string>()); }
  void set_flags(std::vector<std::string> flags) { outcome_.flags = std::move(flags); }

  // The instant of this run, the same at every question.
  [[nodiscard]] std::chrono::sys_seconds now();

  // Control. A unit of the program runs next, and then what stands behind this step.
  void call(std::uint32_t unit);
  [[nodiscard]] bool was_called(std::uint32_t unit) const { return called_[unit]; }
  void return_from_script();
  void stop() { stopped_ = true; }
  // Leaves the innermost `count` blocks of this script.
  void leave_blocks(std::size_t count);
  // Leaves blocks up to the innermost one of the command `name` in this script; false if there is none.
  bool leave_block_of(std::string_view name);
  // The state of the innermost open block of type State, over all scripts; null if there is none.
  template <class State>
  [[nodiscard]] State* block_state() const {
    for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block)
      if (auto* state = dynamic_cast<State*>(block->state.get())) return state;
    return nullptr;
  }

  // Capabilities that `ihave` found (RFC 5463).
  void make_available(std::uint32_t capability) { available_[capability] = true; }

  // The fields of a name in Program::field_names; worked out once for all tests that name it.
  const std::vector<std::size_t>& fields_named(std::uint32_t name);
  // `value` as the comparator compares it, remembered by its place: only for text that stays where it is until the message is edited.
  std::string_view folded_stable(std::string_view value);

  // A regular expression that is not a constant; the last ones are kept. Null with a `problem`.
  std::shared_ptr<const Regex> regex(std::string_view pattern, LetterCase letter_case, std::string& problem);
  // Counts one question to an external list; false: there may be no more.
  bool look_up();

  // For numbers of header fields in a test, so that no test allocates its own.
  std::vector<std::size_t> fields;
  // For folded text in a comparison, and for values put together.
  std::string folded;

  // The decoded body of a MIME part, HTML as plain text if asked; remembered for the next test (ext_body.cc).
  std::string_view decoded_body(const mail::Part& part, bool as_text);

 private:
  struct Frame {
    std::uint32_t unit = 0;
    std::size_t back = 0;              // instruction to go on with
    std::size_t variables = 0;         // where its own begin
    std::size_t blocks = 0;            // how many were open before it
  };
  struct Block {
    const BlockStep* step = nullptr;
    std::size_t end = 0;               // its `leave`
    std::unique_ptr<BlockState> state;
  };
  mutable bool text_too_long_ = false;
  void loop();
  void push_frame(std::uint32_t unit, std::size_t back);
  bool pop_frame();
  void leave_blocks_to(std::size_t count);
  // Where a step of the script that runs stands in its rules.
  [[nodiscard]] RulePlace rule_of(const Step& step) const { return rule_place(program_.units[frames_.back().unit].rules, step.place.line); }
  // Hands a remark or a line of the trace to the host.
  void say(void (Host::*where)(int, int, const std::string&), const Step* step, const std::string& text);
  [[nodiscard]] std::size_t variable_place(std::uint32_t number) const;
  [[nodiscard]] std::chrono::nanoseconds cpu_clock() const { return clock_(); }

  const Program& program_;
  Message& message_;
  const EnvelopeView& envelope_;
  Host& host_;
  const Limits& limits_;
  Mode mode_;
  const std::vector<Action>* earlier_;
  int earlier_adjustment_;
  Outcome outcome_;
  Message::State before_;              // the message when the run began
  CpuClock clock_;
  std::chrono::nanoseconds started_{0};
  std::uint64_t next_clock_ = 0;
  std::size_t memory_ = 0;
  std::size_t edits_ = 0;
  const Step* current_ = nullptr;
  std::size_t at_ = 0;                 // next instruction
  bool stopped_ = false;
  std::vector<Frame> frames_;
  std::vector<Block> blocks_;
  std::vector<bool> called_, available_;
  std::vector<std::string> variables_, globals_;
  std::vector<std::string> match_values_;
  std::optional<std::chrono::sys_seconds> now_;
  std::vector<std::optional<std::vector<std::size_t>>> fields_named_;
  struct Folded {
    std::string_view of;
    std::string text;
  };
  std::array<Folded, 32> folded_stable_;
  std::map<std::pair<std::string, LetterCase>, std::shared_ptr<const Regex>> regexes_;
  std::size_t look_ups_ = 0;
  std::optional<std::vector<std::string>> message_flags_;
  std::map<std::pair<const char*, bool>, std::string> decoded_bodies_;  // by the place of the encoded text
  std::size_t decoded_body_bytes_ = 0;
};

}  // namespace postern::sieve
