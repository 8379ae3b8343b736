// SPDX-License-Identifier: Apache-2.0
#pragma once
// What one program of the master hands to the next when it is executed in its place (upgrade): everything that the process knows,
// as a text with a version, and the numbers of the descriptors that stay open meanwhile.
//
// The text travels in one sealed memory file that only the master itself can have made (its descriptor's number is an argument of
// the execution). It owns nothing: whoever reads it duplicates what it wants, so that the numbers stay good for the way back.
//
// Failure: from_text() says what is wrong; Kind::invalid if the text is damaged, Kind::denied if this program can't go on from it
// (another version of the text, a format that it does not know). Fields that a reader does not know are left alone, so fields may be
// added without a new version; what a reader could not go on without needs one. doc/design/processes.md, "Upgrade".
#include "master/children.h"
#include "master/sockets.h"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::master {

inline constexpr unsigned kHandOverVersion = 1;
// Longest text: thousands of sockets and 256 children need less than a tenth of it.
inline constexpr std::size_t kHandOverBytes = 16 * 1024 * 1024;

struct HandedSocket {
  std::uint32_t id = 0;
  Wanted wanted;
  int socket = -1;  // not listening
  std::string error;
  bool absent = false;
};

// As Child; `control` is -1 if its end of the link is closed.
struct HandedChild {
  ChildFacts facts;
  int control = -1;
};

// Somebody at the control socket who still waits for an answer; `command` empty: he has asked nothing yet.
struct HandedRequest {
  int socket = -1;
  std::string command;
};

// What a dead child held in the shared memory `resource` and could not be given back yet.
struct HandedDebt {
  unsigned child = 0;
  std::uint64_t incarnation = 0;
  std::string resource;
};

struct HandedTables {
  int image = -1;
  std::uint64_t generation = 0;
  std::string loaded, error;
  // The file that was loaded or refused last, as Tables::seen.
  bool seen_any = false;
  std::uint64_t device = 0, inode = 0;
  std::int64_t size = 0, modified_seconds = 0, modified_nanoseconds = 0, changed_seconds = 0, changed_nanoseconds = 0;
};

struct HandOver {
  int text = -1;        // where this stands; not part of it
  std::string version;  // of the program that wrote it
  Formats formats;      // that it reads and writes
  int program = -1;     // its file: the way back
  std::string program_path;
  std::string failure;  // not empty: the program that is executed gets the server back, and why
  // Numbers of programs (Child::program): the writer's, the one that is executed, the highest that was given.
  unsigned writer_number = 1, program_number = 1, highest_number = 1;

  std::string configuration_path, pid_file;
  bool background = false;
  int lock = -1, base = -1, run = -1, control = -1, configuration = -1, log = -1;
  std::uint64_t generation = 0;
  std::string started_text;
  std::chrono::steady_clock::time_point started;

  std::uint64_t incarnation = 0, sequence = 0;
  std::uint32_t next_socket = 0;
  std::vector<HandedSocket> sockets;
  std::vector<HandedChild> children;
  std::vector<HandedDebt> owed;
  HandedTables tables;
  std::vector<std::pair<std::string, int>> descriptors;  // shared memory and sockets between children, by name
  std::vector<HandedRequest> requests;
  // Orders that came by signal meanwhile.
  bool reload = false, stop = false, reopen_log = false;

  // Number of the descriptor `name`, -1 if there is none.
  [[nodiscard]] int descriptor(std::string_view name) const;
  // All that must stay open over the execution.
  [[nodiscard]] std::vector<int> all_descriptors() const;
};

std::string to_text(const HandOver& hand_over);
// `ours`: the formats that the reading program knows.
Result<HandOver> from_text(std::string_view text, const Formats& ours);
// From the sealed file `number`. `others`: Options::formats.
Result<HandOver> read_hand_over(int number, const Formats& others);
// The formats of a program: those of the master's own and `others`.
Formats all_formats(Formats others);

}  // namespace postern::master
