// SPDX-License-Identifier: Apache-2.0
#pragma once
// The POP3 role: sessions over StreamService, accounts from the directory child, mailboxes from the store.
#include "service/child.h"

namespace postern::roles {

// Serves until it has finished. 1 if it could not start; the reason is logged.
int run_pop3(service::Start& start);

}  // namespace postern::roles
