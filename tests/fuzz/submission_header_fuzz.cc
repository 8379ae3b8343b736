// SPDX-License-Identifier: Apache-2.0
// A header that a submission server completes. What comes out needs no completion any more, and has the fields that a message must have.
#include "base/result.h"
#include "mail/header.h"
#include "mail/submission_header.h"

#include <cstddef>
#include <cstdint>

using namespace postern;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 20000) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view header = text.substr(0, mail::parse_header(text).bytes);
  mail::SubmissionFacts facts;
  facts.account = "user@example.com";
  facts.message_id = "id@example.com";
  facts.add_sender = size % 2 == 0;
  const auto completed = mail::completed_header(header, facts);
  const std::string result = completed.value_or(std::string(header));
  const mail::Header parsed = mail::parse_header(result);
  if (parsed.cut) return 0;
  unsigned found = 0;
  for (const auto& field : parsed.fields) {
    std::string name(field.name);
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    found |= name == "date" ? 1U : name == "message-id" ? 2U : name == "from" ? 4U : 0U;
    POSTERN_ASSERT(name != "bcc" && name != "return-path");
  }
  POSTERN_ASSERT(found == 7);
  // It is whole: nothing of the header has become a body.
  POSTERN_ASSERT(parsed.bytes == result.size());
  return 0;
}
