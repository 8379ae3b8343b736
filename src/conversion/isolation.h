// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a program of the site sees and may change of this machine: nothing of the server's own files but the directory that it works in, and nothing but
// that directory (and what the site opens to it) to write to.
//
// Two ways, each used where the kernel allows it, whatever becomes of the other:
// - namespaces of its own (user, mount, process ids, IPC, and network unless it may use that): the server's directory is empty in there, with its
//   sockets, other processes can't be seen nor reached, and what the program has started ends with it, even if this process is killed.
// - Landlock (kernel 5.13): rules on files. All that its user may read can be read, but for the server's directory; 6.12 adds that it signals nobody else.
// find_out() tries both, once; program.cc then goes by what it found, and starts nothing that can't be isolated like that.
//
// Failure: Result. Between fork and execute only enter() and restrict_files() are called, which allocate nothing and leave errno.
// Limits: kMostVisible files and directories beside the server's.
#include "base/descriptor.h"
#include "conversion/work_directory.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace postern::conversion {

inline constexpr std::size_t kMostVisible = 10000;

class Isolation {
 public:
  // As nothing is known of the kernel: no isolation at all.
  Isolation() = default;
  // `writable`: directories that programs may change besides their own. Tries out what works.
  static Isolation find_out(const WorkPlace& place, std::vector<std::string> writable, bool network);

  // What there is, or why not, for the log.
  [[nodiscard]] const std::string& namespaces() const { return namespaces_; }
  [[nodiscard]] const std::string& files() const { return files_; }
  [[nodiscard]] bool none() const { return flags_ == 0 && version_ <= 0; }

  // For one program in `directory`.
  struct Ready {
    int flags = 0;                 // namespaces, for clone(); 0: none. That of mounts comes behind it
    std::string users, groups;     // what they are called in there: as outside
    struct Hidden {
      std::string place;                   // as the working directory has it, or the whole path
      std::vector<std::string> way;        // to the working directory, from outside to inside, if it lies below
    };
    std::vector<Hidden> hidden;
    base::Descriptor rules;        // of Landlock; not valid: none
    std::uint64_t reading = 0;     // their rights for /proc, which is another one in there
  };
  [[nodiscard]] Result<Ready> prepare(const base::Descriptor& directory) const;

 private:
  [[nodiscard]] Result<base::Descriptor> rules(const base::Descriptor& directory, const std::vector<std::string>& hidden, std::uint64_t reading) const;
  int flags_ = 0, version_ = 0;
  bool network_ = false;
  std::string hides_, namespaces_ = "none", files_ = "none";
  std::vector<std::string> writable_;
};

// Of a process that clone() has just made with ready.flags, in the working directory.
bool enter(const Isolation::Ready& ready);
// From now on, for this process and all that it starts. No new privileges must be set.
bool restrict_files(const Isolation::Ready& ready);
// fork(), with namespaces.
pid_t fork_into(int flags);

}  // namespace postern::conversion
