// SPDX-License-Identifier: Apache-2.0
#include "rehearsal/probe_ring.h"

#include "base/clock.h"
#include "base/helper_thread.h"
#include "base/log.h"
#include "base/text.h"
#include "rehearsal/probe.h"
#include "rehearsal/probe_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace postern::rehearsal {
namespace {

constexpr std::string_view kSuffix = ".probes";
constexpr std::size_t kDigits = 16;  // of the microseconds in a file's name
constexpr std::size_t kMostFiles = 100'000;
constexpr std::uint64_t kLeastFileBytes = std::uint64_t{64} << 10;
constexpr std::chrono::seconds kRetry(30);     // after a failed write
constexpr std::chrono::minutes kLogInterval(1);

// Probes that gather. Equal ones are found by a hash table of open addressing.
class Block {
 public:
  Block() { identities_.reserve(kBlockBytes); }

  enum class Added { fresh, folded, full };
  Added add(std::string_view identity, std::int64_t now) {
    const std::size_t hash = std::hash<std::string_view>()(identity);
    std::size_t slot = hash % kSlots;
    for (; slots_[slot] != 0; slot = (slot + 1) % kSlots) {
      Entry& entry = entries_[slots_[slot] - 1U];
      if (entry.hash != hash || text(entry) != identity) continue;
      if (entry.count != UINT32_MAX) ++entry.count;
      entry.last = now;
      return Added::folded;
    }
    if (entries_.size() == kSlots / 2 || identities_.size() + identity.size() > kBlockBytes) return Added::full;
    entries_.push_back({hash, static_cast<std::uint32_t>(identities_.size()), static_cast<std::uint32_t>(identity.size()), 1, now});
    identities_ += identity;
    slots_[slot] = static_cast<std::uint16_t>(entries_.size());
    return Added::fresh;
  }

  [[nodiscard]] std::uint64_t probes() const {
    std::uint64_t sum = 0;
    for (const Entry& entry : entries_) sum += entry.count;
    return sum;
  }
  [[nodiscard]] std::string encoded() const {
    std::vector<Counted> list;
    list.reserve(entries_.size());
    for (const Entry& entry : entries_) list.push_back({text(entry), entry.count, entry.last});
    return encode_block(list, generation);
  }

  std::uint64_t generation = 0;
  std::chrono::steady_clock::time_point began;

 private:
  static constexpr std::size_t kSlots = 4096;
  struct Entry {
    std::size_t hash;
    std::uint32_t at, length, count;
    std::int64_t last;
  };
  [[nodiscard]] std::string_view text(const Entry& entry) const { return std::string_view(identities_).substr(entry.at, entry.length); }

  std::string identities_;
  std::vector<Entry> entries_;
  std::array<std::uint16_t, kSlots> slots_{};  // 0: free; else the entry's number and 1
};

}  // namespace

struct ProbeRing::State {
  State(base::Files& f, base::Descriptor d, std::string n, std::optional<RingSettings> s)
      : files(f), directory(std::move(d)), name(std::move(n)), settings(s), on(s.has_value()) {}

  base::Files& files;
  base::Descriptor directory;
  std::string name;

  std::mutex mutex;  // held for moments only, never while the disk works
  std::condition_variable wake;
  std::optional<RingSettings> settings;
  std::unique_ptr<Block> block;
  std::deque<std::unique_ptr<Block>> waiting;
  std::uint64_t unsaid = 0;  // dropped, not yet logged
  bool ending = false;
  Counters counters;
  std::atomic<bool> on;
  std::thread helper;

  // The helper's own.
  base::Descriptor file;
  std::uint64_t file_bytes = 0;
  std::chrono::steady_clock::time_point file_began;
  std::chrono::steady_clock::time_point retry{};
  std::chrono::steady_clock::time_point said{};
  std::string trouble;

  // With the mutex held.
  void hand_over() {
    if (!block) return;
    if (waiting.size() == kWaitingBlocks) drop(*block);
    else waiting.push_back(std::move(block));
    block.reset();
    wake.notify_one();
  }
  void drop(const Block& lost) {
    const std::uint64_t probes = lost.probes();
    counters.dropped += probes;
    unsaid += probes;
  }

