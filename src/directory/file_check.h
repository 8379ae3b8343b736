// SPDX-License-Identifier: Apache-2.0
#pragma once
// The files that settings name and only the directory process reads: ldap.password_file, ldap.authorities, sasl.token_keys.
//
// They are read with the rights of who asks, so `posternd -t` asks as the directory's user. Failure: what can't be used is a mistake, with the setting.
#include "base/result.h"
#include "conf/configuration.h"

#include <string>
#include <vector>

namespace postern::directory {

std::vector<conf::Mistake> check_files(const conf::Configuration& configuration);

// The first line of ldap.password_file, at most 4096 bytes of it; to be wiped. Kind::temporary: it is empty; or what the system says.
Result<std::string> read_ldap_password(const std::string& path);

}  // namespace postern::directory
