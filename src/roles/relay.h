// SPDX-License-Identifier: Apache-2.0
#pragma once
// The relay role: takes records of the outgoing journal as notices and scans show them, and sends them to other hosts.
#include "service/child.h"

namespace postern::roles {

// Runs confined, until it is told to finish. Returns the exit status.
int run_relay(service::Start& start);

}  // namespace postern::roles
