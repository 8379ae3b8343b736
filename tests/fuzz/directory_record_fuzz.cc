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
    // Of an earlier version comes one of the present, but for its script.
    if (bytes[1] > 1) POSTERN_ASSERT(directory::encode(*account) == bytes);
    auto present = *account;
    present.account.filter.clear();
    POSTERN_ASSERT(directory::decode_account(directory::encode(*account)).value() == present);
  }
  if (const auto alias = directory::decode_alias(bytes)) POSTERN_ASSERT(directory::encode(*alias) == bytes);
  if (const auto script = directory::decode_script(bytes)) POSTERN_ASSERT(directory::encode(*script) == bytes);
  // Names come from the network too.
  if (const auto name = directory::canonical_account(bytes)) {
    const auto again = directory::canonical_account(*name);
    POSTERN_ASSERT(again && *again == *name);
    const std::string place = directory::mailbox_directory_for(*name);
    POSTERN_ASSERT(place.find("..") == std::string::npos && place.find("/.") == std::string::npos && place.find('/') == place.rfind('/'));
  }
  if (const auto target = directory::canonical_target(bytes)) POSTERN_ASSERT(directory::canonical_target(*target).value() == *target);
  return 0;
}
