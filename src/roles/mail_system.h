// SPDX-License-Identifier: Apache-2.0
#pragma once
// The mail system as a role sees it that works on accepted mail (delivery, conversion, relay, queue): whose accounts there are, the rules in force
// and what their templates ask of the world, the journal that takes mail of its own, and notices to senders.
//
// Follows the orders of the master by itself. Failure: as its parts say.
#include "net/asio.h"

#include "directory/client.h"
#include "mail/envelope.h"
#include "queue/notification.h"
#include "roles/outside.h"
#include "roles/rules_in_force.h"
#include "roles/submitter.h"

#include <memory>
#include <string>
#include <vector>

namespace postern::roles {

class MailSystem {
 public:
  // What is opened first, since that may fail.
  struct Opened {
    std::unique_ptr<Submitter> submitter;
    directory::Generations generations;
  };
  static Result<Opened> open(service::Start& start);

  // Takes the base directory over, listens on the link. The references must outlive it.
  MailSystem(net::asio::io_context& io, service::Start& start, service::ControlLink& link, Opened opened);
  MailSystem(const MailSystem&) = delete;
  MailSystem& operator=(const MailSystem&) = delete;

  // Descriptor of the base directory, owned here.
  [[nodiscard]] int base() const { return base_.get(); }
  [[nodiscard]] directory::Generations& generations() { return generations_; }
  [[nodiscard]] directory::Client& directory() { return directory_; }
  [[nodiscard]] Outside& outside() { return outside_; }
  [[nodiscard]] RulesInForce& rules() { return rules_; }
  [[nodiscard]] queue::Notifier& notifier() { return notifier_; }
  // Of the journal of what is to be delivered.
  [[nodiscard]] Submitter& submitter() { return *submitter_; }
  [[nodiscard]] spool::SharedState& state() { return submitter_->state(); }

  // Puts a message into that journal.
  net::Awaitable<Result<void>> submit(mail::Envelope envelope, std::string message) { return submitter_->submit(std::move(envelope), std::move(message)); }
  // The final recipients of an address (policy::resolve()).
  net::Awaitable<Result<std::vector<mail::Recipient>>> resolve(std::string address);

 private:
  base::Descriptor base_;
  std::unique_ptr<Submitter> submitter_;
  directory::Generations generations_;
  directory::Client directory_;
  Outside outside_;
  RulesInForce rules_;
  queue::Notifier notifier_;
};

}  // namespace postern::roles
