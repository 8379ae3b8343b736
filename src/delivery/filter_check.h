// SPDX-License-Identifier: Apache-2.0
#pragma once
// What is wrong with the administrator's Sieve scripts of a configuration, with the places in their own files: for the check of the configuration
// and for postern-compile (access-control.md 5.2).
#include "conf/configuration.h"

#include <vector>

namespace postern::delivery {

std::vector<conf::Mistake> check_filters(const conf::Configuration& configuration);

}  // namespace postern::delivery
