// SPDX-License-Identifier: Apache-2.0
#pragma once
// The smtp role: sessions of the SMTP and LMTP listeners, from the accepted connection to the journal.
#include "service/child.h"

namespace postern::roles {

// Runs confined, until it is told to finish and its sessions have ended. Returns the exit status.
int run_smtp(service::Start& start);

}  // namespace postern::roles
