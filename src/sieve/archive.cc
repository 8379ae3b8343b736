// SPDX-License-Identifier: Apache-2.0
#include "sieve/archive.h"

#include "sieve/program.h"

#include <algorithm>
#include <utility>

namespace postern::sieve {

namespace {

// Longer times are cut when scripts are compiled.
constexpr std::int64_t kMostSeconds = std::int64_t{36500} * 86400;

}  // namespace

// Seven bits a byte, the lowest first; most numbers are small.
void Archive::carry(std::uint64_t& value) {
  if (!reads()) {
    std::uint64_t left = value;
    for (; left >= 128; left >>= 7) *to_ += static_cast<char>((left & 127) | 128);
    *to_ += static_cast<char>(left);
    return;
  }
  value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (from_.empty()) break;
    const auto byte = static_cast<unsigned char>(from_.front());
    from_.remove_prefix(1);
    // One way to write each number; the tenth byte has one bit.
    if (shift == 63 && byte > 1) break;
    value |= std::uint64_t{byte & 127U} << shift;
    if (byte < 128) {
      if (byte == 0 && shift > 0) break;
      return;
    }
  }
  value = 0;
  fail();
}

void Archive::carry(bool& value) {
  std::uint64_t number = value ? 1 : 0;
  carry(number);
  if (number > 1) fail();
  value = number == 1;
}

void Archive::carry(std::uint32_t& value) {
  std::uint64_t number = value;
  carry(number);
  if (number > 0xffffffff) fail();
  value = failed_ ? 0 : static_cast<std::uint32_t>(number);
}

void Archive::carry(int& value) {
  auto number = static_cast<std::uint64_t>(std::max(value, 0));
  carry(number);
  if (number > 0x7fffffff) fail();
  value = failed_ ? 0 : static_cast<int>(number);
}

void Archive::carry(std::string& value) {
  std::size_t size = value.size();
  count(size);
  if (!reads()) {
    *to_ += value;
    return;
  }
  value.assign(from_.substr(0, failed_ ? 0 : size));
  from_.remove_prefix(value.size());
}

void Archive::carry(std::chrono::seconds& value) {
  auto number = static_cast<std::uint64_t>(std::clamp<std::int64_t>(value.count(), 0, kMostSeconds));
  carry(number);
  if (number > static_cast<std::uint64_t>(kMostSeconds)) fail();
  value = std::chrono::seconds(failed_ ? 0 : static_cast<std::int64_t>(number));
}

void Archive::count(std::size_t& number) {
  std::uint64_t value = number;
  carry(value);
  if (reads() && value > from_.size()) fail();
  number = failed_ ? 0 : static_cast<std::size_t>(value);
}

void Archive::reference(std::uint32_t& number, std::size_t below) {
  carry(number);
  if (reads() && number >= below) fail();
}

void Archive::variable(std::uint32_t& number) {
  carry(number);
  if (!reads()) return;
  if ((number & kGlobalVariable) == 0) variables_ = std::max<std::size_t>(variables_, std::size_t{number} + 1);
  else if ((number & ~kGlobalVariable) >= shape_.global_variables) fail();
}

void Archive::unit(std::uint32_t& number) {
  reference(number, shape_.units);
  if (reads() && !failed_) units_.push_back(number);
}

std::vector<std::uint32_t> Archive::take_units() { return std::exchange(units_, {}); }

std::size_t Archive::take_variables() { return std::exchange(variables_, 0); }

}  // namespace postern::sieve
