// SPDX-License-Identifier: Apache-2.0
#pragma once
// Keeps the delivery and queue children of two masters apart (design: no record is worked on twice).
#include "service/child.h"

namespace postern::roles {

// Waits until no such child of another master is left: they end when they notice that their master is gone. The lock is common
// to all children of this master and goes with the last of them. Kind::temporary after kWorkersPatience.
inline constexpr std::chrono::seconds kWorkersPatience{20};
Result<void> wait_for_other_workers(service::Start& start);

}  // namespace postern::roles
