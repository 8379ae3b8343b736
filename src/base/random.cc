// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include "base/result.h"

#include <sys/random.h>

#include <cerrno>

namespace postern::base {

std::uint64_t random_u64() {
  std::uint64_t value = 0;
  ssize_t got = 0;
  do got = ::getrandom(&value, sizeof value, 0);
  while (got < 0 && errno == EINTR);
  POSTERN_ASSERT(got == static_cast<ssize_t>(sizeof value));
  return value;
}

std::string random_name() {
  constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuv";
  std::uint64_t value = random_u64();
  std::string name(13, '0');
  for (char& c : name) {
    c = kDigits[value & 31];
    value >>= 5;
  }
  return name;
}

}  // namespace postern::base
