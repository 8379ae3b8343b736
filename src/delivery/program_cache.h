// SPDX-License-Identifier: Apache-2.0
#pragma once
// Compiled filters on disk, so that no text is compiled twice by this version with these limits, also after a restart and by all delivery children.
//
// One file a program, named by its key (sieve::program_key()), in a directory of the delivery's own user. A file holds a SHA-256 over all of it,
// the key once more, a digest of each script that the text includes, and the program. One that is damaged, of another version, or whose
// included scripts have changed is as good as none: the text is compiled, and the file written anew, beside and renamed. Nothing is synced,
// since a file that a crash has spoilt shows it.
//
// Failure: none; what can't be read or written is compiled again next time (logged once). Limits: `most_bytes` in all; beyond it the files that were not used for the
// longest time go, down to three quarters.
#include "base/descriptor.h"
#include "base/files.h"
#include "sieve/compile.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern::delivery {

class ProgramCache {
 public:
  ProgramCache(base::Files& files, base::Descriptor directory, std::uint64_t most_bytes) : files_(files), directory_(std::move(directory)), most_bytes_(most_bytes) {}

  struct Found {
    std::shared_ptr<const sieve::Program> program;          // null if it is not there, or not to be trusted
    std::vector<sieve::Compiled::Included> included;        // what was looked for when it was compiled; also if only these have changed
  };
  Found find(std::string_view source, const sieve::CompileOptions& options);
  void keep(std::string_view source, const sieve::CompileOptions& options, const sieve::Compiled& compiled);

  struct Counters {
    std::uint64_t found = 0, kept = 0, refused = 0, removed = 0;  // refused: there, and not to be trusted
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  void make_room();
  base::Files& files_;
  base::Descriptor directory_;
  std::uint64_t most_bytes_;
  std::uint64_t unlisted_bytes_ = UINT64_MAX;  // written since the directory was looked through; at first that is not known
  std::uint64_t listed_bytes_ = 0;
  bool trouble_logged_ = false;
  Counters counters_;
};

}  // namespace postern::delivery
