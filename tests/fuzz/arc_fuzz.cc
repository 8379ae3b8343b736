// SPDX-License-Identifier: Apache-2.0
// Messages with ARC sets and Authentication-Results fields, in two pieces.
#include "authentication/verification.h"

#include <cstdlib>

using namespace postern;
using namespace postern::authentication;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto header = mail::parse_header(text);
  const ArcChain chain = read_chain(header);
  if (chain.outcome == Outcome::pass) {
    const ArcSet& last = chain.sets.back();
    static_cast<void>(sealed_header(chain.sets, chain.sets.size(), whole_field(*last.results), whole_field(*last.message), whole_field(*last.seal), false));
    static_cast<void>(signed_header(header, last.message_signature.fields, Form::relaxed, whole_field(*last.message)));
  }
  std::size_t end = 0;
  for (const auto& [offset, bytes] : forged_results(header, "mx.example.com")) {
    if (offset < end || offset + bytes > text.size()) std::abort();
    end = offset + bytes;
  }
  Verifier verifier({.service = "mx.example.com"});
  verifier.add(text.substr(0, text.size() / 2));
  verifier.add(text.substr(text.size() / 2));
  static_cast<void>(verifier.header());
  return 0;
}
