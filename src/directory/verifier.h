// SPDX-License-Identifier: Apache-2.0
#pragma once
// Helper threads that check passwords, so that a storm of logins never keeps other questions waiting.
//
// The queue is bounded: beyond it submit() says no, and the peer is told to try again. A check that waited so long that nobody
// waits for its answer any more is dropped without being made. Threads run at lower priority than the rest of the process.
//
// A check that fails is answered after the same time whoever it is about, from the first one of a slow kind on: a hash that is cheap to check, or none, is made up for by one of the default kind, and what
// is tried depends on the password only (as it is and, if it differs, as SASLprep makes it).
#include "directory/password.h"
#include "net/asio.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace postern::directory {

class Verifier {
 public:
  enum class Outcome { matches, differs, too_late };
  using Done = std::function<void(Outcome)>;

  // `threads` 0: one a core. `patience`: how long a check may wait for its turn.
  Verifier(net::asio::io_context& io, unsigned threads, std::size_t queue, std::chrono::milliseconds patience = std::chrono::seconds(4));
  // Drops what waits, finishes what runs.
  ~Verifier();
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  // Checks `password` against `hash` on a helper thread, then calls `done` on the io_context. An empty hash: the check is made
  // against a hash of the default kind that no password gives. False: the queue is full, `done` will not be called.
  bool submit(std::string password, std::string hash, Done done);

  // What is to be stored instead, made of a password that was right.
  using Made = std::function<void(PasswordSecrets)>;
  struct Upgrade {
    unsigned scram_iterations = 0;
    Made made;  // not called if they can't be made
  };
  // The same; if the password is right, `upgrade` follows after `done`.
  bool submit(std::string password, std::string hash, Done done, std::optional<Upgrade> upgrade);

  [[nodiscard]] std::size_t waiting();

 private:
  struct Task {
    std::string password, hash;
    Done done;
    std::optional<Upgrade> upgrade;
    std::chrono::steady_clock::time_point until;
  };
  void work();
  bool check(const Task& task);
  // Remembers how long the kinds take that are neither cheap nor ours; the longest so far.
  std::chrono::microseconds note_time(const std::string& hash, std::chrono::microseconds spent);

  net::asio::io_context& io_;
  const std::size_t queue_;
  const std::chrono::milliseconds patience_;
  std::string dummy_hash_;
  std::atomic<std::int64_t> slowest_{0};  // microseconds
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace postern::directory
