// SPDX-License-Identifier: Apache-2.0
#include "mail/message_id.h"

#include "base/clock.h"
#include "base/random.h"

#include <algorithm>

namespace postern::mail {

namespace {

constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuv";
constexpr std::size_t kTimeDigits = 11, kRandomDigits = 13, kChildDigits = 2;
constexpr std::size_t kLength = kTimeDigits + kRandomDigits + kChildDigits;

void append_number(std::string& out, std::uint64_t number, std::size_t digits) {
  const std::size_t begin = out.size();
  out.resize(begin + digits);
  for (std::size_t i = digits; i > 0; --i, number >>= 5) out[begin + i - 1] = kDigits[number & 31];
}

// Spreads every bit of `state` over all others (the finishing steps known from splitmix64).
std::uint64_t mixed(std::uint64_t state) {
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9U;
  state = (state ^ (state >> 27)) * 0x94d049bb133111ebU;
  return state ^ (state >> 31);
}

}  // namespace

std::string new_message_id(unsigned child) {
  std::string id;
  id.reserve(kLength);
  append_number(id, static_cast<std::uint64_t>(base::to_microseconds(base::wall_now())), kTimeDigits);
  append_number(id, base::random_u64(), kRandomDigits);
  append_number(id, child, kChildDigits);
  return id;
}

std::string derived_message_id(std::string_view id, unsigned recipient, unsigned action) {
  // The random digits are what makes an id unique; they are mixed anew, the rest stays, so that both sort together.
  std::uint64_t state = 0x9e3779b97f4a7c15U;
  for (const char c : id) state = mixed(state + static_cast<unsigned char>(c) + 1);
  state = mixed(state + recipient + 0x100000001U);
  state = mixed(state + action + 0x200000001U);
  std::string derived(id.substr(0, kTimeDigits));
  derived.resize(kTimeDigits, '0');
  append_number(derived, state, kRandomDigits);
  derived += id.size() == kLength ? id.substr(kLength - kChildDigits) : std::string_view("00");
  return derived;
}

bool is_message_id(std::string_view text) {
  return text.size() == kLength &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'v'); });
}

}  // namespace postern::mail
