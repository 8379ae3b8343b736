// SPDX-License-Identifier: Apache-2.0
#pragma once
// What becomes of a message on its way to other hosts, before it is put into the journal of what goes on (settings group `authentication`):
// our own gets the DKIM signatures of the domain in its From, what comes from outside gets a set of ARC fields and a reverse-path of ours (SRS).
//
// Failure: a message that can't be signed now is Kind::temporary for who hands it over, or goes unsigned if the settings say so; a seal or a
// reverse-path that can't be made is logged, and the message goes without.
#include "authentication/signing.h"
#include "authentication/srs.h"
#include "conf/configuration.h"
#include "delivery/deliverer.h"
#include "directory/directory.h"

#include <memory>
#include <string>
#include <vector>

namespace postern::roles {

// The site's rewriting of senders as the configuration has it; null: there is none, or its secrets can't be read, which is logged.
std::shared_ptr<const authentication::SenderRewriting> sender_rewriting(const conf::Configuration& configuration);

class OutgoingMail {
 public:
  // `directory` must outlive this.
  OutgoingMail(directory::Lookups& directory, std::shared_ptr<const conf::Configuration> configuration);
  void set_configuration(std::shared_ptr<const conf::Configuration> configuration);
  // Changes the message. An error: it must wait.
  net::Awaitable<Result<void>> prepare(delivery::Outgoing& message);

 private:
  [[nodiscard]] bool is_ours(const mail::Envelope& envelope) const;
  net::Awaitable<Result<void>> sign(delivery::Outgoing& message);
  net::Awaitable<Result<void>> seal(delivery::Outgoing& message);
  net::Awaitable<Result<void>> rewrite_sender(mail::Envelope& envelope);
  authentication::SignDigest signer();

  directory::Lookups& directory_;
  std::shared_ptr<const conf::Configuration> configuration_;
  std::shared_ptr<const authentication::SenderRewriting> rewriting_;
};

}  // namespace postern::roles
