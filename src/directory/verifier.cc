// SPDX-License-Identifier: Apache-2.0
#include "directory/verifier.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace postern::directory {

Verifier::Verifier(net::asio::io_context& io, unsigned threads, std::size_t queue, std::chrono::milliseconds patience)
    : io_(io), queue_(queue), patience_(patience) {
  // Without randomness there is no hash to compare with; the check then fails faster, and still fails.
  if (auto hash = hash_password(generate_password())) dummy_hash_ = std::move(*hash);
  if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency());
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

Verifier::~Verifier() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (Task& task : tasks_) wipe(task.password);
    tasks_.clear();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool Verifier::submit(std::string password, std::string hash, Done done) { return submit(std::move(password), std::move(hash), std::move(done), {}); }

bool Verifier::submit(std::string password, std::string hash, Done done, std::optional<Upgrade> upgrade) {
  {
    const std::lock_guard lock(mutex_);
    if (tasks_.size() >= queue_) {
      wipe(password);
      return false;
    }
    tasks_.push_back(Task{std::move(password), std::move(hash), std::move(done), std::move(upgrade), std::chrono::steady_clock::now() + patience_});
  }
  wake_.notify_one();
  return true;
}

std::size_t Verifier::waiting() {
  const std::lock_guard lock(mutex_);
  return tasks_.size();
}

void Verifier::work() {
  // Linux gives each thread a priority of its own. Refused: it runs like the others.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), 10);
  for (;;) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      if (stopping_) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    Outcome outcome = Outcome::too_late;
    if (std::chrono::steady_clock::now() < task.until) outcome = check(task) ? Outcome::matches : Outcome::differs;
    net::asio::post(io_, [done = std::move(task.done), outcome] { done(outcome); });
    if (outcome == Outcome::matches && task.upgrade) {
      if (auto secrets = make_password_secrets(task.password, task.upgrade->scram_iterations))
        net::asio::post(io_, [made = std::move(task.upgrade->made), secrets = std::move(*secrets)] { made(secrets); });
    }
    wipe(task.password);
  }
}

bool Verifier::check(const Task& task) {
  const bool real = !task.hash.empty();
  const std::string& hash = real ? task.hash : dummy_hash_;
  std::string prepared = prepared_password(task.password);
  bool matches = false;
  const auto try_one = [&](const std::string& password) {
    const bool this_one = password_matches(password, hash);
    matches |= this_one;
    if (is_cheap_hash(hash) && !this_one) static_cast<void>(password_matches(password, dummy_hash_));
  };
  try_one(prepared);
  if (prepared != task.password) try_one(task.password);
  wipe(prepared);
  return matches && real;
}

}  // namespace postern::directory
