// SPDX-License-Identifier: Apache-2.0
#pragma once
// The numbered compiled files of a tables directory (access-control.md 5.2): TABLES/tables/NNNNNN.db, never changed, and
// TABLES/tables.db, a hard link to the one in use, put in its place by rename.
//
// Two programs that change something here take turns by a lock on tables/.
#include "base/descriptor.h"

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postern::tools {

// A directory by its descriptor, and as the user named it.
struct Place {
  base::Descriptor descriptor;
  std::string path;
  struct stat status {};
};
Result<Place> open_place(const std::string& path);
// Root becomes the owner of a directory that is not root's: otherwise the owner could have root read, or write, files of others.
Result<void> become_owner(const Place& place);

// "000017.db" gives 17; 0 for any other name.
std::uint64_t number_of_tables(std::string_view name);
std::string name_of_tables(std::uint64_t number);

// TABLES/tables, locked until it goes; made if it is missing. One that can't be locked (only its owner may write there) is an error.
Result<base::Descriptor> lock_generations(const Place& target);
// The numbers of the files that are there, ascending. Kind::not_found: there is no TABLES/tables.
Result<std::vector<std::uint64_t>> generation_numbers(const Place& target);
// The number of the file that tables.db is a link to, or says it is; 0: there is none that can be read.
std::uint64_t number_in_force(const Place& target);
Result<base::Descriptor> open_generation(const Place& target, std::uint64_t number);

// Makes a numbered file the one in use, atomically. `numbered` as lock_generations() gives it.
Result<void> put_in_force(const Place& target, int numbered, std::uint64_t number);
// Removes the oldest beyond `kept`, never the one in use. One that can't be removed is no reason to fail.
void remove_oldest(const Place& target, int numbered, std::size_t kept);

}  // namespace postern::tools
