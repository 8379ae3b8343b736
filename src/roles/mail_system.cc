// SPDX-License-Identifier: Apache-2.0
#include "roles/mail_system.h"

#include "policy/access.h"

namespace postern::roles {

namespace asio = net::asio;
using net::Awaitable;

Result<MailSystem::Opened> MailSystem::open(service::Start& start) {
  auto submitter = Submitter::open(start);
  if (!submitter) return submitter.error();
  auto generations = directory::Generations::map(start.take("generations"));
  if (!generations) return generations.error();
  return Opened{std::move(*submitter), std::move(*generations)};
}

MailSystem::MailSystem(asio::io_context& io, service::Start& start, service::ControlLink& link, Opened opened)
    : base_(start.take("base")),
      submitter_(std::move(opened.submitter)),
      generations_(std::move(opened.generations)),
      directory_(io, base_.get(), generations_),
      outside_(io, start, base_.get(), directory_),
      rules_(start, link, directory_, outside_.questions()),
      notifier_([this](std::string address) { return resolve(std::move(address)); },
                [this](mail::Envelope envelope, std::string message) { return submit(std::move(envelope), std::move(message)); },
                queue::notification_settings(*start.configuration)) {
  link.on_configuration([this](const std::shared_ptr<const conf::Configuration>& configuration) {
    notifier_.set_settings(queue::notification_settings(*configuration));
  });
}

Awaitable<Result<std::vector<mail::Recipient>>> MailSystem::resolve(std::string address) {
  const policy::Access access = rules_.access();
  co_return co_await policy::resolve(access, std::move(address));
}

}  // namespace postern::roles
