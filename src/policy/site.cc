// SPDX-License-Identifier: Apache-2.0
#include "policy/site.h"

#include "base/text.h"

namespace postern::policy {
namespace {

Site read(const conf::Configuration& configuration, std::vector<conf::Mistake>& mistakes) {
  Site site;
  site.channels = Channels::parse(configuration.channels, mistakes);
  site.rewrite = RewriteRules::parse(configuration.rewrite, site.channels, mistakes);
  site.options = configuration.access;
  site.clients = configuration.client_addresses;
  site.host_name = base::lower(configuration.host_name);
  site.converts = conf::conversions(configuration).has_value();
  site.most_addresses = configuration.directory.group_members;
  site.most_steps = configuration.directory.expansion_steps;
  site.full_is_permanent = configuration.quota.full_reply == conf::Quota::FullReply::permanent;
  site.recipient_delimiter = configuration.recipient_delimiter;
  return site;
}

}  // namespace

std::shared_ptr<const Site> Site::from(const conf::Configuration& configuration) {
  std::vector<conf::Mistake> mistakes;
  return std::make_shared<const Site>(read(configuration, mistakes));
}

std::vector<conf::Mistake> check(const conf::Configuration& configuration) {
  std::vector<conf::Mistake> mistakes;
  const Site site = read(configuration, mistakes);
  for (const conf::Listener& listener : configuration.listeners)
    for (std::size_t i = 0; i < listener.sockets.size(); ++i) {
      const conf::SocketRow& row = listener.sockets[i];
      if (row.channel.empty() || site.channels.find(row.channel) != nullptr) continue;
      mistakes.push_back({row.place, "listeners." + std::string(conf::to_string(listener.module)) + ".sockets[" + std::to_string(i) + "].channel",
                          "there is no channel \"" + base::printable(row.channel, 64) + "\""});
    }
  return mistakes;
}

}  // namespace postern::policy
