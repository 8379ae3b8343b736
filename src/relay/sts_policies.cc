// SPDX-License-Identifier: Apache-2.0
#include "relay/sts_policies.h"

#include "base/log.h"
#include "net/run_for_life.h"

#include <algorithm>
#include <map>
#include <utility>

namespace postern::relay {
namespace {

namespace asio = net::asio;
using base::Severity;
using net::Awaitable;
using std::chrono::steady_clock;

// As long as a policy of the largest size and what stands before it.
constexpr std::size_t kFileBytes = kStsPolicyBytes * 2;
constexpr std::chrono::hours kRefresh{24};
constexpr std::chrono::seconds kDiskPatience{10};

}  // namespace

class StsPolicies::State : public std::enable_shared_from_this<StsPolicies::State> {
 public:
  State(asio::io_context& io, net::Resolver& resolver, Fetch fetch, base::Files* files, int directory)
      : io_(io), resolver_(resolver), fetch_(std::move(fetch)), files_(files), directory_(directory), disk_(io, 1, 1000) {}

  static Awaitable<void> clean(std::shared_ptr<State> self) {
    if (self->directory_ < 0 || self->files_ == nullptr) co_return;
    std::function<std::optional<std::string>()> work = [&files = *self->files_, directory = self->directory_]() -> std::optional<std::string> {
      const auto names = base::list_directory(directory, 2 * kStsOnDisk);
      std::size_t left = 0;
      for (const std::string& name : names ? *names : std::vector<std::string>()) {
        const auto kept = read(directory, name);
        if (kept && kept->until() > base::wall_now()) ++left;
        else if (!files.unlink(directory, name)) ++left;
      }
      return std::to_string(left);
    };
    const auto ended = co_await self->disk_.run(std::move(work), std::chrono::minutes(5));
    if (ended.text) self->on_disk_ = std::stoul(*ended.text);
  }

  static Awaitable<StsFound> find(std::shared_ptr<State> self, std::string domain) {
    StsFound found;
    if (!may_have_sts_policy(domain)) co_return found;
    found.policy = self->kept(domain);
    const auto answer = co_await self->resolver_.query("_mta-sts." + domain, net::dns::kTxt);
    const auto id = answer ? sts_id(answer->texts()) : std::nullopt;
    // Section 5.1: a record that is gone takes nothing away.
    if (!id) co_return found;
    if (found.policy && found.policy->id == *id) {
      if (is_old(*found.policy)) refresh(self, domain, *id);
      co_return found;
    }
    StsFetched fetched = co_await renew(self, domain, *id);
    found.trouble = std::move(fetched.trouble);
    found.reason = std::move(fetched.reason);
    if (found.trouble.empty()) found.policy = self->kept(domain);
    co_return found;
  }

 private:
  // A policy that is being fetched, and who waits for it.
  struct UnderWay {
    explicit UnderWay(asio::io_context& io) : over(io, steady_clock::time_point::max()) {}
    asio::steady_timer over;  // cancelled at the end
    StsFetched result{std::nullopt, "sts-policy-fetch-error", "it came to nothing"};
  };
  struct Failed {
    std::string id;
    steady_clock::time_point until;
    StsFetched result;
  };

  static Result<KeptStsPolicy> read(int directory, const std::string& name) {
    auto bytes = base::read_file(directory, name, kFileBytes);
    if (!bytes) return bytes.error();
    return kept_sts_policy_from(*bytes);
  }

  static bool is_old(const KeptStsPolicy& kept) {
    const auto age = base::wall_now() - kept.fetched;
    // From the future: the clock was set back.
    return age.count() < 0 || age > std::min<std::chrono::seconds>(kRefresh, kept.policy.max_age / 2);
  }

  // What is in force for the domain.
  std::optional<KeptStsPolicy> kept(const std::string& domain) {
    auto known = memory_.find(domain);
    if (known == memory_.end() && directory_ >= 0) {
      auto from_disk = read(directory_, domain);
      if (from_disk) known = remember(domain, std::move(*from_disk));
    }
    if (known == memory_.end()) return std::nullopt;
    if (known->second.until() > base::wall_now()) return known->second;
    memory_.erase(known);
    return std::nullopt;
  }

  std::map<std::string, KeptStsPolicy>::iterator remember(const std::string& domain, KeptStsPolicy policy) {
    // All of them at once: what is asked for comes back from the disk.
    if (memory_.size() >= kStsInMemory) memory_.clear();
    return memory_.insert_or_assign(domain, std::move(policy)).first;
  }

