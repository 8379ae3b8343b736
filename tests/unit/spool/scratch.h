// SPDX-License-Identifier: Apache-2.0
#pragma once
// A directory for one test, removed at its end; envelopes; a way to wait for a writer's answers.
#include "base/descriptor.h"
#include "base/files.h"
#include "base/log.h"
#include "mail/envelope.h"
#include "spool/journal.h"

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace postern::spool::test {

class Scratch {
 public:
  Scratch() {
    base::configure_log(base::Destination::standard_error, "test", base::Severity::critical);
    std::string pattern = (std::filesystem::temp_directory_path() / "postern-spool-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path = pattern;
    directory = base::open_directory(-100, path.string()).value();
  }
  ~Scratch() { std::filesystem::remove_all(path); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::filesystem::path path;
  base::Descriptor directory;
};

inline mail::Envelope envelope(const std::string& id) {
  mail::Envelope envelope;
  envelope.id = id;
  envelope.received = base::wall_now();
  envelope.reverse_path = "sender@example.net";
  envelope.recipients.resize(1);
  envelope.recipients[0].address = "user@example.com";
  return envelope;
}

// Collects answers from the writer's helper thread.
class Answers {
 public:
  JournalWriter::Done next() {
    const std::lock_guard lock(mutex_);
    const std::size_t index = results_.size();
    results_.emplace_back(Error{Kind::temporary, "no answer yet"});
    return [this, index](Result<Position> result) {
      const std::lock_guard inner(mutex_);
      results_[index] = std::move(result);
      ++answered_;
      changed_.notify_all();
    };
  }
  const std::vector<Result<Position>>& wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return answered_ == results_.size(); });
    return results_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Result<Position>> results_;
  std::size_t answered_ = 0;
};

inline Result<Position> append_one(JournalWriter& writer, const std::string& id, std::string message, bool pending = false) {
  Answers answers;
  writer.append(envelope(id), std::move(message), answers.next(), pending);
  return answers.wait().front();
}

inline JournalSettings small_settings(std::uint64_t segment_bytes = 64 * 1024) {
  JournalSettings settings;
  settings.segment_bytes = segment_bytes;
  settings.large_message_bytes = 16 * 1024;
  settings.minimum_free_bytes = 0;
  return settings;
}

}  // namespace postern::spool::test
