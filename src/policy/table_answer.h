// SPDX-License-Identifier: Apache-2.0
#pragma once
// One access table asked for once: the probe put to it, its answer read, whoever observes told (access-control.md 2, 10).
#include "policy/access.h"

#include <string>

namespace postern::policy {

struct TableAnswer {
  mapping::AccessResult result;
  Verdict verdict;
  // The answer can't be trusted: too many steps, or a probe that is too long. Counts as a refusal for the time being.
  bool over_limit = false;
  bool lasts = false;  // as lasts(), and no entry's output is the probe itself
  [[nodiscard]] bool refused() const { return over_limit || result.refuse; }
};

// `access` and `notes` must outlive the call. What is to be logged goes to `notes`.
// `refusal_holds`: false where the table is asked for something else than permission, so that $> is not written.
net::Awaitable<TableAnswer> ask_access_table(const Access& access, std::string table, std::string probe, mapping::Flags flags,
                                             QuestionFacts facts, Notes& notes, bool refusal_holds = true);

// Whether an answer stays the same as long as the tables and the configuration do.
bool lasts(const mapping::Mapped& mapped, const net::AddressList& clients);

// The verdict on whatever is asked before any compiled tables are in place, or while they can't be read: no (3.4).
Verdict closed_without_tables();

// True if the tables in force have no such table. Whoever wants to know all the same what it would have been asked is told; `probe`
// makes the text, and `instead` is what holds without the table.
template <class MakeProbe>
bool is_missing(const Access& access, std::string_view table, mapping::Flags flags, const MakeProbe& probe, const mapping::Mapped& instead = {}) {
  if (access.tables().has(table)) return false;
  ProbeObserver* const observer = access.observer();
  if (observer != nullptr && observer->wants_missing(table)) observer->asked(table, flags, probe(), instead, access.tables().generation());
  return true;
}

// For loops over many addresses: after each hundred the other sessions of the process have their turn. Not to wait for anything: directory and
// tables may answer without a pause.
net::Awaitable<void> give_way(std::size_t count);

}  // namespace postern::policy
