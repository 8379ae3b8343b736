// SPDX-License-Identifier: Apache-2.0
#pragma once
// Inside of service/: what child.cc and control_link.cc both need to understand the master's messages.
#include "service/child.h"

#include "net/orders.h"

namespace postern::service {

// The sockets that a "sockets" message carries.
Result<std::vector<ListeningSocket>> sockets_in(net::Order& order);
// The configuration in a sealed memory file.
Result<std::shared_ptr<const conf::Configuration>> read_configuration(int descriptor);
// Lines for standard error go to `file` from now on; an invalid one changes nothing.
void use_log_file(base::Descriptor file);

}  // namespace postern::service
