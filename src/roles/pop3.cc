// SPDX-License-Identifier: Apache-2.0
#include "roles/pop3.h"

#include "base/files.h"
#include "base/log.h"
#include "directory/client.h"
#include "pop3/inbox.h"
#include "pop3/session.h"
#include "roles/not_started.h"
#include "roles/outside.h"
#include "roles/rules_in_force.h"
#include "roles/service_watch.h"
#include "service/stream_service.h"

namespace postern::roles {
namespace {

// What sessions need, as this process has it.
class ProcessServices final : public pop3::Services {
 public:
  ProcessServices(RulesInForce& rules, directory::Lookups& directory, pop3::Inboxes& inboxes)
      : rules_(rules), directory_(directory), inboxes_(inboxes) {}
  std::shared_ptr<const conf::Configuration> configuration() override { return rules_.configuration(); }
  directory::Lookups& directory() override { return directory_; }
  net::Awaitable<policy::LoginDecision> login_access(policy::LoginFacts login) override {
    const policy::Access access = rules_.access();
    co_return co_await access.login_access(std::move(login));
  }
  net::Awaitable<Result<std::unique_ptr<pop3::Inbox>>> open_inbox(std::string mailbox_directory) override {
    return inboxes_.open(std::move(mailbox_directory), rules_.configuration()->pop3.messages);
  }

 private:
  RulesInForce& rules_;
  directory::Lookups& directory_;
  pop3::Inboxes& inboxes_;
};

net::Awaitable<void> serve(net::SocketStream& stream, service::SessionContext& context, ProcessServices& services) {
  auto info = session_info<pop3::SessionInfo>(context);
  ServiceWatch watch(context);
  co_await pop3::run_session(stream, services, std::move(info), watch);
}

}  // namespace

int run_pop3(service::Start& start) {
  net::asio::io_context io(1);
  auto generations = directory::Generations::map(start.take("generations"));
  if (!generations) return not_started("pop3", generations.error());
  const auto mail = base::open_directory(start.get("base"), "mail");
  if (!mail) return not_started("pop3", mail.error());
  directory::Client directory(io, start.get("base"), *generations);
  service::ControlLink link(io, start);
  Outside outside(io, start, start.get("base"), directory);
  TableObserver observer(io, start, outside.questions(), TableObserver::Share::mail);
  RulesInForce rules(start, link, directory, outside.questions(), &observer);
  pop3::Inboxes inboxes(io, base::system_files(), mail->get());
  ProcessServices services(rules, directory, inboxes);
  service::StreamService service(
      io, start, link,
      [&](net::SocketStream& stream, service::SessionContext& context) { return serve(stream, context, services); }, rules.port_access(),
      &outside.resolver());
  auto begun = service.begin();
  if (!begun) return not_started("pop3", begun.error());
  io.run();
  return 0;
}

}  // namespace postern::roles
