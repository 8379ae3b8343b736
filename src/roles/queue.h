// SPDX-License-Identifier: Apache-2.0
#pragma once
// The queue role: deferred messages come back into the journal when their time has come.
#include "service/child.h"

namespace postern::roles {

// Runs confined, until it is told to finish. Returns the exit status.
int run_queue(service::Start& start);

}  // namespace postern::roles
