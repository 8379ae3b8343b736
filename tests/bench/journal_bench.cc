// SPDX-License-Identifier: Apache-2.0
// Measures journal and store alone, on the file system of the directory that is given: appends a second at several degrees of
// parallelism, deliveries a second at several batch sizes, and both together as a delivery child does it.
//
//   journal_bench [DIRECTORY [SECONDS-A-ROW [MESSAGE-BYTES]]]
#include "base/files.h"
#include "base/log.h"
#include "mail/message_id.h"
#include "spool/journal.h"
#include "store/maildir.h"

#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace postern;
using Clock = std::chrono::steady_clock;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void row(const std::string& what, std::uint64_t messages, double seconds, double cpu, const std::string& more = "") {
  std::printf("%-44s %9.0f /s %8.3f CPU s/1000  %s\n", what.c_str(), static_cast<double>(messages) / seconds,
              messages == 0 ? 0 : cpu / static_cast<double>(messages) * 1000, more.c_str());
  std::fflush(stdout);
}

mail::Envelope envelope() {
  mail::Envelope envelope;
  envelope.id = mail::new_message_id(0);
  envelope.received = base::wall_now();
  envelope.reverse_path = "sender@example.net";
  envelope.source_channel = "tcp_local";
  envelope.client_address = "192.0.2.1";
  envelope.helo = "client.example.net";
  envelope.protocol = "ESMTP";
  envelope.recipients.resize(1);
  envelope.recipients[0].address = envelope.recipients[0].original = envelope.recipients[0].account = "user@example.com";
  envelope.recipients[0].destination_channel = "ims-ms";
  return envelope;
}

std::string message_text(std::size_t size) {
  std::string text = "From: <sender@example.net>\r\nTo: <user@example.com>\r\nSubject: bench\r\n\r\n";
  while (text.size() + 72 < size) text += std::string(70, 'x') + "\r\n";
  return text;
}

