// SPDX-License-Identifier: Apache-2.0
#pragma once
// For commands that work on the files of an account's mailbox, with the server running or not.
#include "base/descriptor.h"
#include "directory/directory.h"
#include "tools/posternctl.h"

#include <optional>
#include <string>

namespace postern::tools {

// The account's name, mailbox directory and script. Whoever asks the database becomes its owner for good, if no server runs, and that one may
// not read mail: so another process asks. Kind::not_found, with the reason, if there is no answer.
Result<directory::Account> look_up_account(const Context& context, const std::string& name);

// The text of an account's script, asked for in the same way; nothing if there is none of that name.
Result<std::optional<std::string>> look_up_script(const Context& context, const std::string& account, const std::string& script);

// The directory of all mailboxes; root becomes its owner for good, who is who touches their files.
Result<base::Descriptor> open_mailboxes(const Context& context);

}  // namespace postern::tools
