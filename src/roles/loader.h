// SPDX-License-Identifier: Apache-2.0
#pragma once
// The loader role: reads and checks one compiled file of mapping tables and answers the master with the sealed image of it, or
// with the reason why it is refused. Short-lived, without rights: what a damaged file does to it, it does to nobody else.
#include "service/child.h"

namespace postern::roles {

int run_loader(service::Start& start);

}  // namespace postern::roles
