// SPDX-License-Identifier: Apache-2.0
#include "resolver/unbound.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include <unbound.h>

#include <algorithm>
#include <map>

namespace postern::resolver {
namespace {

using namespace std::chrono_literals;

constexpr int kInternet = 1;    // the class IN
constexpr int kNoSuchName = 3;  // NXDOMAIN
// Forged answers can be many, and all for one reason.
constexpr auto kSayForgedEvery = 60s;

struct FreeContext {
  void operator()(ub_ctx* context) const { ub_ctx_delete(context); }
};
struct FreeResult {
  void operator()(ub_result* result) const { ub_resolve_free(result); }
};

Error failed(std::string_view doing, int code) { return {Kind::temporary, "libunbound, " + std::string(doing) + ": " + ub_strerror(code)}; }

Error unknown(std::string_view why) { return {Kind::temporary, "DNS: " + std::string(why)}; }

}  // namespace

class Unbound::State : public std::enable_shared_from_this<Unbound::State> {
 public:
  explicit State(net::asio::io_context& io) : context_(ub_ctx_create()), answers_(io) {}

  ~State() { answers_.release(); }

  Result<void> begin(const UnboundSettings& settings) {
    if (!context_) return Error{Kind::temporary, "libunbound has no memory"};
    // Nothing on standard error, which may be the log: what matters of each question is told here.
    ub_ctx_debugout(context_.get(), nullptr);
    if (const int code = ub_ctx_async(context_.get(), 1); code != 0) return failed("thread", code);
    // The memory is shared out as unbound.conf(5) advises: records need twice what messages do.
    const auto cache = [&](unsigned part) { return std::to_string(settings.cache_bytes * part / 8); };
    const std::string most = std::to_string(settings.questions);
    const std::pair<const char*, std::string> options[] = {
        {"msg-cache-size:", cache(2)},
        {"rrset-cache-size:", cache(4)},
        {"key-cache-size:", cache(1)},
        {"neg-cache-size:", cache(1)},
        // Each question that waits for a server has a socket; with the library's own 16, a few silent servers would hold up all others.
        {"outgoing-range:", most},
        {"outgoing-num-tcp:", std::to_string(std::clamp(settings.questions / 10, 2U, 64U))},
        {"num-queries-per-thread:", most},
        // A server that was away is asked again soon after it is back: the library's own quarter of an hour would put off mail for as long.
        {"infra-host-ttl:", "60"},
        {"infra-keep-probing:", "yes"},
        // Who asks from the root on goes where strangers' zones send it.
        {"do-not-query-localhost:", settings.servers.empty() ? "yes" : "no"},
        // The site's own servers know the names of its private addresses; nobody out there does.
        {"unblock-lan-zones:", settings.servers.empty() ? "no" : "yes"},
        {"insecure-lan-zones:", settings.servers.empty() ? "no" : "yes"},
    };
    for (const auto& [name, value] : options)
      if (const int code = ub_ctx_set_option(context_.get(), name, value.c_str()); code != 0) return failed(name, code);
    for (const net::Endpoint& server : settings.servers) {
      const std::string text = server.address.to_string() + "@" + std::to_string(server.port);
      if (const int code = ub_ctx_set_fwd(context_.get(), text.c_str()); code != 0) return failed(text, code);
    }
    if (!settings.trust_anchor_file.empty())
      if (const int code = ub_ctx_add_ta_file(context_.get(), settings.trust_anchor_file.c_str()); code != 0) return failed(settings.trust_anchor_file, code);
    boost::system::error_code error;
    answers_.assign(ub_fd(context_.get()), error);
    if (error) return Error{Kind::temporary, "libunbound's descriptor: " + error.message()};
    wait();
    return {};
  }

  void ask(const net::DnsQuestion& question, Done done) {
    const auto number = ++asked_;
    auto ticket = std::make_unique<Ticket>(Ticket{this, number});
    under_way_.emplace(number, Asked{question, std::move(done), nullptr});
    const int code = ub_resolve_async(context_.get(), question.name.c_str(), question.type, kInternet, ticket.get(), answered, nullptr);
    if (code == 0) {
      under_way_.at(number).ticket = std::move(ticket);
      return;
    }
    net::asio::post(answers_.get_executor(), [self = weak_from_this(), number, code] {
      if (auto state = self.lock()) state->finish(number, unknown(ub_strerror(code)));
    });
  }

