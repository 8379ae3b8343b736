// SPDX-License-Identifier: Apache-2.0
#include "net/resolver_client.h"

#include "net/frames.h"
#include "net/resolver_protocol.h"

#include <map>
#include <optional>

namespace postern::net {
namespace {

Error unknown(std::string_view why) { return {Kind::temporary, "DNS: " + std::string(why)}; }

}  // namespace

class ResolverClient::State {
 public:
  State(asio::io_context& io, int base_directory, ResolverClientSettings settings)
      : io_(io), asker_(io, base_directory, {"resolver", std::move(settings.socket), settings.time_limit, settings.questions}) {}

  static Awaitable<Result<DnsAnswer>> query(std::shared_ptr<State> self, DnsQuestion question) {
    if (const auto found = self->under_way_.find(question); found != self->under_way_.end()) {
      const auto other = found->second;
      boost::system::error_code ignored;
      co_await other->answered.async_wait(asio::redirect_error(net::use_awaitable, ignored));
      co_return *other->answer;
    }
    const auto shared = std::make_shared<Shared>(self->io_);
    self->under_way_.emplace(question, shared);
    // However this ends, nobody waits for ever: without an answer of its own the question is answered by "no answer".
    const UnderWay under_way{*self, question, *shared};
    const auto answer = co_await self->asker_.ask(to_json(question));
    shared->answer = read(answer, question);
    co_return *shared->answer;
  }

  void close() { asker_.close(); }
  [[nodiscard]] std::uint64_t asked() const { return asker_.asked(); }

 private:
  // A question for those who ask it too while it is under way.
  struct Shared {
    explicit Shared(asio::io_context& io) : answered(io, std::chrono::steady_clock::time_point::max()), answer(unknown("no answer")) {}
    asio::steady_timer answered;  // cancelled when the answer is there
    std::optional<Result<DnsAnswer>> answer;
  };

  struct UnderWay {
    State& state;
    const DnsQuestion& question;
    Shared& shared;
    ~UnderWay() {
      state.under_way_.erase(question);
      shared.answered.cancel();
    }
  };

  static Result<DnsAnswer> read(const Result<boost::json::object>& answer, const DnsQuestion& question) {
    if (!answer) return answer.error();
    if (auto error = error_in(*answer)) {
      if (error->kind == Kind::not_found) return *error;
      return unknown(error->what);
    }
    auto records = dns_answer_from(*answer, question.type);
    if (!records) return unknown("answer not understood");
    return records;
  }

  asio::io_context& io_;
  FrameClient asker_;
  std::map<DnsQuestion, std::shared_ptr<Shared>> under_way_;
};

ResolverClient::ResolverClient(asio::io_context& io, int base_directory, ResolverClientSettings settings)
    : state_(std::make_shared<State>(io, base_directory, std::move(settings))) {}

ResolverClient::~ResolverClient() { state_->close(); }

std::uint64_t ResolverClient::asked() const { return state_->asked(); }

Awaitable<Result<DnsAnswer>> ResolverClient::query(std::string name, std::uint16_t type) {
  auto canonical = canonical_dns_name(name);
  if (!canonical) co_return Error{Kind::not_found, canonical.error().what};
  DnsQuestion question{std::move(*canonical), type};
  auto answer = co_await State::query(state_, std::move(question));
  co_return answer;
}

}  // namespace postern::net
