// SPDX-License-Identifier: Apache-2.0
#include "roles/managesieve.h"

#include "base/log.h"
#include "delivery/filter_settings.h"
#include "directory/client.h"
#include "managesieve/session.h"
#include "net/blocking_work.h"
#include "roles/not_started.h"
#include "roles/outside.h"
#include "roles/rules_in_force.h"
#include "roles/service_watch.h"
#include "service/stream_service.h"

namespace postern::roles {
namespace {

// Scripts that are checked or wait for it: one at a time, since a script of any size takes a fraction of a second.
constexpr std::size_t kChecks = 32;
constexpr std::chrono::seconds kCheckTime(20);

// What sessions need, as this process has it.
class ProcessServices final : public managesieve::Services {
 public:
  ProcessServices(net::asio::io_context& io, RulesInForce& rules, directory::Lookups& directory) : rules_(rules), directory_(directory), checks_(io, 1, kChecks) {}
  std::shared_ptr<const conf::Configuration> configuration() override { return rules_.configuration(); }
  directory::Lookups& directory() override { return directory_; }
  net::Awaitable<policy::LoginDecision> login_access(policy::LoginFacts login) override {
    const policy::Access access = rules_.access();
    co_return co_await access.login_access(std::move(login));
  }
  net::Awaitable<Result<managesieve::ScriptReport>> check(std::string source, managesieve::OwnScripts own) override {
    // Of the thread too, which may outlast the wait.
    const auto report = std::make_shared<managesieve::ScriptReport>();
    std::function<std::optional<std::string>()> work = [report, source = std::move(source), own = std::move(own), options = delivery::compile_options(*rules_.configuration())] {
      *report = managesieve::check_script(source, options, own);
      return std::optional<std::string>("");
    };
    const auto ended = co_await checks_.run(std::move(work), kCheckTime);
    using Outcome = net::BlockingWork::Outcome;
    if (ended.outcome == Outcome::queue_full) co_return Error{Kind::temporary, "too many scripts are being checked"};
    if (ended.outcome == Outcome::too_late) co_return Error{Kind::temporary, "it took too long"};
    if (!ended.text) co_return Error{Kind::temporary, "the check came to nothing"};
    co_return std::move(*report);
  }
  std::uint32_t abilities() override { return delivery::kFilterAbilities; }
  std::size_t redirects() override { return rules_.configuration()->filters.redirects; }

 private:
  RulesInForce& rules_;
  directory::Lookups& directory_;
  net::BlockingWork checks_;
};

net::Awaitable<void> serve(net::SocketStream& stream, service::SessionContext& context, ProcessServices& services) {
  auto info = session_info<managesieve::SessionInfo>(context);
  ServiceWatch watch(context);
  co_await managesieve::run_session(stream, services, std::move(info), watch);
}

}  // namespace

int run_managesieve(service::Start& start) {
  net::asio::io_context io(1);
  auto generations = directory::Generations::map(start.take("generations"));
  if (!generations) return not_started("sieve", generations.error());
  directory::Client directory(io, start.get("base"), *generations);
  service::ControlLink link(io, start);
  Outside outside(io, start, start.get("base"), directory);
  TableObserver observer(io, start, outside.questions(), TableObserver::Share::network);
  RulesInForce rules(start, link, directory, outside.questions(), &observer);
  ProcessServices services(io, rules, directory);
  service::StreamService service(
      io, start, link,
      [&](net::SocketStream& stream, service::SessionContext& context) { return serve(stream, context, services); }, rules.port_access(),
      &outside.resolver());
  auto begun = service.begin();
  if (!begun) return not_started("sieve", begun.error());
  io.run();
  return 0;
}

}  // namespace postern::roles
