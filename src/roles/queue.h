// SPDX-License-Identifier: Apache-2.0
#pragma once
// The queue role: deferred messages come back into a journal when their time has come, or go back to their senders (queue/manager.h).
#include "service/child.h"

namespace postern::roles {

// Runs confined, until it is told to finish. Returns the exit status.
int run_queue(service::Start& start);

}  // namespace postern::roles
