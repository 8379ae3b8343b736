// SPDX-License-Identifier: Apache-2.0
// Envelope records: what decodes must encode to the same bytes; an older version to a record of the present one that says the same.
#include "mail/envelope.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto envelope = postern::mail::decode_envelope(bytes);
  if (!envelope) return 0;
  const std::string encoded = postern::mail::encode(*envelope);
  constexpr std::size_t kVersionAt = 4;
  if (bytes[kVersionAt] == encoded[kVersionAt]) {
    if (encoded != bytes) std::abort();
  } else {
    const auto again = postern::mail::decode_envelope(encoded);
    if (!again || postern::mail::encode(*again) != encoded) std::abort();
  }
  return 0;
}
