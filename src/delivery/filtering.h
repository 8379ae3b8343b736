// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the scripts of all levels say of a message for one of its recipients. Nothing is carried out here: delivery/deliverer.h does that,
// and whoever wants to know beforehand asks the same way.
//
// Scripts are compiled once for each different text (delivery/scripts.h). Failure: Kind::temporary when the directory is away; a
// script's own failure is in the decision. Limits: sieve/limits.h, as the settings say.
#include "net/asio.h"

#include "delivery/scripts.h"
#include "directory/directory.h"
#include "mail/envelope.h"
#include "mail/message.h"
#include "store/maildir.h"

#include <memory>
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
  bool server_before_may_discard = false;
  std::string recipient_delimiter = "+";
  FilterText server_before, server;
  // By channel name.
  std::vector<std::pair<std::string, FilterText>> source_filters, destination_filters;
};

// For whom scripts are asked. The envelope must outlive it; `recipient` is one of its recipients.
struct FilterSubject {
  const mail::Envelope& envelope;
  const mail::Recipient& recipient;
  // Whose mailbox it goes to. Empty: it goes on by its channel; then only the scripts of the channels and the server are asked
  // (access-control.md 6.1).
  std::shared_ptr<const directory::Account> account;
};

class Filtering {
 public:
  // Both must outlive it.
  Filtering(store::Store& store, directory::Lookups& directory) : store_(store), directory_(directory) {}
  // For a reload: holds from the next question on.
  void set_settings(FilterSettings settings);
  [[nodiscard]] const FilterSettings& settings() const { return settings_; }

  // The scripts that concern this recipient; empty if there are none.
  net::Awaitable<Result<std::vector<sieve::LevelScript>>> scripts(FilterSubject subject);
  // What they decide of the message.
  sieve::Decision decide(std::span<const sieve::LevelScript> scripts, const mail::MessageView& message, const FilterSubject& subject);

 private:
  store::Store& store_;
  directory::Lookups& directory_;
  FilterSettings settings_;
  Scripts scripts_;
};

}  // namespace postern::delivery
