// SPDX-License-Identifier: Apache-2.0
#pragma once
// One run of a program over one message for one recipient: evaluate first, act later (sieve.md 0.2).
//
// The engine opens no mailbox, sends nothing and knows no user. It returns a list of actions, which the caller carries out in
// order, and asks a Host for facts. After a run-time error, or a limit, there are no actions: the message is to be kept as it came.
#include "mail/message.h"
#include "sieve/limits.h"
#include "sieve/message.h"
#include "sieve/rule_place.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::sieve {

class Program;

// Where the copy of a generated message goes (RFC 8580).
struct FileCopy {
  std::string mailbox;             // as Action::target of fileinto
  bool create = false;
  std::string special_use;         // for a mailbox that is created
  std::vector<std::string> flags;
};

// RFC 5230. Whether a reply is due, and its text: sieve/replies.h.
struct Vacation {
  std::string key;                 // :handle, or a digest of all arguments: what the memory of senders goes by
  std::chrono::seconds period{0};  // within the limits; 0: reply to each message
  std::optional<std::string> subject;
  std::string from;                // header text, empty if not given
  std::vector<std::string> addresses;
  bool mime = false;               // `reason` is a MIME entity, header and all
  std::string reason;
  std::optional<FileCopy> copy;
};

// RFC 5435, with the method of RFC 5436. The text of the mail: sieve/replies.h.
struct Notification {
  std::string method;              // the URI
  std::vector<std::string> to, cc, bcc;                         // of mailto
  std::vector<std::pair<std::string, std::string>> fields;      // further header fields that the URI asks for
  std::string body;                // of the URI
  std::string from;                // header text, empty if not given
  std::string message;             // :message; empty if not given
  int importance = 2;              // 1 (high) to 3 (low)
  std::vector<std::pair<std::string, std::string>> options;
  std::optional<FileCopy> copy;
};

struct Action {
  enum class Kind { keep, fileinto, redirect, discard, jettison, reject, ereject, refuse, vacation, notify, hold, capture };
  Kind kind = Kind::keep;
  std::string target;              // fileinto: the mailbox in UTF-8, '/' between its parts, "INBOX" in upper case; redirect, capture: the address, canonical
  bool copy = false;               // :copy
  bool create = false;             // :create
  bool implicit = false;           // the implicit keep (only in a Decision)
  std::vector<std::string> flags;  // to be set on what is stored ("\\Seen", "$label")
  int line = 0, column = 0;        // of the command
  RulePlace rule;
  std::string script;              // the included script it stands in; empty: the one that was run
  std::string special_use;         // of :specialuse: the use that a mailbox which is created gets ("\\Junk")
  std::string reason;              // of reject, ereject and refuse, UTF-8
  std::shared_ptr<const MessageVersion> message;       // what is stored or sent on; null: as it came
  std::shared_ptr<const Vacation> vacation;
  std::shared_ptr<const Notification> notification;
  friend bool operator==(const Action&, const Action&) = default;
};
std::string to_string(const Action& action);       // "fileinto \"Lists\" :copy", for logs and tools
std::string_view to_string(Action::Kind kind);     // "fileinto"
// What asked for it: "line 3", 'rule "lists", line 3', 'included script "lists", line 3'; empty for the implicit keep.
std::string shown_place(const Action& action);

// The envelope as far as this recipient is concerned; never another recipient's.
struct EnvelopeView {
  std::string_view from;           // canonical, empty for the null reverse-path
  std::string_view to;             // this recipient's final address
  std::string_view original_to;    // as the client gave it; empty: as `to`
  std::string_view authenticated;  // empty: not
  bool from_valid = true, to_valid = true, original_to_valid = true;  // false: there is none that a test could match
};

// What a filter in front of us found out (RFC 5235).
struct Score {
  int value = 0;                   // 0: not tested; spam 1 to 10, viruses 1 to 5
  int percent = 0;                 // 0 to 100, of spam
};

// An entry of the memory against duplicates (RFC 7352), to be kept once the message is delivered.
struct Remembered {
  std::string key;
  std::chrono::seconds period{0};
  friend bool operator==(const Remembered&, const Remembered&) = default;
};

// What the names of the user's address books begin with as external lists (RFC 6134 section 2.7).
inline constexpr std::string_view kAddressBooks = "urn:ietf:params:sieve:addrbook:";
// The full name of an external list: ":addrbook:" is short for the above. Names of address books are in lower case, since "default" may be
// written in any; others stay as they are.
std::string list_name(std::string_view name);

