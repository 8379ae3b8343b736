// SPDX-License-Identifier: Apache-2.0
#pragma once
// One decision from the scripts of all levels (access-control.md 6.1 to 6.3).
//
// Phase 1 asks the levels in order of authority until one decides explicitly. Phase 2 runs the levels that were not asked in
// restricted mode, where of all dispositions only `jettison` takes effect; it replaces the decision. Copies (`:copy`) of levels that ran well but did
// not decide are part of the result.
//
// A script that does not compile, or fails while it runs, decides nothing and leaves nothing behind; the next level is asked. But
// after an error nobody may discard the message any more (hardening.md 2): a `discard` further down turns into a keep. Only
// `jettison`, which no other level can override, still removes it.
#include "sieve/run.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

// In order of authority, which is the order in which they are asked.
enum class Level { server_before, user, domain, destination_channel, source_channel, server };
std::string_view to_string(Level level);  // "server-before", "user", "domain", "destination channel", "source channel", "server"

struct LevelScript {
  Level level = Level::user;
  std::string name;                              // for logs: "filter of a@example.com", "/etc/postern/system.filter"
  std::shared_ptr<const Program> program;        // null: it did not compile, `problem` says why
  std::string problem;
};

struct LevelError {
  Level level = Level::user;
  std::string script;
  int line = 0, column = 0;
  std::string text;
  RulePlace rule = {};
  bool over_limit = false;                       // the script used up its budget of steps, time or memory
};

struct LevelSettings {
  bool server_before_may_discard = false;        // else `discard` there is an error of that script
  int spam_adjustment = 0;                       // to the score, before any script
};

struct Decision {
  std::vector<Action> actions;                   // what to do, in order; an implicit keep stands in it as a keep. Empty: the message goes nowhere
  std::optional<Level> decided_by;               // empty: nobody decided, the message is kept
  bool jettisoned = false;
  bool discarded = false;                        // discard, and nothing else stores or forwards the message
  std::vector<Remembered> remember;              // once everything is delivered
  std::vector<std::string> conversion_tags;      // added
  bool conversion_tags_set = false;              // they replace those that were there
  int spam_adjustment = 0;                       // to be added to the score
  std::vector<LevelError> errors;
  std::chrono::microseconds cpu_used{0};
};

// `scripts` may come in any order and need not have every level; two of one level are asked in the order given.
Decision decide(std::span<const LevelScript> scripts, const mail::MessageView& message, const EnvelopeView& envelope, Host& host,
                const Limits& limits = {}, const LevelSettings& settings = {});

}  // namespace postern::sieve