  void add(std::string_view identity, std::uint64_t generation) {
    const std::lock_guard lock(mutex);
    if (!settings || ending) return;
    if (identity.empty()) {
      ++counters.dropped;
      return;
    }
    const std::int64_t now = base::to_microseconds(base::wall_now());
    if (block && block->generation != generation) hand_over();
    for (int attempt = 0; attempt < 2; ++attempt) {
      if (!block) {
        block = std::make_unique<Block>();
        block->generation = generation;
        block->began = base::steady_now();
        if (!helper.joinable()) helper = base::helper_thread([this] { work(); });
      }
      const auto added = block->add(identity, now);
      if (added == Block::Added::full) {
        hand_over();
        continue;
      }
      ++counters.kept;
      if (added == Block::Added::folded) ++counters.folded;
      return;
    }
  }

  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      if (block && (ending || base::steady_now() - block->began >= kBlockAge)) hand_over();
      if (!waiting.empty()) {
        const std::unique_ptr<Block> next = std::move(waiting.front());
        waiting.pop_front();
        const auto limits = settings;
        lock.unlock();
        const bool written = write(next->encoded(), limits);
        lock.lock();
        if (written) ++counters.blocks;
        else drop(*next);
        say(lock);
        continue;
      }
      if (ending) return;
      wake.wait_for(lock, kBlockAge / 2);
    }
  }

  void say(std::unique_lock<std::mutex>& lock) {
    if (unsaid == 0 || (base::steady_now() - said < kLogInterval && said.time_since_epoch().count() != 0)) return;
    said = base::steady_now();
    const std::uint64_t lost = std::exchange(unsaid, 0);
    lock.unlock();
    base::log_event(base::Severity::warning, "rehearsal-dropped",
                    {{"probes", lost}, {"reason", trouble.empty() ? "the disk is slower than the probes come" : trouble}});
    lock.lock();
  }

  // False: the block is lost.
  bool write(const std::string& bytes, const std::optional<RingSettings>& limits) {
    const auto now = base::steady_now();
    if (now < retry) return false;
    const auto fail = [&](const Error& error) {
      // What stands in the file behind the last whole block would hide all that follows.
      file.reset();
      trouble = error.what;
      retry = now + kRetry;
      return false;
    };
    const std::uint64_t most = file_limit(limits.value_or(RingSettings{}));
    if (file && (file_bytes + bytes.size() > most || now - file_began >= kFileAge)) file.reset();
    if (!file) {
      if (limits) trim(*limits);
      const std::string digits = std::to_string(base::to_microseconds(base::wall_now()));
      auto opened = files.open(directory.get(), digits + "-" + name + std::string(kSuffix), O_WRONLY | O_CREAT | O_EXCL, 0600);
      if (!opened) return fail(opened.error());
      file = std::move(*opened);
      file_began = now;
      const std::string header = probe_file_header();
      if (auto written = files.write_at(file.get(), header, 0); !written) return fail(written.error());
      file_bytes = header.size();
      const std::lock_guard lock(mutex);
      ++counters.files;
    }
    if (auto written = files.write_at(file.get(), bytes, file_bytes); !written) return fail(written.error());
    file_bytes += bytes.size();
    trouble.clear();
    return true;
  }

  // Small enough that the present files of all writers take no more than an eighth of the whole.
  static std::uint64_t file_limit(const RingSettings& limits) {
    return std::clamp(limits.bytes / (8 * std::uint64_t{std::max(1U, limits.writers)}), kLeastFileBytes, kMaxFileBytes);
  }

  // Makes room for one more file of each writer.
  void trim(const RingSettings& limits) {
    const std::uint64_t growing = file_limit(limits) * std::max(1U, limits.writers);
    const std::uint64_t most = limits.bytes > growing ? limits.bytes - growing : 0;
    const auto oldest = base::to_microseconds(base::wall_now() - std::chrono::hours(24) * limits.days - kFileAge);
    const std::vector<std::string> names = probe_files(directory.get());
    std::uint64_t sum = 0;
    for (auto name_of_file = names.rbegin(); name_of_file != names.rend(); ++name_of_file) {
      struct stat status {};
      if (::fstatat(directory.get(), name_of_file->c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
      sum += static_cast<std::uint64_t>(std::max<off_t>(status.st_size, 0));
      // Another process may be removing it, too.
      if (sum > most || *begin_of_probe_file(*name_of_file) < oldest) [[maybe_unused]] const auto gone = files.unlink(directory.get(), *name_of_file);
    }
  }
};

ProbeRing::ProbeRing(base::Files& files, base::Descriptor directory, std::string name, std::optional<RingSettings> settings)
    : state_(std::make_unique<State>(files, std::move(directory), std::move(name), settings)) {}
ProbeRing::~ProbeRing() { finish(); }

void ProbeRing::set(std::optional<RingSettings> settings) {
  const std::lock_guard lock(state_->mutex);
  if (!settings) state_->hand_over();
  state_->settings = settings;
  state_->on = settings.has_value();
}

bool ProbeRing::on() const { return state_->on; }

void ProbeRing::add(std::string_view table, mapping::Flags input, std::string_view text, const mapping::Mapped& result, std::uint64_t generation) {
  if (on()) state_->add(identity_of(table, input, text, result), generation);
}

void ProbeRing::finish() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->ending = true;
    state_->wake.notify_one();
  }
  if (state_->helper.joinable()) state_->helper.join();
}

ProbeRing::Counters ProbeRing::counters() const {
  const std::lock_guard lock(state_->mutex);
  return state_->counters;
}

std::optional<std::int64_t> begin_of_probe_file(std::string_view name) {
  if (!name.ends_with(kSuffix) || name.size() < kDigits + kSuffix.size() + 2 || name[kDigits] != '-') return std::nullopt;
  return base::number_from<std::int64_t>(name.substr(0, kDigits));
}

std::vector<std::string> probe_files(int directory) {
  auto names = base::list_directory(directory, kMostFiles);
  if (!names) return {};
  std::erase_if(*names, [](const std::string& name) { return !begin_of_probe_file(name); });
  // The time stands in front.
  std::sort(names->begin(), names->end());
  return std::move(*names);
}

}  // namespace postern::rehearsal
