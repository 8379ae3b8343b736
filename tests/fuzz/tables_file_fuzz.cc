// SPDX-License-Identifier: Apache-2.0
// The reader of compiled files: what is damaged is refused before the library looks at it. (What passes the check sum reaches the
// library, in the loader only, which is a process without rights.)
#include "keyfile/compiled.h"

#include "base/descriptor.h"
#include "base/files.h"

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace postern;
  const base::Descriptor file(::memfd_create("fuzz", MFD_CLOEXEC));
  if (!base::system_files().write_at(file.get(), {reinterpret_cast<const char*>(data), size}, 0)) return 0;
  const auto header = keyfile::check_compiled(file.get());
  if (!header) return 0;
  std::uint64_t records = 0;
  const auto read = keyfile::read_compiled(file.get(), [&](std::string_view key, std::string_view) {
    ++records;
    return !key.empty();
  });
  if (read) POSTERN_ASSERT(records == header->records);
  return 0;
}
