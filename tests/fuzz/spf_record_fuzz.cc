// SPDX-License-Identifier: Apache-2.0
// SPF records and macro strings.
#include "authentication/spf_record.h"

#include <cstdlib>

using namespace postern;
using namespace postern::authentication;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  MacroFacts facts;
  facts.client = net::Address::parse("2001:db8::1").value();
  facts.sender = "some-body@mail.example.com";
  facts.domain = "mail.example.com";
  facts.helo = "mx.example.com";
  facts.validated = "unknown";
  if (is_spf_record(text)) {
    const auto record = parse_spf_record(text);
    if (record)
      for (const Directive& directive : record->directives) {
        const auto name = expand_domain(directive.domain, facts);
        if (name && name->size() > 253) std::abort();
        if (directive.bits4 > 32 || directive.bits6 > 128) std::abort();
      }
  }
  for (const bool explaining : {false, true}) static_cast<void>(expand_macros(text, facts, explaining));
  return 0;
}