  void stop() {
    boost::system::error_code ignored;
    answers_.cancel(ignored);
    under_way_.clear();
    stopped_ = true;
  }

 private:
  // What libunbound carries along with a question.
  struct Ticket {
    State* state;
    std::uint64_t number;
  };
  struct Asked {
    net::DnsQuestion question;
    Done done;
    std::unique_ptr<Ticket> ticket;
  };

  void wait() {
    answers_.async_wait(net::asio::posix::stream_descriptor::wait_read, [self = weak_from_this()](const boost::system::error_code& error) {
      auto state = self.lock();
      if (error || !state || state->stopped_) return;
      if (const int code = ub_process(state->context_.get()); code != 0) {
        // Its thread is gone, or what it writes can't be read: nothing would ever be answered again.
        base::log_event(base::Severity::critical, "role-failed", {{"reason", failed("answers", code).what}});
        std::_Exit(70);
      }
      state->wait();
    });
  }

  // Called by ub_process(); `result` is ours.
  static void answered(void* carried, int code, ub_result* raw) {
    const std::unique_ptr<ub_result, FreeResult> result(raw);
    const Ticket ticket = *static_cast<const Ticket*>(carried);
    ticket.state->finish(ticket.number, ticket.state->read(ticket.number, code, result.get()));
  }

  void finish(std::uint64_t number, Result<net::DnsAnswer> answer) {
    const auto found = under_way_.find(number);
    if (found == under_way_.end()) return;
    const Done done = std::move(found->second.done);
    under_way_.erase(found);
    done(std::move(answer));
  }

  Result<net::DnsAnswer> read(std::uint64_t number, int code, const ub_result* result) {
    const auto found = under_way_.find(number);
    if (found == under_way_.end()) return unknown("not asked");
    const net::DnsQuestion& question = found->second.question;
    if (code != 0 || result == nullptr) return unknown(ub_strerror(code));
    if (result->bogus != 0) {
      const std::string why = base::printable(result->why_bogus == nullptr ? "" : result->why_bogus, 300);
      say_forged(question, why);
      return Error{Kind::corrupt, "DNS: DNSSEC says the answer is forged: " + why};
    }
    if (result->nxdomain != 0 || result->rcode == kNoSuchName) return Error{Kind::not_found, "DNS: there is no such name"};
    if (result->rcode != 0) return unknown("the name servers fail (code " + std::to_string(result->rcode) + ")");
    if (result->havedata == 0) return Error{Kind::not_found, "DNS: the name has no such records"};
    net::DnsAnswer answer;
    answer.type = question.type;
    answer.secure = result->secure != 0;
    answer.time_to_live = std::chrono::seconds(std::max(result->ttl, 0));
    auto canonical = result->canonname == nullptr ? Result<std::string>(question.name) : net::canonical_dns_name(result->canonname);
    answer.canonical_name = canonical ? *canonical : question.name;
    for (int i = 0; result->data[i] != nullptr; ++i) answer.records.emplace_back(result->data[i], static_cast<std::size_t>(result->len[i]));
    if (answer.records.empty()) return Error{Kind::not_found, "DNS: the name has no such records"};
    return answer;
  }

  void say_forged(const net::DnsQuestion& question, const std::string& why) {
    ++forged_;
    const auto now = base::steady_now();
    if (said_forged_.time_since_epoch().count() != 0 && now - said_forged_ < kSayForgedEvery) return;
    said_forged_ = now;
    base::log_event(base::Severity::warning, "resolver-bogus",
                    {{"name", question.name}, {"type", net::dns_type_name(question.type)}, {"reason", why}, {"so_far", forged_}});
  }

  std::unique_ptr<ub_ctx, FreeContext> context_;
  net::asio::posix::stream_descriptor answers_;  // the library's descriptor, never closed here
  std::map<std::uint64_t, Asked> under_way_;
  std::uint64_t asked_ = 0, forged_ = 0;
  std::chrono::steady_clock::time_point said_forged_{};
  bool stopped_ = false;
};

Result<std::unique_ptr<Unbound>> Unbound::start(net::asio::io_context& io, const UnboundSettings& settings) {
  auto state = std::make_shared<State>(io);
  if (auto begun = state->begin(settings); !begun) return begun.error();
  return std::unique_ptr<Unbound>(new Unbound(std::move(state)));
}

Unbound::~Unbound() { state_->stop(); }

void Unbound::ask(const net::DnsQuestion& question, Done done) { state_->ask(question, std::move(done)); }

}  // namespace postern::resolver
