// SPDX-License-Identifier: Apache-2.0
#pragma once
// The role `snmp`: answers SNMP requests from what the server's shared memories say. It may read them, and writes only the counts of
// its own datagrams; so whoever breaks it finds figures, and no mail.
#include "service/child.h"

namespace postern::roles {

int run_snmp(service::Start& start);

}  // namespace postern::roles
