// SPDX-License-Identifier: Apache-2.0
// Envelope records: what decodes must encode to the same bytes.
#include "mail/envelope.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto envelope = postern::mail::decode_envelope(bytes);
  if (envelope && postern::mail::encode(*envelope) != bytes) std::abort();
  return 0;
}
