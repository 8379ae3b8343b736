// SPDX-License-Identifier: Apache-2.0
// DMARC records, and whose mail a header says it is.
#include "authentication/dmarc.h"

#include <cstdlib>

using namespace postern;
using namespace postern::authentication;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (is_dmarc_record(text)) {
    const auto record = parse_dmarc_record(text);
    if (record && record->percent > 100) std::abort();
  }
  const auto header = mail::parse_header(text);
  const auto domain = author_domain(header);
  if (domain && (domain->empty() || domain->size() > 255)) std::abort();
  const auto all = author_domains(header);
  if (all.size() > kMostAuthors || (domain && (all.size() != 1 || all.front() != *domain))) std::abort();
  return 0;
}
