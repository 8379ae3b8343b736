// SPDX-License-Identifier: Apache-2.0
#pragma once
// Keeps the probes of the last days on disk: each child has a writer of its own, and a helper thread that writes for it.
//
// add() never waits for the disk: probes gather in a block, equal ones with a count, and the block goes to the helper when it is full
// or ten seconds old. A disk that is slow or full costs probes, which are counted and logged (rehearsal-dropped), and nothing else.
// Nothing is synced: what a crash of the machine loses, and the block that a killed child had in memory, is lost.
//
// A writer makes a new file when the last one is full or some hours old, and then removes the oldest of its directory: by age, and
// until all writers together stay within the limit. Several processes may do so at once.
// Limits: kBlockBytes a block, kWaitingBlocks of them wait.
#include "base/files.h"
#include "mapping/tables.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::rehearsal {

struct RingSettings {
  std::uint64_t bytes = 48 * 1024 * 1024;  // of all files in the directory
  unsigned days = 7;
  unsigned writers = 1;  // processes that write to it at once
};

inline constexpr std::size_t kBlockBytes = std::size_t{64} << 10;
inline constexpr std::size_t kWaitingBlocks = 8;
inline constexpr std::chrono::seconds kBlockAge(10);
// Files are begun anew after this, so that what is too old goes in pieces.
inline constexpr std::chrono::hours kFileAge(6);

class ProbeRing {
 public:
  // `name` of the writer, unique among those that write to the directory at once: "smtp2". `files` must outlive it.
  ProbeRing(base::Files& files, base::Descriptor directory, std::string name, std::optional<RingSettings> settings);
  // As finish().
  ~ProbeRing();
  ProbeRing(const ProbeRing&) = delete;
  ProbeRing& operator=(const ProbeRing&) = delete;

  // Nothing: keeps nothing from now on; what has gathered is written.
  void set(std::optional<RingSettings> settings);
  [[nodiscard]] bool on() const;
  // From one thread.
  void add(std::string_view table, mapping::Flags input, std::string_view text, const mapping::Mapped& result, std::uint64_t generation);
  // Hands over what has gathered, waits until it is written, and ends the helper.
  void finish();

  struct Counters {
    std::uint64_t kept = 0, folded = 0, dropped = 0;  // probes
    std::uint64_t blocks = 0, files = 0;              // written
  };
  [[nodiscard]] Counters counters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// When a file was begun, in microseconds since 1970; nothing for other names.
std::optional<std::int64_t> begin_of_probe_file(std::string_view name);
// Names of the files of a directory, oldest first; others are left out.
std::vector<std::string> probe_files(int directory);

}  // namespace postern::rehearsal
