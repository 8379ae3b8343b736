// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a role does that can't begin its work.
#include "base/log.h"
#include "base/result.h"

#include <string_view>

namespace postern::roles {

// Logs role-not-started with the reason. Returns the exit status.
inline int not_started(std::string_view role, const Error& error) {
  base::log_event(base::Severity::error, "role-not-started", {{"role", role}, {"reason", error.what}});
  return 1;
}

}  // namespace postern::roles
