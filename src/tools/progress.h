// SPDX-License-Identifier: Apache-2.0
#pragma once
// How far a long run of a command is, on standard error.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace postern::tools {

// On a terminal a bar that grows, with the time that is left; otherwise, once it takes long, a line every second.
class Progress {
 public:
  Progress() : terminal_(::isatty(STDERR_FILENO) == 1), patience_(terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(1000)) {}
  ~Progress() { clear(); }
  void show(std::uint64_t done, std::uint64_t all, const char* what = "reading") {
    const auto now = Clock::now();
    if (all == 0 || now - last_ < patience_) return;
    last_ = now;
    done = std::min(done, all);
    const int percent = static_cast<int>(static_cast<double>(done) / static_cast<double>(all) * 100);
    if (terminal_) put(drawn(percent, done, all, what));
    else std::fprintf(stderr, "%s: %3d %%\n", what, percent);
    shown_ = true;
  }
  void show(const char* what) {
    if (!shown_) return;
    if (terminal_) put(what);
    else std::fprintf(stderr, "%s\n", what);
  }
  void clear() {
    if (!shown_ || !terminal_) return;
    put("");
    std::fputc('\r', stderr);
    shown_ = false;
  }

 private:
  using Clock = std::chrono::steady_clock;

  // loading  [############..................]  40 %  0:07 left
  std::string drawn(int percent, std::uint64_t done, std::uint64_t all, const char* what) const {
    constexpr int kWidth = 40;
    const int full = percent * kWidth / 100;
    std::string text = what + std::string("  [") + std::string(static_cast<std::size_t>(full), '#') + std::string(static_cast<std::size_t>(kWidth - full), '.') + "]";
    char number[48];
    std::snprintf(number, sizeof number, " %3d %%", percent);
    text += number;
    const double spent = std::chrono::duration<double>(last_ - began_).count();
    if (done == 0 || spent < 1) return text;
    const auto left = static_cast<std::uint64_t>(std::min(1e9, spent * static_cast<double>(all - done) / static_cast<double>(done)));
    std::snprintf(number, sizeof number, "  %u:%02u left", static_cast<unsigned>(left / 60), static_cast<unsigned>(left % 60));
    return text + number;
  }

  // In the place of the line before.
  void put(const std::string& text) {
    std::fprintf(stderr, "\r%-*s", static_cast<int>(width_), text.c_str());
    width_ = text.size();
  }

  bool terminal_, shown_ = false;
  std::size_t width_ = 0;
  std::chrono::milliseconds patience_;
  const Clock::time_point began_ = Clock::now();
  Clock::time_point last_ = began_;
};

}  // namespace postern::tools
