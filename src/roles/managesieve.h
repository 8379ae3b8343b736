// SPDX-License-Identifier: Apache-2.0
#pragma once
// The role sieve: ManageSieve sessions over StreamService, accounts and their scripts from the directory child. It opens no mailbox.
#include "service/child.h"

namespace postern::roles {

// Serves until it has finished. 1 if it could not start; the reason is logged.
int run_managesieve(service::Start& start);

}  // namespace postern::roles
