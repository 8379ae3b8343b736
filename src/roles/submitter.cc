// SPDX-License-Identifier: Apache-2.0
#include "roles/submitter.h"

#include "base/kill_point.h"
#include "net/await_callback.h"

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <mutex>

namespace postern::roles {

using net::Awaitable;

namespace {
// By then a replay has asked what a dead delivery child handed on.
constexpr std::chrono::seconds kForeignRest{60};
}  // namespace

Result<base::Descriptor> open_journal_directory(const service::Start& start, Journal journal) {
  auto spool = base::open_directory(start.get("base"), "spool");
  if (!spool || journal == Journal::incoming) return spool;
  return base::make_and_open_directory(base::system_files(), spool->get(), "outgoing", 02770);
}

Result<spool::SharedState> map_journal_state(const service::Start& start, Journal journal, bool writable) {
  const std::string name = journal == Journal::incoming ? "spool-state" : "outgoing-state";
  auto memory = start.map(name, writable);
  if (!memory) return memory.error().in(name);
  return spool::SharedState::attach(std::move(*memory));
}

Result<std::unique_ptr<Submitter>> Submitter::open(service::Start& start, Journal journal) {
  auto spool = open_journal_directory(start, journal);
  if (!spool) return spool.error();
  auto state = map_journal_state(start, journal);
  if (!state) return state.error();
  base::Descriptor notices = start.take(journal == Journal::incoming ? "notices-write" : "outgoing-write");
  if (!notices) return Error{Kind::invalid, "no socket for notices was handed over"};
  const conf::Spool& settings = start.configuration->spool;
  return std::unique_ptr<Submitter>(
      new Submitter(std::move(*spool), std::move(notices), std::move(*state),
                    {settings.segment_bytes, settings.large_message_bytes, settings.minimum_free_bytes,
                     journal == Journal::outgoing ? kForeignRest : std::chrono::seconds(0), settings.commit_delay, settings.commit_delay_messages},
                    start.number));
}

Submitter::~Submitter() { finish(); }

Result<void> Submitter::prepare() {
  if (writer_) return {};
  auto writer = spool::JournalWriter::open(base::system_files(), spool_.get(), settings_, child_);
  if (!writer) return writer.error();
  writer_ = std::move(*writer);
  return {};
}

std::shared_ptr<void> Submitter::message_begins() {
  ++*under_way_;
  return {under_way_.get(), [count = under_way_](void*) { --*count; }};
}

Awaitable<Result<void>> Submitter::conclude(Result<spool::Position> position) {
  if (!position) co_return position.error();
  POSTERN_KILL_POINT("before-250");
  state_.add_accepted();
  to_announce_.push_back(*position);
  if (to_announce_.size() == spool::kMostInNotice) announce();
  else if (to_announce_.size() == 1) net::asio::post(co_await net::asio::this_coro::executor, [this] { announce(); });
  co_return Result<void>();
}

void Submitter::announce() {
  if (to_announce_.empty()) return;
  const std::string notice = spool::encode_notice(to_announce_);
  to_announce_.clear();
  // Full, or nobody there.
  if (::send(notices_.get(), notice.data(), notice.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) state_.add_unannounced();
}

Awaitable<Result<spool::Position>> Submitter::append(const mail::Envelope& envelope, std::string& message, bool pending) {
  if (auto ready = prepare(); !ready) co_return ready.error();
  std::function<void(spool::JournalWriter::Done)> start = [this, &envelope, &message, pending](spool::JournalWriter::Done done) {
    writer_->append(envelope, std::move(message), std::move(done), pending, *under_way_);
  };
  co_return co_await net::await_callback<Result<spool::Position>>(std::move(start));
}

Awaitable<Result<spool::Position>> Submitter::append_large(const mail::Envelope& envelope, spool::LargeMessage& file, bool pending) {
  if (auto ready = prepare(); !ready) co_return ready.error();
  std::function<void(spool::JournalWriter::Done)> start = [this, &envelope, &file, pending](spool::JournalWriter::Done done) {
    writer_->append_large(envelope, std::move(file), std::move(done), pending, *under_way_);
  };
  co_return co_await net::await_callback<Result<spool::Position>>(std::move(start));
}

Awaitable<Result<spool::Position>> Submitter::append_pending(mail::Envelope envelope, std::string message) {
  co_return co_await append(envelope, message, true);
}

Awaitable<Result<spool::Position>> Submitter::append_pending_large(mail::Envelope envelope, spool::LargeMessage file) {
  co_return co_await append_large(envelope, file, true);
}

Awaitable<Result<spool::Position>> Submitter::submit_at(mail::Envelope envelope, std::string message) {
  auto position = co_await append(envelope, message, false);
  auto concluded = co_await conclude(position);
  if (!concluded) co_return concluded.error();
  co_return *position;
}

Awaitable<Result<void>> Submitter::submit(mail::Envelope envelope, std::string message) {
  auto position = co_await append(envelope, message, false);
  co_return co_await conclude(std::move(position));
}

Awaitable<std::vector<Result<void>>> Submitter::submit_all(std::vector<std::pair<mail::Envelope, std::string>> messages) {
  std::vector<Result<void>> answers;
  if (messages.empty()) co_return answers;
  if (auto ready = prepare(); !ready) {
    answers.assign(messages.size(), Result<void>(ready.error()));
    co_return answers;
  }
  using Positions = std::vector<Result<spool::Position>>;
  // The callbacks come on the writer's threads.
  struct Gathered {
    std::mutex mutex;
    Positions positions;
    std::size_t left = 0;
    std::function<void(Positions)> done;
  };
  std::function<void(std::function<void(Positions)>)> start = [this, &messages](std::function<void(Positions)> done) {
    auto gathered = std::make_shared<Gathered>();
    gathered->positions.assign(messages.size(), Result<spool::Position>(Error{Kind::temporary, "not written"}));
    gathered->left = messages.size();
    gathered->done = std::move(done);
    for (std::size_t i = 0; i < messages.size(); ++i)
      writer_->append(messages[i].first, std::move(messages[i].second), [gathered, i](Result<spool::Position> position) {
        bool last = false;
        {
          const std::lock_guard lock(gathered->mutex);
          gathered->positions[i] = std::move(position);
          last = --gathered->left == 0;
        }
        if (last) gathered->done(std::move(gathered->positions));
      });
  };
  Positions positions = co_await net::await_callback<Positions>(std::move(start));
  for (auto& position : positions) {
    auto answer = co_await conclude(std::move(position));
    answers.push_back(std::move(answer));
  }
  co_return answers;
}

Awaitable<Result<void>> Submitter::submit_large(mail::Envelope envelope, spool::LargeMessage file) {
  auto position = co_await append_large(envelope, file, false);
  co_return co_await conclude(std::move(position));
}

Result<void> Submitter::room() {
  if (auto ready = prepare(); !ready) return ready.error();
  return writer_->room();
}

void Submitter::finish() {
  announce();
  if (writer_) writer_->finish();
}

}  // namespace postern::roles
