// SPDX-License-Identifier: Apache-2.0
#include "net/session_watch.h"

namespace postern::net {

Awaitable<Result<void>> SessionWatch::start_tls(Input&) { co_return Error{Kind::not_found, "no certificate"}; }

}  // namespace postern::net
