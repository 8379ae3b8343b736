// SPDX-License-Identifier: Apache-2.0
#pragma once
// Who may ask a process that answers others over a Unix socket.
#include "net/frame_server.h"
#include "service/child.h"

namespace postern::roles {

// The number of a system user. Kind::temporary if there is none of that name.
Result<uid_t> user_number(const std::string& name);

// The server's own users (all that the configuration names, if the master runs as root) may ask; root and the owner of the base directory
// may administer. Puts them into `settings`. Kind::temporary if one of the users can't be found.
Result<void> find_asking_users(const service::Start& start, net::FrameServerSettings& settings);

}  // namespace postern::roles