// What a run has to ask its surroundings. Only mailbox_exists() must be answered by all; for the rest the defaults know nothing.
class Host {
 public:
  virtual ~Host() = default;
  // Whether the mailbox is there and the user may file into it (test mailboxexists).
  virtual bool mailbox_exists(const std::string& name) = 0;
  // The mailbox with this id (RFC 9042), and with this special use ("\\Junk", RFC 8579; of several always the same), if the user
  // may file into it. With `among` only that mailbox counts.
  virtual std::optional<std::string> mailbox_with_id(const std::string& /*id*/) { return std::nullopt; }
  virtual std::optional<std::string> mailbox_with_use(const std::string& /*use*/, const std::optional<std::string>& /*among*/ = std::nullopt) { return std::nullopt; }
  // A metadata entry ("/private/comment") of a mailbox, without one of the server (RFC 5490), as far as the user may read it.
  virtual std::optional<std::string> metadata(const std::optional<std::string>& /*mailbox*/, const std::string& /*entry*/) { return std::nullopt; }
  // Whether the memory against duplicates has this key (RFC 7352).
  virtual bool is_duplicate(const std::string& /*key*/) { return false; }
  virtual std::optional<Score> spam_score() { return std::nullopt; }
  virtual std::optional<Score> virus_score() { return std::nullopt; }
  // RFC 5183: "domain", "host", "location", "phase", "remote-host", "remote-ip". "name" and "version" are ours. Nothing: unknown.
  virtual std::optional<std::string> environment(std::string_view /*item*/) { return std::nullopt; }
  // External lists (RFC 6134), names as list_name() gives them.
  virtual bool list_exists(const std::string& /*list*/) { return false; }
  virtual bool list_contains(const std::string& /*list*/, const std::string& /*value*/) { return false; }
  virtual std::vector<std::string> list_members(const std::string& /*list*/, std::size_t /*most*/) { return {}; }
  // Characters that separate user and detail in a local part (RFC 5233); empty: no sub-addressing.
  virtual std::string_view sub_address_delimiters() { return "+"; }
  // Flags that the message has already (of a message in a mailbox); what hasflag sees until the script changes them.
  virtual std::vector<std::string> message_flags() { return {}; }
  // The time, asked once a run, and the local zone at a time, east of Greenwich.
  virtual std::chrono::sys_seconds now();
  virtual std::chrono::minutes zone(std::chrono::sys_seconds time);
  // Something went wrong that does not end the run: for the user's log. Lines are those of a stored rule, where there are rules; the text says
  // which one.
  virtual void note(int /*line*/, int /*column*/, const std::string& /*text*/) {}
  // Called for each step if wants_trace(): for the tool and the user's log.
  virtual bool wants_trace() { return false; }
  virtual void trace(int /*line*/, int /*column*/, const std::string& /*text*/) {}
};

// The argument of spamadjust, "-2" or "+3" (-100 to 100); nothing if it is none.
std::optional<int> spam_adjustment(std::string_view text);

struct RuntimeError {
  int line = 0, column = 0;
  std::string text;
  std::string script = {};         // the included script it stands in; empty: the one that was run
  RulePlace rule = {};
};

enum class Mode {
  normal,
  restricted,  // only jettison, capture and the marks of system scripts take effect; all dispositions are ignored (access-control.md 6.2, phase 2)
};

// A change that a system script makes to the message itself, for all recipients' copies (access-control.md 6.3).
struct Mark {
  enum class Kind { field, tag, prefix };
  Kind kind = Kind::field;
  std::string text;                // "Name: value"; text for the Subject; text for the first text part
  friend bool operator==(const Mark&, const Mark&) = default;
};
void apply(const Mark& mark, Message& message);

struct Outcome {
  bool decided_explicitly = false;       // keep, fileinto, redirect, discard, reject, refuse or hold was executed, other than as a copy; or jettison
  bool implicit_keep = true;             // still in force at the end
  std::vector<std::string> keep_flags;   // for the implicit keep (imap4flags)
  std::shared_ptr<const MessageVersion> keep_message;  // what the implicit keep stores; null: as it came
  std::vector<Action> actions;           // empty after an error
  std::vector<Remembered> remember;      // once everything is delivered
  std::vector<Mark> marks;               // already in keep_message
  std::optional<std::vector<std::string>> flags;          // the internal variable of imap4flags at the end, if the script changed it
  std::vector<std::string> conversion_tags;               // added
  bool conversion_tags_set = false;                       // they replace those that were there
  int spam_adjustment = 0;               // spamadjust, to be added to the score
  bool no_vacation = false;              // novacation
  std::optional<RuntimeError> error;
  bool over_limit = false;               // the error is a used-up budget of steps, time or memory
  std::chrono::microseconds cpu_used{0};
  std::uint64_t steps_used = 0;
};

// The processor time that this thread has used.
using CpuClock = std::chrono::nanoseconds (*)();
std::chrono::nanoseconds thread_cpu_time();

struct RunOptions {
  Mode mode = Mode::normal;
  // Goes on from here: actions are added to these, flags and limits hold over both.
  const Outcome* continued = nullptr;
  // What other scripts have asked for already: limits on numbers of actions hold over both.
  const std::vector<Action>* earlier = nullptr;
  // What was added to the spam score before.
  int spam_adjustment = 0;
  // What Limits::cpu_time is measured with.
  CpuClock cpu_clock = &thread_cpu_time;
};

// Edits stay in `message` for who runs next; after an error it is as it was before. `envelope`, `host` and `limits` are looked at
// whenever they are needed, so a host that runs programs inside of a program may change them in between.
Outcome run(const Program& program, Message& message, const EnvelopeView& envelope, Host& host, const Limits& limits = {}, const RunOptions& options = {});
Outcome run(const Program& program, const mail::MessageView& message, const EnvelopeView& envelope, Host& host, const Limits& limits = {},
            Mode mode = Mode::normal);

}  // namespace postern::sieve
