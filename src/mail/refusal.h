// SPDX-License-Identifier: Apache-2.0
#pragma once
// A recipient whose filter refuses a message that has not been answered yet (RFC 5429: reject, ereject; our own refuse).
#include <cstdint>
#include <string>

namespace postern::mail {

struct Refusal {
  std::uint32_t recipient = 0;  // number in the envelope
  std::string text;             // what the sending host is told; may have several lines
  friend bool operator==(const Refusal&, const Refusal&) = default;
};

}  // namespace postern::mail
