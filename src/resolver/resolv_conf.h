// SPDX-License-Identifier: Apache-2.0
#pragma once
// The machine's name servers, as resolv.conf(5) has them.
#include "net/address.h"

#include <string_view>
#include <vector>

namespace postern::resolver {

// The addresses behind `nameserver`, port 53; lines that can't be read, and addresses with a scope, are left out. At most 16.
std::vector<net::Endpoint> name_servers_in(std::string_view resolv_conf);

}  // namespace postern::resolver
