// SPDX-License-Identifier: Apache-2.0
#pragma once
// Where in a message's header addresses and message identifiers stand, byte for byte, so that they can be replaced in place.
//
// Looked at are the fields of RFC 5322 that hold addresses (From, Sender, Reply-To, To, Cc, Bcc, the same with Resent-, and
// Disposition-Notification-To) and identifiers (Message-ID, In-Reply-To, References, Resent-Message-ID). Found is what stands as one
// word with an @ in it, outside of quoted strings and comments: nearly all that the world writes. An address with a quoted local part,
// or with blanks or comments inside, is not found, and stays as it is.
//
// Never fails. Limits: `most` places; time is linear in the length.
#include "mail/header.h"

#include <cstddef>
#include <string_view>
#include <vector>

namespace postern::mail {

struct AddressPlace {
  std::size_t offset = 0, bytes = 0;  // in the header
  bool identifier = false;            // of a message, not an address
};

// In order. `header` may have the body behind it.
std::vector<AddressPlace> address_places(std::string_view header, std::size_t most);

}  // namespace postern::mail
