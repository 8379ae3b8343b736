// SPDX-License-Identifier: Apache-2.0
// The name that a client asks for in its ClientHello, and how it is compared.
#include "net/server_name.h"

#include "base/result.h"
#include "base/text.h"

#include <cstddef>
#include <cstdint>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace postern;
  const std::string_view extension(reinterpret_cast<const char*>(data), size);
  const std::string_view found = net::server_name_in(extension);
  // Part of what was given, or nothing.
  POSTERN_ASSERT(found.empty() || (found.data() >= extension.data() && found.data() + found.size() <= extension.data() + extension.size()));
  for (const std::string_view text : {found, extension}) {
    const std::string name = net::normal_server_name(text);
    POSTERN_ASSERT(name.size() <= 253 && net::normal_server_name(name) == name && base::lower(name) == name);
    if (name.empty()) continue;
    const auto dot = name.find('.');
    if (dot == std::string::npos) continue;
    const std::string pattern = "*" + name.substr(dot);
    POSTERN_ASSERT(net::wildcard_covers(pattern, name) && !net::wildcard_covers(pattern, "x." + name));
  }
  return 0;
}
