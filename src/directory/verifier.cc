// SPDX-License-Identifier: Apache-2.0
#include "directory/verifier.h"

#include <time.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace postern::directory {
namespace {

// Longest time by which an answer is put off.
constexpr std::chrono::seconds kMostRest{2};

std::chrono::microseconds own_cpu_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::microseconds(std::int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000);
}

void answer_after(net::asio::io_context& io, std::chrono::microseconds rest, Verifier::Done done, Verifier::Outcome outcome) {
  if (rest.count() <= 0) return done(outcome);
  const auto timer = std::make_shared<net::asio::steady_timer>(io, rest);
  timer->async_wait([timer, done = std::move(done), outcome](const boost::system::error_code&) { done(outcome); });
}

}  // namespace

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
    tasks_.push_back(Task{{}, std::move(hash), std::move(done), std::move(upgrade), std::chrono::steady_clock::now() + patience_});
    tasks_.back().password.swap(password);
    wipe(password);  // its own room, which a short one leaves
  }
  wake_.notify_one();
  return true;
}

std::size_t Verifier::waiting() {
  const std::lock_guard lock(mutex_);
  return tasks_.size();
}

// Accounts of other servers bring hashes that take longer than ours (bcrypt, other rounds). Once one has been seen, whatever fails is answered as late
// as the slowest of them; the rest of the time is waited for, not worked.
std::chrono::microseconds Verifier::note_time(const std::string& hash, std::chrono::microseconds spent) {
  auto slowest = slowest_.load();
  if (hash.empty() || is_present_hash(hash)) return std::chrono::microseconds(slowest);
  spent = std::min(spent, std::chrono::microseconds(kMostRest));
  while (slowest < spent.count() && !slowest_.compare_exchange_weak(slowest, spent.count())) continue;
  return std::chrono::microseconds(slowest_.load());
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
      wipe(tasks_.front().password);
      tasks_.pop_front();
    }
    Outcome outcome = Outcome::too_late;
    std::chrono::microseconds rest{0};
    if (std::chrono::steady_clock::now() < task.until) {
      const auto before = own_cpu_time();
      outcome = check(task) ? Outcome::matches : Outcome::differs;
      const auto spent = own_cpu_time() - before;
      const auto slowest = note_time(task.hash, spent);
      if (outcome == Outcome::differs) rest = slowest - spent;
    }
    net::asio::post(io_, [&io = io_, done = std::move(task.done), outcome, rest]() mutable { answer_after(io, rest, std::move(done), outcome); });
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
