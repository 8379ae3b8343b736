// SPDX-License-Identifier: Apache-2.0
#pragma once
// Flags that are no letters of Maildir, kept Dovecot's way: a folder's file `dovecot-keywords` gives each a number ("0 $Forwarded"), which
// stands as a letter 'a' to 'z' among those of a message's name. So other programs see them too.
//
// Failure: none. A keyword that there is no room for, or no time, is left out: RFC 5232 section 2 leaves what a mailbox can't keep to us.
// Limits: 26 keywords a folder; a writer waits at most a quarter of a second for another one.
#include "base/files.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern::store {

// The letters for `keywords` in the folder whose directory this is; new ones are written down first, durably.
std::string keyword_letters(base::Files& files, int folder_directory, std::span<const std::string> keywords);

// The keywords of the folder by their numbers, empty where there is none; nothing at all if the file can't be read.
std::vector<std::string> known_keywords(int folder_directory);

// What the file says: keywords by their numbers, empty where there is none.
std::vector<std::string> parse_keywords(std::string_view text);

}  // namespace postern::store
