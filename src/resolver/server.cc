// SPDX-License-Identifier: Apache-2.0
#include "resolver/server.h"

#include "base/clock.h"
#include "base/log.h"

#include <algorithm>
#include <map>
#include <vector>

namespace postern::resolver {
namespace {

using namespace std::chrono_literals;
using boost::json::object;
using Peer = std::shared_ptr<net::FramePeer>;

constexpr auto kSayBusyEvery = 60s;

// Types that are no records but orders to a server (RFC 6895 section 3.1): OPT, and 128 to 255.
bool is_askable(std::uint16_t type) { return type != 41 && (type < 128 || type > 255); }

}  // namespace

class Server::State : public std::enable_shared_from_this<Server::State> {
 public:
  State(net::asio::io_context& io, base::Descriptor listening, Source& source, ServerSettings settings)
      : io_(io),
        source_(source),
        settings_(std::move(settings)),
        frames_(io, std::move(listening), settings_.frames, [this](const Peer& peer, const object& request) { return take(peer, request); }) {}

  void start() { frames_.start(); }
  void stop() {
    frames_.stop();
    under_way_.clear();
  }
  [[nodiscard]] std::size_t under_way() const { return under_way_.size(); }

 private:
  // Somebody who waits for an answer.
  struct Asker {
    Asker(net::asio::io_context& io, Peer who, std::uint64_t number) : peer(std::move(who)), id(number), limit(io) {}
    Peer peer;
    std::uint64_t id;
    net::asio::steady_timer limit;
    bool answered = false;
  };
  using Askers = std::vector<std::shared_ptr<Asker>>;

  bool take(const Peer& peer, const object& request) {
    const auto id = net::number_in(request, "id");
    auto question = net::dns_question_from(request);
    if (!id || !question) return false;
    auto asker = std::make_shared<Asker>(io_, peer, *id);
    if (!is_askable(question->type)) {
      send(*asker, net::error_answer({Kind::invalid, "this is no type of records"}));
      return true;
    }
    unsigned& of_peer = waiting_[peer.get()];
    const auto known = under_way_.find(*question);
    const bool full = known == under_way_.end() && under_way_.size() >= settings_.questions;
    if (full || of_peer >= settings_.questions_per_process) {
      if (of_peer == 0) waiting_.erase(peer.get());
      say_busy(full ? "resolver.questions" : "resolver.questions_per_process");
      send(*asker, net::error_answer({Kind::temporary, "too many questions under way"}));
      return true;
    }
    ++of_peer;
    wait(asker);
    if (known != under_way_.end()) {
      // Those who were told already need not stand here longer than the question does.
      std::erase_if(known->second, [](const auto& one) { return one->answered; });
      known->second.push_back(std::move(asker));
      return true;
    }
    under_way_.emplace(*question, Askers{std::move(asker)});
    source_.ask(*question, [self = weak_from_this(), question = *question](Result<net::DnsAnswer> answer) {
      if (auto state = self.lock()) state->hand_out(question, std::move(answer));
    });
    return true;
  }

  void wait(const std::shared_ptr<Asker>& asker) {
    asker->limit.expires_after(settings_.time_limit);
    asker->limit.async_wait([self = weak_from_this(), asker](const boost::system::error_code& error) {
      auto state = self.lock();
      if (!error && state) state->answer(*asker, net::error_answer({Kind::temporary, "no answer within the time limit"}));
    });
  }

  void hand_out(const net::DnsQuestion& question, Result<net::DnsAnswer> answer) {
    const auto found = under_way_.find(question);
    if (found == under_way_.end()) return;
    const Askers askers = std::move(found->second);
    under_way_.erase(found);
    // What was forged is no answer; why, stands in the log.
    if (!answer && answer.error().kind == Kind::corrupt) answer = Error{Kind::temporary, answer.error().what};
    if (answer) cut(*answer);
    const object message = answer ? net::to_json(*answer) : net::error_answer(answer.error());
    for (const auto& asker : askers) {
      asker->limit.cancel();
      this->answer(*asker, message);
    }
  }

  void cut(net::DnsAnswer& answer) const {
    std::size_t bytes = answer.records.front().size();
    for (std::size_t i = 1; i < answer.records.size(); ++i) {
      bytes += answer.records[i].size();
      if (bytes <= settings_.answer_bytes) continue;
      answer.records.resize(i);
      answer.cut = true;
    }
  }

  void answer(Asker& asker, const object& message) {
    if (asker.answered) return;
    asker.answered = true;
    if (const auto count = waiting_.find(asker.peer.get()); count != waiting_.end() && --count->second == 0) waiting_.erase(count);
    send(asker, message);
  }

  static void send(const Asker& asker, object message) {
    message["id"] = asker.id;
    asker.peer->send(message);
  }

  void say_busy(std::string_view setting) {
    const auto now = base::steady_now();
    if (said_busy_.time_since_epoch().count() != 0 && now - said_busy_ < kSayBusyEvery) return;
    said_busy_ = now;
    base::log_event(base::Severity::warning, "resolver-busy", {{"setting", setting}, {"questions", under_way_.size()}});
  }

  net::asio::io_context& io_;
  Source& source_;
  const ServerSettings settings_;
  std::map<net::DnsQuestion, Askers> under_way_;
  std::map<const net::FramePeer*, unsigned> waiting_;  // kept alive by their askers
  std::chrono::steady_clock::time_point said_busy_{};
  net::FrameServer frames_;
};

Server::Server(net::asio::io_context& io, base::Descriptor listening, Source& source, ServerSettings settings)
    : state_(std::make_shared<State>(io, std::move(listening), source, std::move(settings))) {}

Server::~Server() { stop(); }
void Server::start() { state_->start(); }
void Server::stop() { state_->stop(); }
std::size_t Server::under_way() const { return state_->under_way(); }

}  // namespace postern::resolver
