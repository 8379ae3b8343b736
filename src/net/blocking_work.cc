// SPDX-License-Identifier: Apache-2.0
#include "net/blocking_work.h"

#include <exception>

namespace postern::net {

BlockingWork::~BlockingWork() {
  if (pool_) {
    pool_->stop();
    pool_->join();
  }
}

Awaitable<BlockingWork::Ended> BlockingWork::run(std::function<std::optional<std::string>()> work, std::chrono::milliseconds limit) {
  Ended ended;
  if (*under_way_ >= queue_) {
    ended.outcome = Outcome::queue_full;
    co_return ended;
  }
  if (!pool_) pool_.emplace(threads_);
  struct Shared {
    explicit Shared(asio::io_context& io) : timer(io) {}
    asio::steady_timer timer;
    std::optional<std::string> text;
    bool done = false;
  };
  const auto shared = std::make_shared<Shared>(io_);
  shared->timer.expires_after(limit);
  ++*under_way_;
  asio::post(*pool_, [&io = io_, shared, under_way = under_way_, work = std::move(work)]() mutable {
    std::optional<std::string> text;
    try {
      text = work();
    } catch (const std::exception&) {
      text.reset();
    }
    work = nullptr;
    asio::post(io, [shared = std::move(shared), under_way = std::move(under_way), text = std::move(text)]() mutable {
      --*under_way;
      shared->text = std::move(text);
      shared->done = true;
      shared->timer.cancel();
    });
  });
  // The result is there already if the thread was faster than we are.
  boost::system::error_code ignored;
  if (!shared->done) co_await shared->timer.async_wait(asio::redirect_error(net::use_awaitable, ignored));
  if (shared->done) ended.text = std::move(shared->text);
  else ended.outcome = Outcome::too_late;
  co_return ended;
}

}  // namespace postern::net
