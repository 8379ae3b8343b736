// SPDX-License-Identifier: Apache-2.0
#pragma once
// A directory for one test, removed at its end; envelopes; a way to wait for a writer's answers.
#include "mail/envelope.h"
#include "spool/journal.h"

#include "../scratch_directory.h"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace postern::spool::test {

using Scratch = postern::test::ScratchDirectory;

inline mail::Envelope envelope(const std::string& id) {
  mail::Envelope envelope;
  envelope.id = id;
  envelope.received = base::wall_now();
  envelope.reverse_path = "sender@example.net";
  envelope.recipients.resize(1);
  envelope.recipients[0].address = "user@example.com";
  return envelope;
}

// Collects answers from a helper thread.
template <class Value>
class AnswersOf {
 public:
  std::function<void(Result<Value>)> next() {
    const std::lock_guard lock(mutex_);
    const std::size_t index = results_.size();
    results_.emplace_back(Error{Kind::temporary, "no answer yet"});
    return [this, index](Result<Value> result) {
      const std::lock_guard inner(mutex_);
      results_[index] = std::move(result);
      ++answered_;
      changed_.notify_all();
    };
  }
  const std::vector<Result<Value>>& wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return answered_ == results_.size(); });
    return results_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Result<Value>> results_;
  std::size_t answered_ = 0;
};
using Answers = AnswersOf<Position>;   // a writer's
using Verdicts = AnswersOf<void>;      // a verdict marker's

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
