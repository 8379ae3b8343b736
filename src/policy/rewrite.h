// SPDX-License-Identifier: Apache-2.0
#pragma once
// Rewriting rules: from the host part of an address to the channel that it belongs to (access-control.md 3.3 and 4, step 1).
//
// Setting `rewrite` of postern.conf, one line a rule: pattern, blanks, template. A list that is given takes the place of the
// shipped one as a whole. Patterns, from the most to the least specific: `host.example.com`, `.example.com`, `.com`, `.`; for
// literals `[192.0.2.77]`, `[192.0.2.]`, `[192.0.]`, `[192.]`, `[]`, then `.` (IPv6: the whole literal, `[]`, `.`). Several rules
// of one pattern are tried in the order of the file. A local domain of the directory is a rule of its own, `$U%$D@l-daemon`,
// directly behind the rules for its full name.
//
// Templates: $U $H $D $L $E $B $R $F ${TABLE,argument}, and `local%host@CHANNEL-daemon` or `local@host`. Anything else is a
// mistake that the configuration check reports. A `%` or `@` in a substituted text is never taken for the template's own.
//
// Limits: 10 rounds. Failure: the directory away, or a table that used up its steps: Outcome::temporary.
#include "directory/directory.h"
#include "mapping/tables.h"
#include "policy/channels.h"
#include "policy/probe_observer.h"
#include "policy/questions.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::policy {

class RewriteRules {
 public:
  // One piece of a template.
  struct Piece {
    enum class Kind { text, local_part, host_in_front, matched, literal, table } kind = Kind::text;
    std::string text;              // text: itself; table: the table's name
    std::vector<Piece> argument;   // table
  };
  struct Rule {
    bool envelope_only = false, header_only = false, backward_only = false, forward_only = false;
    std::vector<Piece> local_part, host;
    std::string channel;           // of the tag; empty: start again with local_part@host
    std::string text;              // as written: pattern, a blank, template
    conf::Place place;
  };

  // The shipped rules.
  static RewriteRules shipped(const Channels& channels);
  // `lines`, or the shipped rules if there are none. Mistakes are added to `mistakes`; rules with one are left out.
  static RewriteRules parse(const std::vector<conf::TextLine>& lines, const Channels& channels, std::vector<conf::Mistake>& mistakes);

  // The rules of exactly this pattern (lower case), in order; null if there are none.
  [[nodiscard]] const std::vector<Rule>* find(std::string_view pattern) const;

 private:
  std::map<std::string, std::vector<Rule>, std::less<>> rules_;
};

enum class Direction { forward, backward };

struct Rewritten {
  enum class Outcome {
    done,
    no_rule,          // 550 5.1.2
    too_many_rounds,  // 550 5.4.6
    temporary,        // 451
  };
  Outcome outcome = Outcome::no_rule;
  std::string local_part;  // without quotes
  std::string host;        // lower case; "[192.0.2.1]", "[IPv6:2001:db8::1]" for literals
  std::string channel;
  std::string reason;      // of `temporary`, for the log
  bool lasts = true;       // the same again as long as rules, tables and configuration stay: nothing else was asked
};

struct Site;

// Rewrites an envelope address. `pass_over_deferred`: rules that lead to process, reprocess or defragment don't lead there, since the address has been there
// (3.1): what they make of it is rewritten again, and one that leaves it as it is does not hold. `site`, `tables`, `directory` and `questions` must outlive the call. `directory` may be null: no local
// domains. `observer`, if any, is told what INTERNAL_IP was asked, and its explanation of each rule whose pattern fits.
net::Awaitable<Rewritten> rewrite(const Site& site, const mapping::Tables& tables, directory::Lookups* directory, Questions& questions,
                                  Direction direction, std::string local_part, std::string host, ProbeObserver* observer = nullptr, bool pass_over_deferred = false);

}  // namespace postern::policy
