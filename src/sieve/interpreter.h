// SPDX-License-Identifier: Apache-2.0
#pragma once
// The state of one run, as steps see it.
#include "sieve/program.h"
#include "sieve/run.h"

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::sieve {

class Run {
 public:
  Run(const Program& program, const mail::MessageView& message, const EnvelopeView& envelope, Host& host, const Limits& limits, Mode mode);

  // Runs to the end, to a stop, or to a mistake.
  Outcome finish();

  [[nodiscard]] const mail::MessageView& message() const { return message_; }
  [[nodiscard]] const EnvelopeView& envelope() const { return envelope_; }
  [[nodiscard]] Host& host() const { return host_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }

  // Takes `steps` from the budget; false, and the run has failed, when it is used up. Long loops must ask.
  bool spend(std::uint64_t steps);
  // One step, and one more for each KiB of text that is looked at.
  bool spend_text(std::size_t bytes) { return spend(1 + bytes / 1024); }

  // A mistake of the script at run time: the run ends here.
  void fail(std::string text);
  // A text with variables in it grew beyond kMostTextBytes and was cut: the run fails after this step.
  void note_long_text() const { text_too_long_ = true; }
  static constexpr std::size_t kMostTextBytes = 1024 * 1024;
  [[nodiscard]] bool failed() const { return outcome_.error.has_value(); }

  // Collects an action. Two that do the same become one; limits on their number are checked.
  void act(Action action);

  // Variables and match values (RFC 5229).
  [[nodiscard]] std::string_view variable(std::uint32_t number) const { return variables_[number]; }
  void set_variable(std::uint32_t number, std::string value);
  [[nodiscard]] std::string_view match_value(std::uint32_t number) const;
  [[nodiscard]] bool wants_match_values() const { return program_.uses_match_values; }
  void set_match_values(std::vector<std::string> values);

  // The internal variable of imap4flags.
  std::vector<std::string> flags;

  // For numbers of header fields in a test, so that no test allocates its own.
  std::vector<std::size_t> fields;
  // For folded text in a comparison, and for values put together.
  std::string folded;

  // The decoded body of a MIME part, HTML as plain text if asked; remembered for the next test (ext_body.cc).
  std::string_view decoded_body(const mail::Part& part, bool as_text);

 private:
  mutable bool text_too_long_ = false;
  void loop();
  [[nodiscard]] std::chrono::nanoseconds cpu_clock() const;

  const Program& program_;
  const mail::MessageView& message_;
  const EnvelopeView& envelope_;
  Host& host_;
  const Limits& limits_;
  Mode mode_;
  Outcome outcome_;
  std::chrono::nanoseconds started_{0};
  std::uint64_t next_clock_ = 0;
  const Step* current_ = nullptr;
  std::size_t redirects_ = 0;
  std::vector<std::string> variables_;
  std::vector<std::string> match_values_;
  std::map<std::pair<const mail::Part*, bool>, std::string> decoded_bodies_;
  std::size_t decoded_body_bytes_ = 0;
};

}  // namespace postern::sieve
