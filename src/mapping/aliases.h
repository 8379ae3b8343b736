// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the compiler says about alias targets before any mail meets them: those that are no address, and those that lead in a circle.
//
// A target is an address or a local name. The forms by which other mail systems run programs, write files or include lists
// ("|command", "/file", ":include:/file") are no targets here; saying so when the file is compiled is better than mail that is lost.
// The last word on an address has mail::parse_mailbox(), when mail comes: this here knows syntax only.
//
// Failure: none. Limits: local part and domain as in mail/address.h; time and memory are linear in the aliases.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::mapping {

// Why `target` can't be one; nothing if it can.
std::optional<std::string> wrong_in_target(std::string_view target);

// Circles of two and more aliases, each as the names in it. `aliases` by name in lower case, targets joined by NUL, as in
// Compilation. An alias that names itself is none: it means the account behind it. Which domains are local is not known here but
// for those that aliases are written for, so a circle through another one is found only when mail comes.
std::vector<std::vector<std::string_view>> alias_circles(const std::map<std::string, std::string>& aliases);

}  // namespace postern::mapping
