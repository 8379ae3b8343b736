// SPDX-License-Identifier: Apache-2.0
// The conversion channel's foreign bytes. The first one says which: the file of conversions, what a program wrote to OUTPUT_OPTIONS, or a message whose parts
// are changed and removed.
#include "conversion/entries.h"
#include "conversion/options.h"
#include "conversion/part_change.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

using namespace postern;

namespace {

// Every third part is removed, every third gets another body, the others another description.
void edit(const mail::Part& part, const mail::Part* multipart, const mail::Part* message, conversion::Changes& changes, unsigned& number) {
  if (!part.children.empty()) {
    for (const mail::Part& child : part.children) edit(child, part.type == "message" ? nullptr : &part, part.type == "message" ? &child : message, changes, number);
    return;
  }
  conversion::PartChange change;
  switch (number++ % 3) {
    case 0: changes.remove(part, multipart, &part == message); return;
    case 1:
      change.body = mail::decoded_bytes(part, std::string::npos) + "\n--x";
      change.type = "text";
      change.parameters = {{"name", "\xc3\xbc\"\\"}};
      break;
    default: change.description = "Changed"; break;
  }
  changes.change(part, &part == message, change);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0: {
      const conversion::Entries entries = conversion::parse_entries(bytes, "conversions");
      if (entries.list.size() > conversion::kMostEntries) std::abort();
      for (const conversion::Entry& entry : entries.list)
        for (const conversion::Template& word : entry.command) static_cast<void>(word.expand({{"INPUT_FILE", "x"}}));
      break;
    }
    case 1:
      if (conversion::parse_options(bytes).diagnostic.size() > conversion::kMaxDiagnosticBytes) std::abort();
      break;
    default: {
      const std::string message(bytes);
      const mail::Part top = mail::parse_structure(message);
      conversion::Changes changes(message);
      unsigned number = 0;
      edit(top, nullptr, &top, changes, number);
      if (!changes.any()) std::abort();
      static_cast<void>(mail::parse_structure(changes.result()));
    }
  }
  return 0;
}
