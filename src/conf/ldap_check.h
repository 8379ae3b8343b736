// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the settings of the group `ldap` say together: servers, names, filters (RFC 4515), attributes.
//
// Failure: none; mistakes are told. Canonical domain names are written back.
#include "conf/configuration.h"

#include <functional>
#include <string>
#include <string_view>

namespace postern::conf {

// `line`: where exactly, if it is a line of a list.
using LdapMistake = std::function<void(const char* setting, const Place* line, std::string text, bool warning)>;
void check_ldap(Configuration& configuration, const LdapMistake& mistake);

// What is wrong with a template of a search filter, in words; empty: nothing. Known are %a, %l, %d and %%.
std::string ldap_filter_mistake(std::string_view filter);

}  // namespace postern::conf
