// SPDX-License-Identifier: Apache-2.0
#include "sieve/levels.h"

#include <algorithm>

namespace postern::sieve {

namespace {

bool stores_inbox(const Action& action) {
  return action.kind == Action::Kind::keep || (action.kind == Action::Kind::fileinto && action.target == "INBOX");
}

// The collected result of the levels.
class Collector {
 public:
  Collector(Decision& decision, const Limits& limits) : decision_(decision), limits_(limits) {}

  void error(const LevelScript& script, int line, int column, std::string text) {
    decision_.errors.push_back({script.level, script.name, line, column, std::move(text)});
  }

  // What is left for the next script.
  [[nodiscard]] Limits rest() const {
    Limits left = limits_;
    left.actions -= std::min(left.actions, decision_.actions.size());
    const auto redirects = static_cast<std::size_t>(
        std::count_if(decision_.actions.begin(), decision_.actions.end(), [](const Action& action) { return action.kind == Action::Kind::redirect; }));
    left.redirects -= std::min(left.redirects, redirects);
    return left;
  }

  void add(Action action) {
    if (action.kind == Action::Kind::discard) return;   // says that nothing else is to be done, and is nothing to do itself
    for (Action& earlier : decision_.actions) {
      const bool same = (stores_inbox(earlier) && stores_inbox(action)) || (earlier.kind == action.kind && earlier.target == action.target);
      if (!same) continue;
      earlier.copy = earlier.copy && action.copy;
      earlier.create = earlier.create || action.create;
      if (!action.flags.empty()) earlier.flags = std::move(action.flags);
      return;
    }
    decision_.actions.push_back(std::move(action));
  }

  void keep(std::vector<std::string> flags) {
    Action action;
    action.kind = Action::Kind::keep;
    action.implicit = true;
    action.flags = std::move(flags);
    add(std::move(action));
  }

 private:
  Decision& decision_;
  const Limits& limits_;
};

}  // namespace

std::string_view to_string(Level level) {
  switch (level) {
    case Level::server_before: return "server-before";
    case Level::user: return "user";
    case Level::domain: return "domain";
    case Level::destination_channel: return "destination channel";
    case Level::source_channel: return "source channel";
    case Level::server: return "server";
  }
  return "unknown";
}

Decision decide(std::span<const LevelScript> scripts, const mail::MessageView& message, const EnvelopeView& envelope, Host& host, const Limits& limits,
                const LevelSettings& settings) {
  std::vector<const LevelScript*> order;
  for (const LevelScript& script : scripts) order.push_back(&script);
  std::stable_sort(order.begin(), order.end(), [](const LevelScript* a, const LevelScript* b) { return a->level < b->level; });

  Decision decision;
  Collector collector(decision, limits);
  bool failed = false;                   // some script did: then nobody may discard
  std::vector<std::string> keep_flags;   // of the implicit keep, from the first level that set any
  for (const LevelScript* script : order) {
    if (script->program == nullptr) {
      collector.error(*script, 0, 0, script->problem.empty() ? "script does not compile" : script->problem);
      failed = true;
      continue;
    }
    const bool restricted = decision.decided_by.has_value();
    Outcome outcome = run(*script->program, message, envelope, host, collector.rest(), restricted ? Mode::restricted : Mode::normal);
    decision.cpu_used += outcome.cpu_used;
    decision.over_limit = decision.over_limit || outcome.over_limit;
    if (outcome.error) {
      collector.error(*script, outcome.error->line, outcome.error->column, outcome.error->text);
      failed = true;
      continue;
    }
    const auto is_kind = [](Action::Kind kind) { return [kind](const Action& action) { return action.kind == kind; }; };
    if (std::any_of(outcome.actions.begin(), outcome.actions.end(), is_kind(Action::Kind::jettison))) {
      decision.actions.clear();
      decision.jettisoned = true;
      decision.discarded = false;
      decision.decided_by = script->level;
      return decision;
    }
    if (restricted) continue;
    const auto discards = std::find_if(outcome.actions.begin(), outcome.actions.end(), is_kind(Action::Kind::discard));
    if (discards != outcome.actions.end() && script->level == Level::server_before && !settings.server_before_may_discard) {
      collector.error(*script, discards->line, discards->column, "discard is not allowed at the level server-before");
      failed = true;
      continue;
    }
    const bool discarded = discards != outcome.actions.end();
    for (Action& action : outcome.actions) collector.add(std::move(action));
    if (keep_flags.empty()) keep_flags = std::move(outcome.keep_flags);
    if (!outcome.decided_explicitly) continue;
    decision.decided_by = script->level;
    if (discarded && failed) collector.keep({});
    decision.discarded = discarded && decision.actions.empty();
  }
  if (!decision.decided_by) collector.keep(std::move(keep_flags));
  return decision;
}

}  // namespace postern::sieve
