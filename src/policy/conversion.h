// SPDX-License-Identifier: Apache-2.0
#pragma once
// Whether mail goes through the conversion channel on its way (access-control.md 7).
#include "mail/envelope.h"
#include "policy/access.h"

#include <string>

namespace postern::policy {

// Asks table CONVERSIONS with IN-CHAN=source;OUT-CHAN=destination;CONVERT: the text Yes (in any case) means so. Not asked: where there is no conversion
// channel, for who has been through it, or whose own address wants it. A table that needs too many steps, which is logged, means so too: what looks for
// viruses is not passed by because of a mistake. `access` must outlive the call.
net::Awaitable<bool> goes_through_conversion(const Access& access, std::string source_channel, std::string destination_channel, mail::Recipient::Conversion known);

}  // namespace postern::policy
