// SPDX-License-Identifier: Apache-2.0
#pragma once
// Asks tables again what was asked in the last days, and what they would say instead (postern-compile(8), --replay).
//
// Nothing is asked outside: a question gets the answer that was given when the probe was asked. One that was not asked then, and a
// random number, leave the outcome open, and the probe is not counted as a change.
#include "base/descriptor.h"
#include "mapping/access_result.h"
#include "mapping/tables.h"
#include "rehearsal/probe.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

namespace postern::rehearsal {

// What a table says to a stored probe.
struct Outcome {
  mapping::AccessResult result;
  std::string open;  // why it can't be known: "postern:throttle", "a random number"; empty: known
};
// What the caller can answer without asking anybody, for questions that were not asked before; nothing: it can't. May be empty.
using KnownAnswer = std::function<std::optional<std::optional<std::string>>(const mapping::Question&)>;
// A table that is not there objects to nothing; ORIG_SEND_ACCESS then refuses what access-control.md 3.4 says.
Outcome ask_again(const mapping::Tables& tables, std::string_view table, const Probe& probe, const KnownAnswer& known);
// "postern:dnsbl", "socket:/run/x", "url", "sequence /path": what is asked, without its argument.
std::string name_of(const mapping::Question& question);

// So many changes are kept one by one; more are counted.
inline constexpr std::size_t kMaxChanges = 10'000;
// Different probes: some gigabytes of memory.
inline constexpr std::size_t kMaxDistinct = 10'000'000;

// A file of probes, opened: whoever may open it need not be the one who reads what somebody else wrote.
struct OpenFile {
  std::string name;
  base::Descriptor file;
  std::uint64_t size = 0;
};
// The files of a directory that may hold probes of `since` or later, oldest first. Those that can't be opened are told to `trouble`.
std::vector<OpenFile> open_probe_files(int directory, std::int64_t since_microseconds, const std::function<void(const std::string&)>& trouble);

class ProbeStore {
 public:
  // Takes all probes that were asked at `since` or later. Files that can't be read, or to the end, are told to `trouble`. `progress`
  // gets bytes done and all bytes.
  void load(const std::vector<OpenFile>& files, std::int64_t since_microseconds, const std::function<void(const std::string&)>& trouble,
            const std::function<void(std::uint64_t, std::uint64_t)>& progress);
  // False: there are kMaxDistinct different ones already, and it is left out.
  bool add(std::string_view identity, std::uint64_t count);

  struct Change {
    Probe probe;
    std::uint64_t count = 0;
    mapping::AccessResult before, after;
  };
  struct Replayed {
    std::uint64_t probes = 0, distinct = 0;           // asked; and different ones among them
    std::uint64_t changed = 0, open = 0;              // of `probes`
    std::vector<Change> changes;                      // most frequent first within a table; at most kMaxChanges
    std::uint64_t changes_left_out = 0;               // different probes
    std::map<std::string, std::uint64_t> open_because;  // probes by what was not known
    std::uint64_t damaged = 0;                        // that made no sense
  };
  [[nodiscard]] Replayed replay(const mapping::Tables& before, const mapping::Tables& after, const KnownAnswer& known,
                                const std::function<void(std::uint64_t, std::uint64_t)>& progress) const;

 private:
  std::unordered_map<std::string, std::uint64_t> counts_;
};


}  // namespace postern::rehearsal