// Appends with `parallel` messages under way at any time; `done` sees each position.
class Load {
 public:
  Load(spool::JournalWriter& writer, const std::string& text, std::function<void(spool::Position)> done)
      : writer_(writer), text_(text), done_(std::move(done)) {}
  std::uint64_t run(unsigned parallel, std::chrono::duration<double> time) {
    until_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(time);
    under_way_ = parallel;
    for (unsigned i = 0; i < parallel; ++i) next();
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [this] { return under_way_ == 0; });
    return count_;
  }

 private:
  void next() {
    writer_.append(envelope(), text_, [this](Result<spool::Position> position) {
      if (!position) std::fprintf(stderr, "append: %s\n", position.error().what.c_str());
      else if (done_) done_(*position);
      ++count_;
      if (position && Clock::now() < until_) return next();
      const std::lock_guard lock(mutex_);
      if (--under_way_ == 0) finished_.notify_all();
    });
  }
  spool::JournalWriter& writer_;
  const std::string& text_;
  std::function<void(spool::Position)> done_;
  Clock::time_point until_;
  std::atomic<std::uint64_t> count_{0};
  std::mutex mutex_;
  std::condition_variable finished_;
  unsigned under_way_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  base::configure_log(base::Destination::standard_error, "journal_bench", base::Severity::warning);
  const std::string below = argc > 1 ? argv[1] : ".";
  const double seconds = argc > 2 ? std::atof(argv[2]) : 2;
  const std::string text = message_text(argc > 3 ? static_cast<std::size_t>(std::atol(argv[3])) : 10240);
  std::string pattern = below + "/journal_bench-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) return std::perror("mkdtemp"), 1;
  const std::filesystem::path path = pattern;
  int status = 0;
  {
    std::filesystem::create_directory(path / "spool");
    std::filesystem::create_directory(path / "mail");
    const auto spool_directory = base::open_directory(-100, path / "spool").value(), mail_directory = base::open_directory(-100, path / "mail").value();
    base::Files& files = base::system_files();
    std::printf("messages of %zu bytes\n", text.size());

    auto writer = spool::JournalWriter::open(files, spool_directory.get(), {}, 0).value();
    auto reader = spool::JournalReader::open(files, spool_directory.get()).value();
    for (const unsigned parallel : {1U, 10U, 50U, 200U}) {
      // Somebody must finish the records, or each row measures the making of segments; the time for that is left out.
      std::mutex mutex;
      std::vector<spool::Position> told;
      std::atomic<bool> stop{false};
      std::thread marker([&] {
        while (!stop.load()) {
          std::vector<spool::Position> some;
          {
            const std::lock_guard lock(mutex);
            some.swap(told);
          }
          if (!some.empty() && !reader.mark_finished(some)) status = 1;
          std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
      });
      const auto before = writer->counters();
      Load load(*writer, text, [&](spool::Position position) {
        const std::lock_guard lock(mutex);
        told.push_back(position);
      });
      const auto start = Clock::now();
      const double cpu = cpu_seconds();
      const std::uint64_t count = load.run(parallel, std::chrono::duration<double>(seconds));
      const double took = std::chrono::duration<double>(Clock::now() - start).count();
      const auto after = writer->counters();
      row("append, " + std::to_string(parallel) + " in parallel", count, took, cpu_seconds() - cpu,
          std::to_string(static_cast<double>(count) / static_cast<double>(std::max<std::uint64_t>(1, after.syncs - before.syncs))) + " a sync, " +
              std::to_string(after.segments_made - before.segments_made) + " segments made, " +
              std::to_string(after.segments_recycled - before.segments_recycled) + " recycled");
      stop = true;
      marker.join();
      if (!told.empty() && !reader.mark_finished(told)) status = 1;
    }

    for (const std::size_t batch_files : {1UL, 4UL, 10UL, 50UL, 256UL}) {
      auto store = store::Store::open(files, mail_directory.get()).value();
      std::uint64_t count = 0;
      const auto start = Clock::now();
      const double cpu = cpu_seconds();
      while (std::chrono::duration<double>(Clock::now() - start).count() < seconds) {
        auto batch = store.begin_batch();
        for (std::size_t i = 0; i < batch_files; ++i, ++count) {
          store::NewMessage message;
          message.account_directory = "example.com/user" + std::to_string(count % 20);
          message.message_id = mail::new_message_id(0);
          message.recipient_key = "user@example.com";
          message.received = base::wall_now();
          if (!batch.add(message, store::Text(text))) status = 1;
        }
        if (!batch.commit()) status = 1;
      }
      row("deliver, batches of " + std::to_string(batch_files), count, std::chrono::duration<double>(Clock::now() - start).count(), cpu_seconds() - cpu,
          std::to_string(store.counters().slow_syncs) + " slow syncs");
    }

    for (const unsigned parallel : {1U, 50U, 200U}) {
      std::mutex mutex;
      std::condition_variable more;
      std::vector<spool::Position> notices;
      bool stop = false;
      std::uint64_t delivered = 0;
      auto store = store::Store::open(files, mail_directory.get()).value();
      std::thread delivery([&] {
        std::vector<spool::Position> taken;
        while (true) {
          {
            std::unique_lock lock(mutex);
            more.wait(lock, [&] { return !notices.empty() || stop; });
            if (notices.empty()) return;
            taken.assign(notices.begin(), notices.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(256, notices.size())));
            notices.erase(notices.begin(), notices.begin() + static_cast<std::ptrdiff_t>(taken.size()));
          }
          auto batch = store.begin_batch();
          for (const spool::Position& position : taken) {
            const auto record = reader.read(position);
            if (!record) {
              status = 1;
              continue;
            }
            store::NewMessage message;
            message.account_directory = "example.com/user" + std::to_string(delivered++ % 20);
            message.message_id = record->envelope.id;
            message.recipient_key = record->envelope.recipients[0].address;
            message.received = record->envelope.received;
            if (!batch.add(message, store::Text(record->message()))) status = 1;
          }
          if (!batch.commit() || !reader.mark_finished(taken)) status = 1;
        }
      });
      Load load(*writer, text, [&](spool::Position position) {
        const std::lock_guard lock(mutex);
        notices.push_back(position);
        if (notices.size() == 1) more.notify_one();
      });
      const auto start = Clock::now();
      const double cpu = cpu_seconds();
      const std::uint64_t count = load.run(parallel, std::chrono::duration<double>(seconds));
      const double accepted_in = std::chrono::duration<double>(Clock::now() - start).count();
      {
        const std::lock_guard lock(mutex);
        stop = true;
        more.notify_one();
      }
      delivery.join();
      row("accept and deliver, " + std::to_string(parallel) + " in parallel", delivered, std::chrono::duration<double>(Clock::now() - start).count(),
          cpu_seconds() - cpu, std::to_string(static_cast<std::uint64_t>(static_cast<double>(count) / accepted_in)) + " accepted/s");
    }
    if (!reader.scan(10).value().empty()) status = 1;
  }
  std::filesystem::remove_all(path);
  if (status != 0) std::printf("something failed\n");
  return status;
}
