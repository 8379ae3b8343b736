// SPDX-License-Identifier: Apache-2.0
#include "resolver/validation.h"

#include "base/log.h"
#include "base/text.h"
#include "net/run_for_life.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace postern::resolver {
namespace {

using namespace std::chrono_literals;
using net::Awaitable;
using SourcePointer = std::shared_ptr<Source>;
using std::chrono::steady_clock;

constexpr std::uint16_t kDnskey = 48;
constexpr std::chrono::milliseconds kGoodFor = 24h;

// So many trials in which only a source that does not validate got an answer mean that the others never will.
constexpr unsigned kSilentTrials = 2;

// What `source` says, as something to wait for. A source stays alive until it has answered, and is not freed inside of its own call.
Awaitable<Result<net::DnsAnswer>> ask_source(net::asio::io_context& io, SourcePointer source, net::DnsQuestion question) {
  std::optional<Result<net::DnsAnswer>> answer;
  net::asio::steady_timer answered(io, steady_clock::time_point::max());
  source->ask(question, [&](Result<net::DnsAnswer> given) {
    answer = std::move(given);
    answered.cancel();
  });
  boost::system::error_code ignored;
  if (!answer) co_await answered.async_wait(net::asio::redirect_error(net::use_awaitable, ignored));
  co_return std::move(*answer);
}

bool is_there(const Result<net::DnsAnswer>& answer) { return answer || answer.error().kind == Kind::not_found; }

}  // namespace

std::optional<std::string> anchor_in(std::string_view file) {
  for (const std::string_view line : base::split(file, '\n')) {
    // A line that begins with a blank goes on with the record above it.
    const std::string_view word = line.substr(0, line.find_first_of(" \t\r;"));
    if (word.empty() || word.front() == '$') continue;
    if (auto name = net::canonical_dns_name(word)) return std::move(*name);
  }
  return std::nullopt;
}

class Validation::State : public std::enable_shared_from_this<Validation::State> {
 public:
  State(net::asio::io_context& io, std::unique_ptr<Source> validating, Make make, ValidationSettings settings)
      : io_(io), make_(std::move(make)), settings_(std::move(settings)), validating_(std::move(validating)), patience_(io), pause_(io) {}

  void begin() {
    patience_.expires_after(settings_.patience);
    patience_.async_wait([self = weak_from_this()](const boost::system::error_code& error) {
      if (auto state = self.lock(); state && !error) state->let_go();
    });
    net::run_for_life(io_, run(shared_from_this()));
  }

  void stop() {
    stopped_ = true;
    waiting_.clear();
    patience_.cancel();
    pause_.cancel();
  }

  void ask(const net::DnsQuestion& question, Done done) {
    if (holds_back_) {
      waiting_.emplace_back(question, std::move(done));
      return;
    }
    const bool validated = !plain_;
    SourcePointer source = validated ? validating_ : plain_;
    Source& asked = *source;
    asked.ask(question, [self = weak_from_this(), source = std::move(source), validated, done = std::move(done)](Result<net::DnsAnswer> answer) mutable {
      const auto state = self.lock();
      if (!state) return;
      net::asio::post(state->io_, [freed = std::move(source)] {});
      if (validated && !answer && answer.error().kind == Kind::corrupt) state->suspect();
      done(std::move(answer));
    });
  }

  [[nodiscard]] bool validates() const { return !plain_; }

 private:
  enum class Verdict { good, none, unknown };

  static Awaitable<void> run(std::shared_ptr<State> self) {
    bool first = true;
    while (!self->stopped_) {
      std::string reason;
      const Verdict verdict = co_await trial(self, std::exchange(first, false), reason);
      if (self->stopped_) co_return;
      if (verdict == Verdict::good) self->switch_on();
      if (verdict == Verdict::none) self->switch_off(reason);
      self->let_go();
      // Good: until somebody has a doubt, see suspect().
      self->last_trial_ = steady_clock::now();
      self->next_trial_ = self->last_trial_ + (verdict == Verdict::unknown ? self->settings_.undecided : self->plain_ ? self->settings_.retry : kGoodFor);
      while (!self->stopped_ && steady_clock::now() < self->next_trial_) {
        self->pause_.expires_at(self->next_trial_);
        boost::system::error_code cut_short;
        co_await self->pause_.async_wait(net::asio::redirect_error(net::use_awaitable, cut_short));
      }
    }
  }

  // `first`: by the source that stands there already; else by a fresh one, which has cached nothing. Good: it takes the place of the other.
  static Awaitable<Verdict> trial(std::shared_ptr<State> self, bool first, std::string& reason) {
    SourcePointer source = self->validating_;
    if (!first) {
      auto made = self->make_(true);
      if (!made) co_return Verdict::unknown;
      source = std::move(*made);
    }
    const net::DnsQuestion key{self->settings_.anchor, kDnskey};
    const auto validated = co_await ask_source(self->io_, source, key);
    if (is_there(validated)) {
      self->silent_trials_ = 0;
      if (self->plain_) self->validating_ = std::move(source);
      co_return Verdict::good;
    }
    reason = validated.error().what;
    if (validated.error().kind == Kind::corrupt) co_return Verdict::none;
    // Are they silent, or do they only refuse to speak of keys?
    auto made = self->make_(false);
    if (!made) co_return Verdict::unknown;
    SourcePointer plain = std::move(*made);
    const net::DnsQuestion authority{self->settings_.anchor, net::dns::kSoa};
    const auto answer = co_await ask_source(self->io_, plain, authority);
    if (!is_there(answer)) co_return Verdict::unknown;
    co_return ++self->silent_trials_ < kSilentTrials ? Verdict::unknown : Verdict::none;
  }

  void switch_on() {
    if (!plain_) return;
    plain_ = nullptr;
    base::log_event(base::Severity::notice, "resolver-validation", {{"validates", "yes"}});
  }

  void switch_off(const std::string& reason) {
    if (plain_) return;
    auto made = make_(false);
    if (!made) return;
    plain_ = std::move(*made);
    base::log_event(base::Severity::warning, "resolver-validation", {{"validates", "no"}, {"zone", settings_.anchor}, {"reason", reason}});
  }

  void suspect() {
    next_trial_ = std::min(next_trial_, last_trial_ + settings_.suspicion);
    pause_.cancel();
  }

  // Whoever waited for the verdict goes on.
  void let_go() {
    if (!std::exchange(holds_back_, false)) return;
    patience_.cancel();
    for (auto& [question, done] : std::exchange(waiting_, {})) ask(question, std::move(done));
  }

  net::asio::io_context& io_;
  Make make_;
  const ValidationSettings settings_;
  SourcePointer validating_, plain_;  // plain: while nothing can be validated
  std::vector<std::pair<net::DnsQuestion, Done>> waiting_;
  net::asio::steady_timer patience_, pause_;
  steady_clock::time_point last_trial_{}, next_trial_{};
  unsigned silent_trials_ = 0;
  bool holds_back_ = true, stopped_ = false;
};

Validation::Validation(net::asio::io_context& io, std::unique_ptr<Source> validating, Make make, ValidationSettings settings)
    : state_(std::make_shared<State>(io, std::move(validating), std::move(make), std::move(settings))) {
  state_->begin();
}

Validation::~Validation() { state_->stop(); }

void Validation::ask(const net::DnsQuestion& question, Done done) { state_->ask(question, std::move(done)); }
bool Validation::validates() const { return state_->validates(); }

}  // namespace postern::resolver
