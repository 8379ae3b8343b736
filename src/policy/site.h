// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the rules of a site are, taken from a checked configuration once and shared by every session that began under it.
#include "authentication/srs.h"
#include "conf/configuration.h"
#include "policy/channels.h"
#include "policy/rewrite.h"

#include <memory>
#include <vector>

namespace postern::policy {

struct Site {
  Channels channels;
  RewriteRules rewrite;
  conf::AccessOptions options;
  net::AddressList clients;         // behind the call-out postern:client
  std::string host_name;            // lower case
  bool converts = false;            // there is a conversion channel (section 7)
  std::shared_ptr<const authentication::SenderRewriting> rewriting;  // of senders (SRS); null: none
  std::size_t most_addresses = 10000;  // that one recipient may lead to (directory.group_members)
  std::size_t most_steps = 100000;  // addresses looked at for one recipient (directory.expansion_steps)
  bool full_is_permanent = false;   // a recipient whose mailbox is full is refused with 552 instead of 452 (quota.full_reply)
  std::string recipient_delimiter;  // any one of these characters parts the sub-address from the name; empty: no sub-addresses

  // Of a configuration that check() finds nothing wrong with; what is wrong is left out.
  static std::shared_ptr<const Site> from(const conf::Configuration& configuration);
};

// Everything that is wrong in `channels`, `rewrite`, `recipient_delimiter` and the channels that socket rows name.
std::vector<conf::Mistake> check(const conf::Configuration& configuration);

}  // namespace postern::policy
