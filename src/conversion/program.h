// SPDX-License-Identifier: Apache-2.0
#pragma once
// Runs one of the site's programs, without a shell, under limits, and waits for its end without holding anybody up.
//
// The program is executed in a session and process group of its own that it can't leave, with nothing open but its standard streams (nothing to
// read; what it writes goes to a file), in `directory`, as isolated as the kernel allows (isolation.h). It and all that it starts inherit what the role may
// not do (service/confinement.cc), and may besides open no sockets but those of this machine (unless `network`), and no process group of their own: so when it has ended, or its time
// is over, all of it is killed at once. So it is if this process dies.
//
// Between this process and the program stands another one of ours: the first process in the namespaces, which the kernel treats in another way than a program
// expects (no signal ends it by itself), and which buries what the program leaves behind.
//
// Four times a second, or as often as costs a twentieth of the time, it is looked at what its directory takes up, and by how much those of
// Limits::writable have grown: what fills them by many files is ended too. Whoever else writes there meanwhile is counted with it.
//
// Failure: Ended says what happened; nothing is thrown. Limits: those of Limits, kDirectoryFactor and kDirectoryFiles, 256 open files, no core file.
#include "base/descriptor.h"
#include "conversion/isolation.h"
#include "net/asio.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace postern::conversion {

// What a program may put into its directory, beside what it found there: so many times file_bytes, in so many files, at most 50 directories deep. An
// unpacked archive fits in.
inline constexpr std::uint64_t kDirectoryFactor = 10;
inline constexpr std::size_t kDirectoryFiles = 20'000;
// A directory of Limits::writable that has more than so many files when a program begins is not watched: to look through it would take too long.
inline constexpr std::size_t kMostCountedFiles = 100'000;

struct Limits {
  std::chrono::milliseconds time{300'000};   // of the clock; of one processor as much, in whole seconds
  std::uint64_t memory_bytes = std::uint64_t{4} << 30;  // address space of each process
  std::uint64_t file_bytes = 100 * 1024 * 1024;  // of each file that it writes; more is an error to it, not its end
  bool network = false;
  std::vector<std::string> writable;  // directories that it may change besides its own
  std::uint64_t writable_bytes = std::uint64_t{1} << 30;  // by which each of them may grow while it runs; 0: not looked at
};

struct Ended {
  enum class How { exited, signalled, too_late, too_much, too_much_elsewhere, not_started } how = How::not_started;  // elsewhere: in a directory of Limits::writable
  int status = 0;       // exited: its exit status; signalled: the signal
  std::string words;    // the first line that it wrote, printable; not_started: why
};

// What the program may not do beside what the role may not: made once, before the first program. Without it nothing is started.
class Confinement {
 public:
  static Result<Confinement> make(bool network);
  // Instructions for the kernel (struct sock_filter), as bytes.
  [[nodiscard]] const std::string& instructions() const { return instructions_; }

 private:
  std::string instructions_;
};

// `words`: the program's path and its arguments. `environment`: NAME=VALUE each. `directory` must live until then, and is where the file `output`
// is made.
net::Awaitable<Ended> run_program(std::vector<std::string> words, std::vector<std::string> environment, const base::Descriptor& directory, std::string output,
                                  Limits limits, const Confinement& confinement, const Isolation& isolation);

}  // namespace postern::conversion
