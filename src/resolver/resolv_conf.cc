// SPDX-License-Identifier: Apache-2.0
#include "resolver/resolv_conf.h"

#include "base/text.h"

namespace postern::resolver {

std::vector<net::Endpoint> name_servers_in(std::string_view resolv_conf) {
  constexpr std::string_view kWord = "nameserver";
  std::vector<net::Endpoint> servers;
  for (std::string_view line : base::split(resolv_conf, '\n')) {
    if (!line.starts_with(kWord)) continue;
    line.remove_prefix(kWord.size());
    if (!line.starts_with(' ') && !line.starts_with('\t')) continue;
    line = base::trim(line);
    const auto address = net::Address::parse(line.substr(0, line.find_first_of(" \t\r")));
    if (address && servers.size() < 16) servers.push_back({*address, 53});
  }
  return servers;
}

}  // namespace postern::resolver
