// SPDX-License-Identifier: Apache-2.0
#include "pop3/inbox.h"

#include <functional>
#include <optional>

namespace postern::pop3 {
namespace {

// About what one read takes; a usual message comes in one.
constexpr std::size_t kPieceBytes = 64 * 1024;

// Runs `work` on a helper thread and waits for what it gives. What `work` needs it must own: the waiting coroutine may be gone
// before it is done.
template <class Value>
net::Awaitable<Value> run_on(net::asio::io_context& io, net::asio::thread_pool& threads, std::function<Value()> work) {
  struct Shared {
    explicit Shared(net::asio::io_context& context) : done(context) { done.expires_at(std::chrono::steady_clock::time_point::max()); }
    net::asio::steady_timer done;
    std::optional<Value> value;
  };
  const auto shared = std::make_shared<Shared>(io);
  net::asio::post(threads, [&io, shared, work = std::move(work)]() mutable {
    std::optional<Value> value;
    try {
      value = work();
    } catch (const std::exception& error) {
      value = Value(Error{Kind::temporary, error.what()});
    }
    work = nullptr;
    net::asio::post(io, [shared = std::move(shared), value = std::move(value)]() mutable {
      shared->value = std::move(value);
      shared->done.cancel();
    });
  });
  // The timer never ends by itself, so whoever wakes up has the value.
  while (!shared->value) {
    boost::system::error_code ignored;
    co_await shared->done.async_wait(net::asio::redirect_error(net::use_awaitable, ignored));
  }
  co_return std::move(*shared->value);
}

class StoreReader final : public Reader {
 public:
  StoreReader(net::asio::io_context& io, net::asio::thread_pool& threads, store::MessageReader reader, std::string first)
      : io_(io), threads_(threads), reader_(std::make_shared<store::MessageReader>(std::move(reader))), piece_(std::move(first)) {}

  net::Awaitable<Result<std::string_view>> next() override {
    if (begun_) {
      auto piece = co_await run_on<Result<std::string>>(io_, threads_, [reader = reader_]() -> Result<std::string> {
        const auto read = reader->next(kPieceBytes);
        if (!read) return read.error();
        return std::string(*read);
      });
      if (!piece) co_return piece.error();
      piece_ = std::move(*piece);
    }
    begun_ = true;
    co_return std::string_view(piece_);
  }

 private:
  net::asio::io_context& io_;
  net::asio::thread_pool& threads_;
  std::shared_ptr<store::MessageReader> reader_;
  std::string piece_;
  bool begun_ = false;
};

class StoreInbox final : public Inbox {
 public:
  StoreInbox(net::asio::io_context& io, net::asio::thread_pool& threads, store::Mailbox mailbox)
      : io_(io), threads_(threads), mailbox_(std::make_shared<store::Mailbox>(std::move(mailbox))) {}

  [[nodiscard]] const std::vector<Message>& messages() const override { return mailbox_->messages(); }

  net::Awaitable<Result<std::unique_ptr<Reader>>> read(std::size_t index) override {
    // Opened and begun in one go: most messages are one piece.
    using Begun = std::pair<store::MessageReader, std::string>;
    auto begun = co_await run_on<Result<Begun>>(io_, threads_, [mailbox = mailbox_, index]() -> Result<Begun> {
      auto reader = mailbox->read(index);
      if (!reader) return reader.error();
      const auto piece = reader->next(kPieceBytes);
      if (!piece) return piece.error();
      std::string first(*piece);
      return Begun(std::move(*reader), std::move(first));
    });
    if (!begun) co_return begun.error();
    std::unique_ptr<Reader> reader = std::make_unique<StoreReader>(io_, threads_, std::move(begun->first), std::move(begun->second));
    co_return std::move(reader);
  }

  net::Awaitable<Result<void>> remove(std::vector<std::size_t> indexes) override {
    auto removed = co_await run_on<Result<void>>(io_, threads_, [mailbox = mailbox_, indexes = std::move(indexes)]() -> Result<void> {
      return mailbox->remove(indexes);
    });
    co_return removed;
  }

 private:
  net::asio::io_context& io_;
  net::asio::thread_pool& threads_;
  std::shared_ptr<store::Mailbox> mailbox_;
};

}  // namespace

Inboxes::Inboxes(net::asio::io_context& io, base::Files& files, int mail_directory, unsigned threads)
    : io_(io), files_(files), mail_directory_(mail_directory), threads_(threads) {}

Inboxes::~Inboxes() {
  threads_.stop();
  threads_.join();
}

net::Awaitable<Result<std::unique_ptr<Inbox>>> Inboxes::open(std::string mailbox_directory, std::size_t most_messages) {
  auto mailbox = co_await run_on<Result<store::Mailbox>>(
      io_, threads_, [&files = files_, mail = mail_directory_, mailbox_directory, most_messages]() -> Result<store::Mailbox> {
        return store::Mailbox::open(files, mail, mailbox_directory, most_messages);
      });
  if (!mailbox) co_return mailbox.error();
  std::unique_ptr<Inbox> inbox = std::make_unique<StoreInbox>(io_, threads_, std::move(*mailbox));
  co_return std::move(inbox);
}

}  // namespace postern::pop3
