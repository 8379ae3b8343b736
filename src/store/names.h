// SPDX-License-Identifier: Apache-2.0
#pragma once
// Names of the files in a Maildir: what they are made of, what stays the same while other programs change flags.
#include "base/clock.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postern::store {

// The part that never changes: everything before ',' (sizes) or ':' (flags).
std::string_view name_base(std::string_view name);
// "<seconds>.<message id>_<recipient>.postern": the same at every delivery of the same message to the same recipient.
std::string delivery_base(base::WallTime received, std::string_view message_id, std::string_view recipient_key);
// True for a name with sizes that delivery made: what it says of them can be believed. Other programs' names may have wrong ones.
bool is_delivery_name(std::string_view name);
// The message id in such a name; empty if it is another one.
std::string_view delivery_id(std::string_view name);
// The number behind ",S=" or ",W=" in a name.
std::optional<std::uint64_t> name_number(std::string_view name, char which);
// Takes the letters of keywords ('a' to 'z', store/keywords.h) out of the flags of a name, and returns them.
std::string take_keyword_letters(std::string& name);
// The seconds at the start, 0 if there are none.
std::uint64_t name_seconds(std::string_view name);
// The same name with these letters among its flags (":2,…", sorted, once each); the name itself if `letters` is empty.
std::string with_flags(std::string_view name, std::string_view letters);
// 1 to 70 characters from 0x21 to 0x7e (RFC 1939 section 7): the base where it is fit, else a digest of it.
std::string unique_id(std::string_view name);

// True for a part of a path that leads nowhere else: not empty, no '/', no NUL, not beginning with '.', at most 255 bytes.
bool is_plain_component(std::string_view component);
// "example.com/user": two plain components.
bool is_account_directory(std::string_view directory);

}  // namespace postern::store
