// SPDX-License-Identifier: Apache-2.0
// Addresses: a canonical form is its own canonical form; lists and Received fields take anything.
#include "mail/address.h"
#include "mail/header.h"
#include "mail/received.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace postern::mail;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& parsed : {parse_reverse_path(text), parse_forward_path(text)}) {
    if (!parsed || parsed->path.null || parsed->path.postmaster) continue;
    const std::string canonical = parsed->path.to_string();
    const auto again = parse_mailbox(canonical);
    if (!again || again->to_string() != canonical || again->local_part != parsed->path.mailbox.local_part) std::abort();
    for (const char c : canonical)
      if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) std::abort();
  }
  const AddressList list = parse_address_list(text);
  for (const auto& entry : list.addresses)
    if (entry.valid && entry.domain.empty()) std::abort();
  static_cast<void>(split_sub_address(text, "+-"));
  ReceivedFacts facts;
  facts.helo = facts.client_name = facts.tls = facts.recipient = text;
  facts.client_address = "192.0.2.1";
  facts.host_name = "mx.example.com";
  facts.protocol = "ESMTP";
  const std::string field = received_field(facts);
  const Header header = parse_header(field);
  if (header.fields.size() != 1 || header.has_body) std::abort();
  return 0;
}
