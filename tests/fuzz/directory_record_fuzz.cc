// SPDX-License-Identifier: Apache-2.0
// Records of the account database: whatever the bytes, a record comes out that may be stored and encodes to the same bytes, or an error.
#include "base/result.h"
#include "directory/record.h"

#include <cstddef>
#include <cstdint>

using namespace postern;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto domain = directory::decode_domain(bytes)) {
    POSTERN_ASSERT(directory::check(*domain).has_value());
    POSTERN_ASSERT(directory::encode(*domain) == bytes);
  }
  if (const auto account = directory::decode_account(bytes)) {
    POSTERN_ASSERT(directory::check(*account).has_value());
    POSTERN_ASSERT(directory::encode(*account) == bytes);
  }
  // Names come from the network too.
  if (const auto name = directory::canonical_account(bytes)) {
    const auto again = directory::canonical_account(*name);
    POSTERN_ASSERT(again && *again == *name);
    const std::string place = directory::mailbox_directory_for(*name);
    POSTERN_ASSERT(place.find("..") == std::string::npos && place.find("/.") == std::string::npos && place.find('/') == place.rfind('/'));
  }
  return 0;
}
