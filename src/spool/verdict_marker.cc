// SPDX-License-Identifier: Apache-2.0
#include "spool/verdict_marker.h"

#include "base/helper_thread.h"
#include "base/kill_point.h"
#include "base/log.h"
#include "spool/journal_reader.h"

#include <condition_variable>
#include <mutex>
#include <utility>

namespace postern::spool {
namespace {

class Marker final : public VerdictMarker {
 public:
  explicit Marker(JournalReader reader) : reader_(std::move(reader)), thread_(base::helper_thread([this] { work(); })) {}
  ~Marker() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wanted_.notify_one();
    thread_.join();
  }

  void accept(const Position& position, std::vector<std::uint32_t> refused, Done done) override {
    add({{position, std::move(refused)}, std::move(done)});
  }
  void drop(const Position& position) override { add({{position, {}}, {}}); }

 private:
  struct Item {
    JournalReader::Accepted record;
    Done done;  // none: it is dropped
  };

  void add(Item item) {
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(item));
    }
    wanted_.notify_one();
  }

  void work() {
    std::vector<Item> items;
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        wanted_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
        items.swap(waiting_);
      }
      note(items);
      items.clear();
    }
  }

  void note(std::vector<Item>& items) {
    std::vector<JournalReader::Accepted> accepted;
    std::vector<Position> dropped;
    for (Item& item : items) {
      if (item.done) accepted.push_back(std::move(item.record));
      else dropped.push_back(item.record.position);
    }
    Result<void> noted;
    if (!accepted.empty()) noted = reader_.mark_accepted(accepted);
    if (noted) POSTERN_KILL_POINT("verdict-noted");
    for (Item& item : items)
      if (item.done) item.done(noted);
    // Their senders are told to come again.
    if (!noted)
      for (const auto& record : accepted) dropped.push_back(record.position);
    if (dropped.empty()) return;
    if (auto marked = reader_.mark_dropped(dropped); !marked)
      base::log_event(base::Severity::error, "verdict-not-noted", {{"reason", marked.error().what}, {"messages", dropped.size()}});
  }

  JournalReader reader_;
  std::mutex mutex_;
  std::condition_variable wanted_;
  std::vector<Item> waiting_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<VerdictMarker>> VerdictMarker::open(base::Files& files, int spool_directory) {
  auto reader = JournalReader::open(files, spool_directory);
  if (!reader) return reader.error();
  return std::unique_ptr<VerdictMarker>(std::make_unique<Marker>(std::move(*reader)));
}

}  // namespace postern::spool
