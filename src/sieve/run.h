// SPDX-License-Identifier: Apache-2.0
#pragma once
// One run of a program over one message for one recipient: evaluate first, act later (sieve.md 0.2).
//
// The engine opens no mailbox, sends nothing and knows no user. It returns a list of actions, which the caller carries out in
// order. After a run-time error, or a limit, there are none: the message is to be kept as it came.
#include "mail/message.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

class Program;

struct Action {
  enum class Kind { keep, fileinto, redirect, discard, jettison };
  Kind kind = Kind::keep;
  std::string target;              // fileinto: the mailbox in UTF-8, '/' between its parts, "INBOX" in upper case; redirect: the address, canonical
  bool copy = false;               // :copy
  bool create = false;             // :create
  bool implicit = false;           // the implicit keep (only in a Decision)
  std::vector<std::string> flags;  // to be set on what is stored ("\\Seen", "$label")
  int line = 0, column = 0;        // of the command
  friend bool operator==(const Action&, const Action&) = default;
};
std::string to_string(const Action& action);  // "fileinto \"Lists\" :copy", for logs and tools

// The envelope as far as this recipient is concerned; never another recipient's.
struct EnvelopeView {
  std::string_view from;           // canonical, empty for the null reverse-path
  std::string_view to;             // this recipient's final address
  std::string_view original_to;    // as the client gave it; empty: as `to`
  std::string_view authenticated;  // empty: not
};

struct Limits {
  std::uint64_t steps = 10'000'000;             // commands, tests, comparisons, and each KiB of text looked at
  std::chrono::milliseconds cpu_time{2000};
  std::size_t actions = 32;
  std::size_t redirects = 4;
  std::size_t variable_bytes = 4096;
  std::size_t variables = 255;
  std::size_t match_values = 32;
  std::size_t body_part_bytes = 8 * 1024 * 1024;
  std::size_t body_bytes = 32 * 1024 * 1024;
};

// What a run has to ask its surroundings.
class Host {
 public:
  virtual ~Host() = default;
  // Whether the mailbox is there and the user may file into it (test mailboxexists).
  virtual bool mailbox_exists(const std::string& name) = 0;
  // Characters that separate user and detail in a local part (RFC 5233); empty: no sub-addressing.
  virtual std::string_view sub_address_delimiters() { return "+"; }
  // Called for each step if wants_trace(): for the tool and the user's log.
  virtual bool wants_trace() { return false; }
  virtual void trace(int /*line*/, int /*column*/, const std::string& /*text*/) {}
};

struct RuntimeError {
  int line = 0, column = 0;
  std::string text;
};

enum class Mode {
  normal,
  restricted,  // only `jettison` takes effect; all other dispositions are ignored (access-control.md 6.2, phase 2)
};

struct Outcome {
  bool decided_explicitly = false;       // keep, fileinto, redirect or discard was executed, other than as a copy; or jettison
  bool implicit_keep = true;             // still in force at the end
  std::vector<std::string> keep_flags;   // for the implicit keep (imap4flags)
  std::vector<Action> actions;           // empty after an error
  std::optional<RuntimeError> error;
  bool over_limit = false;               // the error is a used-up budget of steps or time
  std::chrono::microseconds cpu_used{0};
  std::uint64_t steps_used = 0;
};

Outcome run(const Program& program, const mail::MessageView& message, const EnvelopeView& envelope, Host& host,
            const Limits& limits = {}, Mode mode = Mode::normal);

}  // namespace postern::sieve