  // Fetches the policy that `id` announces, once for all who ask; at the end it is kept.
  static Awaitable<StsFetched> renew(std::shared_ptr<State> self, std::string domain, std::string id) {
    if (const auto known = self->under_way_.find(domain); known != self->under_way_.end()) {
      const auto other = known->second;
      boost::system::error_code ignored;
      co_await other->over.async_wait(asio::redirect_error(net::use_awaitable, ignored));
      co_return other->result;
    }
    if (const auto failed = self->failed_.find(domain);
        failed != self->failed_.end() && failed->second.id == id && steady_clock::now() < failed->second.until)
      co_return failed->second.result;
    if (self->under_way_.size() >= kStsFetches) co_return StsFetched{std::nullopt, "sts-policy-fetch-error", "too many policies are being fetched"};
    const auto shared = std::make_shared<UnderWay>(self->io_);
    self->under_way_.emplace(domain, shared);
    struct AtEnd {
      State& state;
      const std::string& domain;
      UnderWay& shared;
      ~AtEnd() {
        state.under_way_.erase(domain);
        shared.over.cancel();
      }
    } const at_end{*self, domain, *shared};
    StsFetched fetched = co_await self->fetch_(domain);
    if (!fetched.policy) {
      base::log_event(Severity::notice, "mta-sts-not-fetched", {{"domain", domain}, {"id", id}, {"result", fetched.trouble}, {"reason", fetched.reason}});
      if (self->failed_.size() >= kStsInMemory) self->failed_.clear();
      self->failed_.insert_or_assign(domain, Failed{id, steady_clock::now() + kStsRetry, fetched});
      shared->result = fetched;
      co_return fetched;
    }
    self->failed_.erase(domain);
    const KeptStsPolicy kept{id, base::wall_now(), *fetched.policy};
    base::log_event(Severity::info, "mta-sts-fetched",
                    {{"domain", domain}, {"id", id}, {"mode", to_string(kept.policy.mode)}, {"hosts", kept.policy.hosts.size()}, {"until", base::iso8601(kept.until())}});
    const bool known = self->memory_.contains(domain);
    self->remember(domain, kept);
    shared->result = fetched;
    co_await write(self, domain, kept, known);
    co_return fetched;
  }

  static Awaitable<void> write(std::shared_ptr<State> self, std::string domain, KeptStsPolicy kept, bool known) {
    if (self->directory_ < 0 || self->files_ == nullptr) co_return;
    if (!known && self->on_disk_ >= kStsOnDisk) co_return;
    if (!known) ++self->on_disk_;
    std::function<std::optional<std::string>()> work = [&files = *self->files_, directory = self->directory_, domain,
                                                        bytes = to_bytes(kept)]() -> std::optional<std::string> {
      const auto written = base::replace_file(files, directory, domain, bytes, 0640);
      return written ? std::string() : written.error().what;
    };
    const auto ended = co_await self->disk_.run(std::move(work), kDiskPatience);
    if (ended.outcome != net::BlockingWork::Outcome::done || !ended.text || !ended.text->empty())
      base::log_event(Severity::warning, "mta-sts-not-kept", {{"domain", domain}, {"reason", ended.text.value_or("the disk takes too long")}});
  }

  static void refresh(const std::shared_ptr<State>& self, const std::string& domain, const std::string& id) {
    if (self->under_way_.contains(domain)) return;
    net::run_task(self->io_, "mta-sts", renew_unseen(self, domain, id), [](const std::string&) {});
  }
  static Awaitable<void> renew_unseen(std::shared_ptr<State> self, std::string domain, std::string id) {
    [[maybe_unused]] const auto fetched = co_await renew(self, std::move(domain), std::move(id));
  }

  asio::io_context& io_;
  net::Resolver& resolver_;
  Fetch fetch_;
  base::Files* files_;
  int directory_;
  net::BlockingWork disk_;
  std::map<std::string, KeptStsPolicy> memory_;
  std::map<std::string, std::shared_ptr<UnderWay>> under_way_;
  std::map<std::string, Failed> failed_;
  std::size_t on_disk_ = 0;
};

StsPolicies::StsPolicies(asio::io_context& io, net::Resolver& resolver, Fetch fetch, base::Files* files, int directory)
    : state_(std::make_shared<State>(io, resolver, std::move(fetch), files, directory)) {}

StsPolicies::~StsPolicies() = default;

Awaitable<void> StsPolicies::clean() { return State::clean(state_); }
Awaitable<StsFound> StsPolicies::find(std::string domain) { return State::find(state_, std::move(domain)); }

}  // namespace postern::relay
