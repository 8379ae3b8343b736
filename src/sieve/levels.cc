// SPDX-License-Identifier: Apache-2.0
#include "sieve/levels.h"

#include <algorithm>
#include <map>

namespace postern::sieve {

namespace {

bool stores_inbox(const Action& action) {
  return action.kind == Action::Kind::keep || (action.kind == Action::Kind::fileinto && action.target == "INBOX");
}

bool rejects(const Action& action) {
  return action.kind == Action::Kind::reject || action.kind == Action::Kind::ereject || action.kind == Action::Kind::refuse;
}

// The collected result of the levels.
class Collector {
 public:
  explicit Collector(Decision& decision) : decision_(decision) {}

  void error(const LevelScript& script, int line, int column, std::string text, RulePlace rule = {}) {
    decision_.errors.push_back({script.level, script.name, line, column, std::move(text), std::move(rule)});
  }

  void add(Action action) {
    if (action.kind == Action::Kind::discard) return;   // says that nothing else is to be done, and is nothing to do itself
    for (Action& earlier : decision_.actions) {
      const bool generated = action.kind == Action::Kind::notify || action.kind == Action::Kind::vacation;
      const bool same = (stores_inbox(earlier) && stores_inbox(action)) || (!generated && earlier.kind == action.kind && earlier.target == action.target);
      if (!same) continue;
      earlier.copy = earlier.copy && action.copy;
      earlier.create = earlier.create || action.create;
      if (!action.flags.empty()) earlier.flags = std::move(action.flags);
      return;
    }
    decision_.actions.push_back(std::move(action));
  }

  // An action of a later level that excludes, or is excluded by, one of an earlier: a message is refused or taken (RFC 5429).
  [[nodiscard]] const Action* conflict(const std::vector<Action>& next) const {
    const auto takes = [](const Action& action) {
      return stores_inbox(action) || action.kind == Action::Kind::fileinto || action.kind == Action::Kind::redirect || action.kind == Action::Kind::vacation;
    };
    for (const Action& action : next)
      for (const Action& earlier : decision_.actions)
        if ((rejects(action) && (takes(earlier) || rejects(earlier))) || (takes(action) && rejects(earlier))) return &action;
    return nullptr;
  }

  void keep(std::vector<std::string> flags, std::shared_ptr<const MessageVersion> message) {
    Action action;
    action.message = std::move(message);
    action.kind = Action::Kind::keep;
    action.implicit = true;
    action.flags = std::move(flags);
    add(std::move(action));
  }

 private:
  Decision& decision_;
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
  Collector collector(decision);
  Message edited(message);               // header edits hold for the levels behind
  std::vector<Mark> marks;               // of all levels
  bool no_vacation = false;
  bool failed = false;                   // some script did: then nobody may discard
  std::vector<std::string> keep_flags;   // of the implicit keep, from the first level that set any
  for (const LevelScript* script : order) {
    if (script->program == nullptr) {
      collector.error(*script, 0, 0, script->problem.empty() ? "script does not compile" : script->problem);
      failed = true;
      continue;
    }
    const bool restricted = decision.decided_by.has_value();
    Message::State before = edited.state();
    const RunOptions options{restricted ? Mode::restricted : Mode::normal, nullptr, &decision.actions, std::clamp(settings.spam_adjustment + decision.spam_adjustment, -1000, 1000)};
    Outcome outcome = run(*script->program, edited, envelope, host, limits, options);
    decision.cpu_used += outcome.cpu_used;
    if (outcome.error) {
      const std::string included = outcome.error->script.empty() ? "" : " (in the included script \"" + outcome.error->script + "\")";
      collector.error(*script, outcome.error->line, outcome.error->column, outcome.error->text + included, outcome.error->rule);
      decision.errors.back().over_limit = outcome.over_limit;
      failed = true;
      continue;
    }
    const auto is_kind = [](Action::Kind kind) { return [kind](const Action& action) { return action.kind == kind; }; };
    if (std::any_of(outcome.actions.begin(), outcome.actions.end(), is_kind(Action::Kind::jettison))) {
      decision.actions.clear();
      decision.remember.clear();
      decision.jettisoned = true;
      decision.discarded = false;
      decision.decided_by = script->level;
      return decision;
    }
    const auto forbidden = std::find_if(outcome.actions.begin(), outcome.actions.end(), [](const Action& action) { return action.kind == Action::Kind::discard || rejects(action); });
    if (!restricted && forbidden != outcome.actions.end() && script->level == Level::server_before && !settings.server_before_may_discard) {
      collector.error(*script, forbidden->line, forbidden->column, std::string(to_string(forbidden->kind)) + " is not allowed at the level server-before", forbidden->rule);
      edited.restore(std::move(before));
      failed = true;
      continue;
    }
    if (const Action* conflict = collector.conflict(outcome.actions)) {
      collector.error(*script, conflict->line, conflict->column, std::string(to_string(conflict->kind)) + " can't be combined with what another script has done", conflict->rule);
      edited.restore(std::move(before));
      failed = true;
      continue;
    }
    marks.insert(marks.end(), outcome.marks.begin(), outcome.marks.end());
    if (outcome.conversion_tags_set) decision.conversion_tags.clear();
    decision.conversion_tags_set = decision.conversion_tags_set || outcome.conversion_tags_set;
    decision.conversion_tags.insert(decision.conversion_tags.end(), outcome.conversion_tags.begin(), outcome.conversion_tags.end());
    const bool discarded = std::any_of(outcome.actions.begin(), outcome.actions.end(), is_kind(Action::Kind::discard));
    for (Action& action : outcome.actions) collector.add(std::move(action));
    if (restricted) continue;
    decision.spam_adjustment += outcome.spam_adjustment;
    no_vacation = no_vacation || outcome.no_vacation;
    decision.remember.insert(decision.remember.end(), outcome.remember.begin(), outcome.remember.end());
    if (keep_flags.empty()) keep_flags = std::move(outcome.keep_flags);
    if (!outcome.decided_explicitly) continue;
    decision.decided_by = script->level;
    if (discarded && failed) collector.keep({}, edited.version());
    const auto beside = [](const Action& action) { return action.kind == Action::Kind::vacation || action.kind == Action::Kind::notify || action.kind == Action::Kind::capture; };
    decision.discarded = discarded && std::all_of(decision.actions.begin(), decision.actions.end(), beside);
  }
  if (!decision.decided_by) collector.keep(std::move(keep_flags), edited.version());
  if (no_vacation) std::erase_if(decision.actions, [](const Action& action) { return action.kind == Action::Kind::vacation; });
  std::map<const MessageVersion*, std::shared_ptr<const MessageVersion>> marked_versions;
  std::vector<std::shared_ptr<const MessageVersion>> kept;   // so that no address comes twice
  // Marks of levels behind the one that stored the message belong into what it stored.
  for (Action& action : decision.actions) {
    const std::size_t there = action.message ? action.message->marks : 0;
    if (there >= marks.size() || action.kind == Action::Kind::vacation || action.kind == Action::Kind::notify || rejects(action)) continue;
    auto& version = marked_versions[action.message.get()];   // of several that store the same, one copy
    if (!version) {
      Message marked(message);
      marked.go_to(action.message);
      for (std::size_t i = there; i < marks.size(); ++i) apply(marks[i], marked);
      version = marked.version();
    }
    kept.push_back(action.message);
    action.message = version;
  }
  return decision;
}

}  // namespace postern::sieve
