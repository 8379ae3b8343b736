// SPDX-License-Identifier: Apache-2.0
#pragma once
// The conversion channel: the one role that starts programs of the site (doc/design/conversion.md).
#include "service/child.h"

namespace postern::roles {

int run_conversion(service::Start& start);

}  // namespace postern::roles
