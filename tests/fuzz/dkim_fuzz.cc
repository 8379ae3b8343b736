// SPDX-License-Identifier: Apache-2.0
// DKIM-Signature fields, tag lists and key records.
#include "authentication/key_record.h"
#include "authentication/signature.h"

#include <cstdlib>

using namespace postern::authentication;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const SignatureKind kind : {SignatureKind::dkim, SignatureKind::arc_message, SignatureKind::arc_seal}) {
    const auto signature = parse_signature(text, kind);
    if (signature && (signature->domain.empty() || signature->selector.empty() || signature->signature.empty())) std::abort();
  }
  const std::string field = "DKIM-Signature:" + std::string(text);
  const std::string bare = without_signature(field);
  if (bare.size() > field.size() || without_signature(bare) != bare) std::abort();
  for (const Form form : {Form::simple, Form::relaxed})
    if (!canonical_field(field, form).ends_with("\r\n")) std::abort();
  if (const auto record = parse_key_record(text)) {
    const auto key = read_public_key(*record);
    if (key) static_cast<void>(verify_digest(*key, std::string(32, 'x'), text));
  }
  return 0;
}
