// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a decision did on its way and no table's verdict tells: rewriting rules and aliases, one after another. For the tools that
// explain a decision; a server has none. The observer of the probes has it (policy/probe_observer.h).
#include "conf/configuration.h"

#include <string>
#include <vector>

namespace postern::policy {

// A rewriting rule whose pattern fitted.
struct RewriteStep {
  std::string address;     // before the rule: local@host
  std::string rule;        // pattern and template; "local domain" for one of the directory
  conf::Place place;       // of the rule in postern.conf; line 0: a shipped rule, or the directory
  bool held = false;
  std::string reason;      // why it did not hold
  std::string result;      // held: local@host afterwards
  std::string channel;     // held: where it leads to; empty: the rules are asked again for `result`
};

// An address that was looked up on a channel whose aliases are expanded.
struct AliasStep {
  unsigned round = 0;      // 0: the recipient itself
  std::string address;
  // "alias" (of the file), "directory alias", "group", "catch-all", "account", "forwarding", "hold" (an account whose mail waits), "postmaster";
  // "nobody"; of a target: "no address", "no rule" (no rewriting rule)
  std::string found;
  std::vector<std::string> targets;
};

// What FORWARD or REVERSE made of an address.
struct ReplaceStep {
  std::string table, address;
  std::string result;      // empty: it stays as it is
  std::string file;        // of the entry that matched
  int line = 0;            // 0: none did
};

class Explanation {
 public:
  virtual ~Explanation() = default;
  virtual void rewriting(const RewriteStep& step) = 0;
  virtual void expansion(const AliasStep& step) = 0;
  virtual void replacement(const ReplaceStep&) {}
};

}  // namespace postern::policy
