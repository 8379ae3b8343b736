// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the answer of an access table means: from flags and output text to typed values (access-control.md 2.2 and 2.6).
//
// The arguments stand in the output text, separated by `|`, in the order of the documented list, whatever order the template
// raised the flags in; the last flag of the list that is raised takes the rest. Arguments that can't be read (a delay that
// is no number) count as absent: the compiler reports those that are constant (E14).
#include "mapping/tables.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::mapping {

// Which list of flags holds for a table.
enum class AccessTable {
  port,       // PORT_ACCESS
  from,       // FROM_ACCESS
  recipient,  // ORIG_SEND_ACCESS, ORIG_MAIL_ACCESS, SEND_ACCESS, MAIL_ACCESS
  login,      // LOGIN_ACCESS
  none,       // any other table: only Y, N and F are known
};
// By name, any case; OBSERVE_X counts as X.
AccessTable access_table(std::string_view name);
// A pattern of an access table with the channel `tcp_intranet`, where it is a whole field, by its present name `tcp_internal`
// (access-control.md 3.1). The length stays.
std::string with_present_channel_names(std::string_view pattern);
// The flags that take an argument, in the order in which the arguments are read; N stands for N and F.
std::string_view reading_order(AccessTable table);

// A single delay is cut at 300 s (2.7).
inline constexpr std::chrono::milliseconds kMaxDelay{300'000};

struct AccessResult {
  bool matched = false;
  bool step_limit_exceeded = false;  // answer 451 4.7.1 (PORT_ACCESS: 421 4.7.1 and close), whatever else stands here
  bool granted = false;              // $Y without $N, $F
  bool refuse = false;               // $N or $F; wins over $Y
  std::string text;                  // of the refusal, control bytes made spaces; may be empty
  bool restricted = false;           // PORT_ACCESS $W
  std::string auth_rules;            // PORT_ACCESS $Y: name of the AUTH rule set
  std::string connection_log;        // PORT_ACCESS $T: text of the T record
  std::string connection_text;       // PORT_ACCESS, accepting: text after a further `|`, for the connection's C record
  std::optional<int> debug_level;            // $U
  std::optional<std::string> new_sender;     // $J, FROM_ACCESS
  std::optional<std::string> sender_field;   // $K, FROM_ACCESS
  std::optional<std::string> log_applied;    // $<: to syslog whenever the entry applies
  std::optional<std::string> log_refused;    // $>: to syslog if access is refused
  std::chrono::milliseconds delay{0};        // $D, cut at kMaxDelay
  bool delay_this_reply_only = false;        // the number was negative
  std::optional<std::string> tag;            // $T
  std::vector<std::string> header_lines;     // $A
  std::vector<std::string> conversion_tags;  // $G, split at commas
  struct SessionLimits {
    std::optional<std::uint64_t> message_bytes, recipients, recipient_cutoff;
  };
  std::optional<SessionLimits> limits;       // $S, FROM_ACCESS
  struct Status {
    int status_class = 5, subject = 7, detail = 1;
    [[nodiscard]] std::string to_string() const;
    friend bool operator==(const Status&, const Status&) = default;
  };
  std::optional<Status> status;              // $X: class 4 or 5 only
  std::optional<std::string> spam_adjust;    // $,
  bool bit_bucket = false;     // $B
  bool hold = false;           // $H
  bool discard = false;        // $V
  bool jettison = false;       // $Z
  bool no_vacation = false;    // $!, FROM_ACCESS
  std::string table;           // the rule that it came from
  std::string file;
  int line = 0;
};

[[nodiscard]] AccessResult read_access(std::string_view table, const Mapped& mapped);

// "4.7.1": digit.digits.digits with class 4 or 5, else nothing.
[[nodiscard]] std::optional<AccessResult::Status> status_from(std::string_view text);

}  // namespace postern::mapping
