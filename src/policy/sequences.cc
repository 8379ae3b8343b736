// SPDX-License-Identifier: Apache-2.0
#include "policy/sequences.h"

#include "base/clock.h"
#include "base/descriptor.h"
#include "base/text.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <thread>

namespace postern::policy {
namespace {

// More than any number with its line end takes.
constexpr std::size_t kNumberBytes = 32;
constexpr std::chrono::milliseconds kLockPause(5);
constexpr std::string_view kBlanks = " \t\r\n";

Result<base::Descriptor> open_sequence(int directory, const std::string& file, int access) {
  const bool by_name = file.find('/') == std::string::npos;
  if (by_name ? file.empty() || file.front() == '.' || file.find('\0') != std::string::npos : !is_plain_path(file))
    return Error{Kind::invalid, "expected the name of a file in sequences/, or an absolute path without \"..\""};
  if (by_name && directory < 0) return Error{Kind::not_found, "there is no directory for it"};
  const std::string path = by_name ? "sequences/" + file : file;
  base::Descriptor opened(::openat(by_name ? directory : AT_FDCWD, path.c_str(), access | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!opened) return system_error(errno, "open");
  struct stat status{};
  if (::fstat(opened.get(), &status) != 0) return system_error(errno, "fstat");
  if (!S_ISREG(status.st_mode)) return Error{Kind::invalid, "not a plain file"};
  return opened;
}

Result<void> lock(int file, std::chrono::milliseconds patience) {
  const auto until = base::steady_now() + patience;
  while (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    if (error != EWOULDBLOCK && error != EINTR) return system_error(error, "flock");
    if (base::steady_now() >= until) return Error{Kind::temporary, "somebody else has it locked"};
    std::this_thread::sleep_for(kLockPause);
  }
  return {};
}

// The number behind the one that stands in the file; the bytes that it takes there go to `length`.
Result<std::uint64_t> number_behind(int file, std::size_t& length) {
  std::array<char, kNumberBytes + 1> bytes{};
  const ssize_t got = ::pread(file, bytes.data(), bytes.size(), 0);
  if (got < 0) return system_error(errno, "read");
  length = static_cast<std::size_t>(got);
  std::string_view text(bytes.data(), length);
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  text = text.substr(0, text.find_last_not_of(kBlanks) + 1);
  std::uint64_t number = 0;
  if (!text.empty()) {
    const auto found = base::number_from<std::uint64_t>(text);
    if (length > kNumberBytes || !found) return Error{Kind::corrupt, "expected one number, found \"" + base::printable(text, 40) + "\""};
    number = *found;
  }
  if (number == std::numeric_limits<std::uint64_t>::max()) return Error{Kind::permanent, "there is no number after " + std::to_string(number)};
  return number + 1;
}

}  // namespace

bool is_plain_path(const std::string& path) {
  if (!path.starts_with('/') || path.find('\0') != std::string::npos) return false;
  const auto parts = base::split(path, '/');
  return std::none_of(parts.begin(), parts.end(), [](std::string_view part) { return part == ".." || part == "."; }) && !parts.back().empty();
}

Result<std::uint64_t> next_in_sequence(int directory, const std::string& file, std::chrono::milliseconds patience) {
  auto opened = open_sequence(directory, file, O_RDWR);
  if (!opened) return opened.error();
  // Ends with the descriptor.
  if (auto locked = lock(opened->get(), patience); !locked) return locked.error();
  std::size_t length = 0;
  auto number = number_behind(opened->get(), length);
  if (!number) return number;
  const std::string next = std::to_string(*number) + "\n";
  // A number never gets shorter, so the old one is covered; zeros in front, or blanks, that somebody wrote are cut off.
  const ssize_t written = ::pwrite(opened->get(), next.data(), next.size(), 0);
  if (written != static_cast<ssize_t>(next.size())) return system_error(written < 0 ? errno : ENOSPC, "write");
  if (length > next.size() && ::ftruncate(opened->get(), static_cast<off_t>(next.size())) != 0) return system_error(errno, "truncate");
  return number;
}

Result<std::uint64_t> upcoming_in_sequence(int directory, const std::string& file) {
  auto opened = open_sequence(directory, file, O_RDONLY);
  if (!opened) return opened.error();
  std::size_t length = 0;
  return number_behind(opened->get(), length);
}

std::string sequence_text(std::uint64_t number, unsigned radix, unsigned width, std::uint64_t modulus) {
  constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  if (modulus != 0) number %= modulus;
  std::string text;
  do {
    text += kDigits[number % radix];
    number /= radix;
  } while (number != 0);
  if (text.size() < width) text.append(width - text.size(), '0');
  std::reverse(text.begin(), text.end());
  return text;
}

}  // namespace postern::policy
