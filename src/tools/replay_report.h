// SPDX-License-Identifier: Apache-2.0
#pragma once
// `postern-compile --replay`: what new tables would change of what was asked in the last days, before they go live.
#include "mapping/compile.h"
#include "net/address_list.h"
#include "rehearsal/replay.h"
#include "tools/generations.h"

#include <sys/types.h>

#include <string>
#include <vector>

namespace postern::tools {

struct ReplayRequest {
  std::string program, base_directory;  // base directory: empty if the configuration could not be read
  unsigned days = 0;                    // 0: all that is kept
  bool json = false;
  bool kept_now = false;                // rehearsal.enabled
  net::AddressList clients;
  // What open_replay() opened.
  base::Descriptor tables_in_force;
  std::vector<rehearsal::OpenFile> files;
  uid_t owner = 0;                      // of the probes: who reads them
  gid_t group = 0;
};

// Opens the tables in force and the files of probes, as long as this process may.
Result<void> open_replay(ReplayRequest& request, const Place& target);

// Root becomes the owner of the probes first. Prints; returns the exit status: 0 nothing changes, 1 something does, 2 it can't be done.
int run_replay(ReplayRequest& request, const mapping::Compilation& compilation);

}  // namespace postern::tools
