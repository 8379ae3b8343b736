// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the scripts of all levels say of a message for one of its recipients. Nothing is carried out here: delivery/deliverer.h does that,
// and whoever wants to know beforehand asks the same way.
//
// Scripts are compiled once for each different text (delivery/scripts.h). Failure: Kind::temporary when the directory is away; a
// script's own failure is in the decision. Limits: sieve/limits.h, as the settings say.
#include "net/asio.h"

#include "base/clock.h"
#include "delivery/filter_lists.h"
#include "delivery/scripts.h"
#include "directory/directory.h"
#include "mail/envelope.h"
#include "mail/message.h"
#include "sieve/scores.h"
#include "store/maildir.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace postern::delivery {

// A Sieve script of the administrator.
struct FilterText {
  std::string name;    // path, for the log
  std::string source;  // empty: none
};

struct FilterSettings {
  FilterSettings() { compile.abilities = kFilterAbilities; }
  sieve::CompileOptions compile;  // its run_limits are those of the runs
  mail::PartLimits mime;          // for views of messages that scripts look at
  bool server_before_may_discard = false;
  std::string recipient_delimiter = "+";
  std::string host_name = "localhost";
  std::size_t memory_entries = 10000;  // an account and kind (store/account_memory.h)
  unsigned excesses = 5;  // so often in a day an account's script may use up its budget before it is left out for a day (sieve.md 3); 0: always. Fixed
  sieve::ScoreFields scores;  // that filters in front of us leave
  std::vector<FilterListSource> lists;  // that scripts may ask (RFC 6134)
  FilterText server_before, server;
  // By channel name.
  std::vector<std::pair<std::string, FilterText>> source_filters, destination_filters;
};

// For whom scripts are asked. The envelope must outlive it; `recipient` is one of its recipients.
struct FilterSubject {
  // `delimiters`: between user and detail, FilterSettings::recipient_delimiter.
  FilterSubject(const mail::Envelope& of, const mail::Recipient& whom, std::shared_ptr<const directory::Account> owner, std::string_view delimiters);
  const mail::Envelope& envelope;
  const mail::Recipient& recipient;
  // Whose mailbox it goes to. Empty: it goes on by its channel; then only the scripts of the channels and the server are asked
  // (access-control.md 6.1).
  std::shared_ptr<const directory::Account> account;
  std::string address;  // of the recipient, with its detail
};

// The account's address with the detail that the recipient's had; without `delimiters` or detail the account's alone.
std::string account_with_detail(const mail::Recipient& recipient, std::string_view delimiters);

// What `duplicate` saw in messages that are not on the disk yet: mailbox directory and key, and the message's id.
using SeenInBatch = std::map<std::pair<std::string, std::string>, std::string>;

// The text of an account's script, for `include :personal`; nothing if there is none of that name.
using ScriptOf = std::function<net::Awaitable<Result<std::optional<std::string>>>(std::string account, std::string name)>;

// Appends the script of a level to `scripts`, nothing if there is none, with those of the account's own that it includes. An empty `account`: it is
// nobody's own, and `include :personal` finds nothing. `compiled`, `scripts` and `source` must outlive the call. Kind::temporary when `script_of` fails.
net::Awaitable<Result<void>> add_script(Scripts& compiled, std::vector<sieve::LevelScript>& scripts, sieve::Level level, std::string name, const std::string& source, std::string account,
                                        ScriptOf script_of);

// Good as long as the subject.
sieve::EnvelopeView envelope_view(const FilterSubject& subject);

class Filtering {
 public:
  using ScriptOf = delivery::ScriptOf;
  // Both must outlive it.
  Filtering(store::Store& store, directory::Lookups& directory, ScriptOf script_of = {}) : store_(store), directory_(directory), script_of_(std::move(script_of)), lists_(directory) {}
  // For a reload: holds from the next question on.
  void set_settings(FilterSettings settings);
  // Scripts::set_cache().
  void set_cache(ProgramCache* cache) { scripts_.set_cache(cache); }
  [[nodiscard]] const FilterSettings& settings() const { return settings_; }
  // Lists outside of scripts. What they are is in the settings; scripts() sees to it that they are up to date, whoever has scripts of his own must.
  [[nodiscard]] FilterLists& lists() { return lists_; }

  // The scripts that concern this recipient; empty if there are none. One of the account's that has used up its budget too often stands there as
  // one that can't be run.
  net::Awaitable<Result<std::vector<sieve::LevelScript>>> scripts(FilterSubject subject);
  // What they decide of the message. What `duplicate` saw is remembered until forget_seen().
  sieve::Decision decide(std::span<const sieve::LevelScript> scripts, const mail::MessageView& message, const FilterSubject& subject);

  // The batch is on the disk, or it failed.
  void forget_seen() { seen_.clear(); }

 private:
  // How often an account's script used up its budget; by account and text, so that another text begins anew.
  struct Excess {
    unsigned times = 0;
    base::WallTime since, until;  // since the first of them; left out until then
  };
  [[nodiscard]] static std::string excess_key(const directory::Account& account);
  void note_excess(const directory::Account& account);

  store::Store& store_;
  directory::Lookups& directory_;
  ScriptOf script_of_;
  FilterLists lists_;
  FilterSettings settings_;
  Scripts scripts_;
  SeenInBatch seen_;
  std::map<std::string, Excess> excesses_;
};

}  // namespace postern::delivery
