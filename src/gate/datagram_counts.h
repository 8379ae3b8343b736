// SPDX-License-Identifier: Apache-2.0
#pragma once
// What became of the datagrams that services over UDP received (listeners.md U-3, U-7), in shared memory: children count, the
// master and SNMP read. The counts live as long as the server, so a child that is replaced or dies loses none of them.
//
// Each count is one atomic addition, so there is nothing that a death could leave half done. A child that went mad can only
// write wrong figures. No allocation, no lock, no system call.
#include "base/shared_memory.h"
#include "conf/configuration.h"

#include <array>
#include <cstdint>
#include <string_view>

namespace postern::gate {

// The order is part of the shared memory's layout.
enum class DatagramOutcome : std::uint8_t {
  answered,
  restricted,       // the row's restriction: dropped (U-3)
  blocked,          // the server-wide set of blocked addresses
  oversized,        // larger than the service takes
  damaged,          // not what the protocol allows
  unsupported,      // of a version that the service does not speak
  unauthenticated,  // a wrong password
  unanswered,       // understood, but no answer that fits could be made, or the system would not send it
  lost,             // the kernel dropped it, its queue was full: never read
  would_restrict,   // beside one of the others: the row's restriction is only tried (dry_run)
  would_block,      // likewise: the blocks are
};
inline constexpr std::size_t kDatagramOutcomes = 11;
// As in logs and in `posternctl status`: "restricted".
std::string_view to_string(DatagramOutcome outcome);

struct DatagramFigures {
  std::array<std::uint64_t, kDatagramOutcomes> by_outcome{};
  [[nodiscard]] std::uint64_t operator[](DatagramOutcome outcome) const { return by_outcome[static_cast<std::size_t>(outcome)]; }
  // All that were read.
  [[nodiscard]] std::uint64_t received() const;
};

class DatagramCounts {
 public:
  static Result<DatagramCounts> create();
  // Kind::corrupt if the memory is something else. Mapped read-only it may be read only.
  static Result<DatagramCounts> attach(base::SharedMemory memory);

  void add(conf::Module module, DatagramOutcome outcome, std::uint64_t count = 1);
  [[nodiscard]] DatagramFigures of(conf::Module module) const;
  [[nodiscard]] int descriptor() const { return memory_.descriptor(); }

 private:
  struct Layout;
  explicit DatagramCounts(base::SharedMemory memory) : memory_(std::move(memory)) {}
  [[nodiscard]] Layout& layout() const;
  base::SharedMemory memory_;
};

}  // namespace postern::gate
