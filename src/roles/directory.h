// SPDX-License-Identifier: Apache-2.0
#pragma once
// The directory role: the only process that has the account database, and the one that checks passwords.
#include "service/child.h"

namespace postern::roles {

// Serves run/directory.sock until it is told to finish or the master is gone; then ends at once (whoever asked asks again).
// Waits for the database while the directory of a killed master, or posternctl, still has it.
int run_directory(service::Start& start);

}  // namespace postern::roles
