// SPDX-License-Identifier: Apache-2.0
#pragma once
// What is known of a folder besides its messages: its id (RFC 8474, 9042), its special uses (RFC 6154), annotations (RFC 5464). One
// small file in the folder, `postern-folder`, which goes with it when it is renamed. Format: doc/design/store.md.
//
// Failure: Result; a file that does not read back is none. Limits: 1,000 folders of an account are looked at, 64 KiB a file.
#include "base/files.h"

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace postern::store {

struct FolderFacts {
  std::string id;                                  // 16 letters and digits; empty: none yet
  std::vector<std::string> uses;                   // "\\Junk"
  std::map<std::string, std::string> annotations;  // by entry in lower case, "/private/comment"
  friend bool operator==(const FolderFacts&, const FolderFacts&) = default;
};

struct NamedFolder {
  std::string name;  // "INBOX", or UTF-8 with '/' between levels
  FolderFacts facts;
};

// All folders of an account, the inbox first, then by name. None if there is no mailbox yet.
Result<std::vector<NamedFolder>> list_folders(int mail_directory, const std::string& account_directory);
// Of one folder; Kind::not_found if it is not there.
Result<FolderFacts> read_folder_facts(int mail_directory, const std::string& account_directory, const std::string& folder);
// Durable on return. The folder must be there.
Result<void> write_folder_facts(base::Files& files, int mail_directory, const std::string& account_directory, const std::string& folder, const FolderFacts& facts);
std::string new_folder_id();

// Kind::corrupt for what format_folder_facts() did not write.
Result<FolderFacts> parse_folder_facts(std::string_view text);
std::string format_folder_facts(const FolderFacts& facts);

// The folder of a directory's name, the other way round than folder_directory(): "Lists/Postern" for ".Lists.Postern". Kind::invalid for a
// name that is none.
Result<std::string> folder_of_directory(std::string_view directory);

}  // namespace postern::store
