// SPDX-License-Identifier: Apache-2.0
// The image reader: whatever the bytes, a probe ends and stays inside them.
#include "mapping/access_result.h"
#include "mapping/tables.h"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace postern;
  const auto tables = mapping::Tables::from_bytes(std::string(reinterpret_cast<const char*>(data), size));
  if (!tables) return 0;
  int asked = 0;
  for (const std::string& name : tables->names()) {
    if (++asked > 3) break;
    for (const char* probe : {"TCP|192.0.2.1|25|198.51.100.7|40312", "tcp_local|a@example.org|tcp_local|b@example.net", "192.0.2.50", "2001:db8::7", "", "bdab.word12@mx.dom3.example.com|tail"})
      [[maybe_unused]] const auto result = mapping::read_access(name, mapping::evaluate(*tables, name, probe, mapping::Flags("AT"), true));
  }
  [[maybe_unused]] const auto targets = tables->alias("postmaster@example.com");
  [[maybe_unused]] const auto value = tables->general("key");
  return 0;
}
