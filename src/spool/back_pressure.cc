// SPDX-License-Identifier: Apache-2.0
#include "spool/back_pressure.h"

#include <algorithm>

namespace postern::spool {

std::chrono::milliseconds wait_for_delivery(std::uint64_t backlog, const BackPressure& pressure) {
  if (backlog <= pressure.from || pressure.most <= pressure.from) return std::chrono::milliseconds(0);
  const double way = std::min(1.0, static_cast<double>(backlog - pressure.from) / static_cast<double>(pressure.most - pressure.from));
  return std::chrono::milliseconds(static_cast<std::chrono::milliseconds::rep>(way * way * static_cast<double>(pressure.longest.count())));
}

}  // namespace postern::spool
