// SPDX-License-Identifier: Apache-2.0
#pragma once
// The delivery role: takes records of the journal as notices and scans show them, and delivers them.
#include "service/child.h"

namespace postern::roles {

// Runs confined, until it is told to finish. Returns the exit status.
int run_delivery(service::Start& start);

}  // namespace postern::roles
