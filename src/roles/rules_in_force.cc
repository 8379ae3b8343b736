// SPDX-License-Identifier: Apache-2.0
#include "roles/rules_in_force.h"

#include "base/log.h"
#include "roles/outgoing_mail.h"

namespace postern::roles {

RulesInForce::RulesInForce(service::Start& start, service::ControlLink& link, directory::Lookups& directory, policy::Questions& questions,
                           TableObserver* observer)
    : directory_(directory), questions_(questions), observer_(observer) {
  take_configuration(start.configuration);
  if (base::Descriptor image = start.take("tables")) take_tables(std::move(image));
  link.on_tables([this](base::Descriptor image) { take_tables(std::move(image)); });
  link.on_configuration([this](std::shared_ptr<const conf::Configuration> configuration) { take_configuration(std::move(configuration)); });
}

void RulesInForce::take_tables(base::Descriptor image) {
  auto tables = mapping::Tables::map(std::move(image));
  if (!tables) {
    base::log_event(base::Severity::error, "tables-not-taken", {{"reason", tables.error().what}});
    return;
  }
  tables_ = std::move(*tables);
  make_access();
  if (observer_ != nullptr) observer_->take_tables(tables_);
}

void RulesInForce::take_configuration(std::shared_ptr<const conf::Configuration> configuration) {
  auto site = std::make_shared<policy::Site>(*policy::Site::from(*configuration));
  site->rewriting = sender_rewriting(*configuration);
  site_ = std::move(site);
  make_access();
  if (observer_ != nullptr) observer_->take_configuration(*configuration, site_);
  configuration_ = std::move(configuration);
}

service::PortAccess RulesInForce::port_access() const {
  service::PortAccess port_access;
  port_access.known = [this](const service::SessionContext& context) -> std::optional<bool> {
    const auto* const known = access().known_port_answer(context.local, context.remote.address, true);
    return known == nullptr ? std::nullopt : std::optional(known->matched);
  };
  port_access.ask = [this](const service::SessionContext& context) -> net::Awaitable<service::PortDecision> {
    const policy::Access tables = access();
    const net::Endpoint remote = context.remote;
    policy::PortDecision decision = co_await tables.port_access(context.module, context.local, remote, true);
    policy::log_decision(remote, decision);
    service::PortDecision answer;
    answer.verdict = std::move(decision.verdict);
    answer.text_to_send = std::move(decision.text);
    answer.restricted = decision.restricted;
    answer.debug_level = decision.debug_level;
    answer.matched = decision.matched;
    co_return answer;
  };
  return port_access;
}

}  // namespace postern::roles
