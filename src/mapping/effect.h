// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the answer of an access table does to a session, to be compared and shown: for rehearsals, which set the tables in force beside
// others (access-control.md 2.9, OBSERVE_X; postern-compile(8), --replay).
#include "mapping/access_result.h"

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace postern::mapping {

// The tables that sessions ask themselves. The order is part of formats on disk and in shared memory: add at the end.
inline constexpr std::array<std::string_view, 8> kAskedTables{"PORT_ACCESS",      "INTERNAL_IP", "FROM_ACCESS", "ORIG_SEND_ACCESS",
                                                              "ORIG_MAIL_ACCESS", "SEND_ACCESS", "MAIL_ACCESS", "LOGIN_ACCESS"};
// Index into kAskedTables (any case); nothing for any other table.
std::optional<std::size_t> asked_table(std::string_view name);

// Whether two answers of one table do the same. From which entries they came does not count.
[[nodiscard]] bool same_effect(const AccessResult& one, const AccessResult& other);

// In one line: `refuse 5.7.1 "No relaying", delay 0.30 s`. Printable.
[[nodiscard]] std::string effect_text(const AccessResult& result);

}  // namespace postern::mapping
