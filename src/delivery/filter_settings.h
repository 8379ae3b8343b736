// SPDX-License-Identifier: Apache-2.0
#pragma once
// What postern.conf says of filters, for all who compile or run them: delivery, the check of a configuration, tools. Limits and capabilities
// are the same everywhere, so that a script which is taken is one that runs.
#include "conf/configuration.h"
#include "delivery/filtering.h"

namespace postern::delivery {

// With the limits and the scripts for `include :global`. An account's own scripts are not looked at: all of them are there, and empty, so that
// a script can be checked before those that it includes are stored; nobody's own, there are none. Delivery has the real ones.
enum class Owner { account, nobody };
sieve::CompileOptions compile_options(const conf::Configuration& configuration, Owner owner = Owner::account);
FilterSettings filter_settings(const conf::Configuration& configuration);

}  // namespace postern::delivery
