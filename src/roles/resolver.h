// SPDX-License-Identifier: Apache-2.0
#pragma once
// The resolver role: the only process that speaks to name servers, with one cache for all others.
#include "service/child.h"

namespace postern::roles {

// Serves run/resolver.sock until it is told to finish or the master is gone; then ends at once (whoever asked asks its successor). Asks for
// its own replacement when the machine's resolv.conf, by which it goes, has changed.
int run_resolver(service::Start& start);

}  // namespace postern::roles
