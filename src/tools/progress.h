// SPDX-License-Identifier: Apache-2.0
#pragma once
// How far a long run of a command is, on standard error.
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>

namespace postern::tools {

// How far reading is: on a terminal a line that changes, otherwise, once it takes long, a line every second.
class Progress {
 public:
  Progress() : terminal_(::isatty(STDERR_FILENO) == 1), patience_(terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(1000)) {}
  ~Progress() { clear(); }
  void show(std::uint64_t done, std::uint64_t all, const char* what = "reading") {
    const auto now = std::chrono::steady_clock::now();
    if (all == 0 || now - last_ < patience_) return;
    last_ = now;
    shown_ = true;
    std::fprintf(stderr, terminal_ ? "\r%s: %3d %%" : "%s: %3d %%\n", what, static_cast<int>(done * 100 / all));
  }
  void show(const char* what) {
    if (shown_) std::fprintf(stderr, terminal_ ? "\r%-20s" : "%s\n", what);
  }
  void clear() {
    if (shown_ && terminal_) std::fprintf(stderr, "\r%-20s\r", "");
  }

 private:
  bool terminal_, shown_ = false;
  std::chrono::milliseconds patience_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace postern::tools
