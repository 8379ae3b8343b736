// SPDX-License-Identifier: Apache-2.0
#pragma once
// Our own id of a message in the queue (never the Message-ID field): 26 characters, fit for file names, sorted by time.
#include <cstdint>
#include <string>
#include <string_view>

namespace postern::mail {

// A new id: 11 digits of the microsecond of its birth, 13 random ones and 2 of the child's number, digits [0-9a-v].
std::string new_message_id(unsigned child);

// The id of what a filter generates from message `id` by its action number `action` for the recipient that `recipient`
// stands for (a check sum of its address, not its place on an envelope that shrinks from retry to retry): the same
// at every replay, so that a generated message is not sent twice. Same form as new_message_id().
std::string derived_message_id(std::string_view id, unsigned recipient, unsigned action);

// True if `text` has that form.
bool is_message_id(std::string_view text);

}  // namespace postern::mail
