// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a session can answer of the refusals of its recipients' filters, and how (RFC 5429, RFC 2033, RFC 5321 section 4.5.3.1.5).
#include "mail/envelope.h"
#include "mail/refusal.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern::smtp {

// Those of `refusals` that one answer to the message can tell: all, if all recipients refuse, else none. With an answer for each
// RCPT (`each_answered`, LMTP) those of addresses whose final recipients all refuse: an alias may have led to several.
// Numbers that are none of a recipient, and second ones of the same, are left out.
std::vector<mail::Refusal> answerable(const mail::Envelope& envelope, std::vector<mail::Refusal> refusals, bool each_answered);

inline constexpr std::size_t kMostRefusalLines = 20;
// A text as lines of a reply: without control characters and empty lines at its ends, each short enough, at most kMostRefusalLines; never none.
std::vector<std::string> refusal_lines(std::string_view text);

}  // namespace postern::smtp
