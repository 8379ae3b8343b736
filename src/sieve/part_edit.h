// SPDX-License-Identifier: Apache-2.0
#pragma once
// Changes to the MIME structure of a message, as text: the result is a valid message again, whatever it was.
#include "mail/part.h"
#include "sieve/message.h"

#include <string>
#include <string_view>

namespace postern::sieve {

// A header text with the field `name` set to `value` (ASCII, not folded): in the place of the first of this name, the others are
// dropped; at the end if there was none. With an empty `value` they are all dropped.
std::string header_with(std::string_view header, std::string_view name, std::string_view value, std::string_view line_end);
// The fields of `header` whose names begin with "Content-", or all the others, without MIME-Version.
std::string mime_fields(std::string_view header, bool of_mime);

// `header` with Content-Transfer-Encoding: 8bit if it says nothing of bytes from 0x80 that `body` has (RFC 2045 section 6.1: what says nothing claims
// 7 bits, a multipart for its parts too).
std::string with_8bit_said(std::string header, std::string_view body, std::string_view line_end);

// A body in the form that goes through every mail system: as it is if it is ASCII with short lines, else quoted-printable.
// `fields` are the header fields that say so; `type` is "text/plain".
struct EncodedText {
  std::string fields;
  std::string body;
};
EncodedText encode_text(std::string_view type, std::string_view text, std::string_view line_end);

// Whether a text is a MIME entity: header fields if any, an empty line, a body.
bool is_mime_entity(std::string_view text);

// Where a part of a message stands in its text.
std::string_view part_text(const mail::Part& part);

// Puts `entity` (header fields, empty line, body) in the place of `part`, which is one of message.whole().structure() and not the
// message itself.
void replace_part(Message& message, const mail::Part& part, std::string_view entity);
// The same for the message itself: its fields of MIME are dropped, the others stay, `fields` come in.
void replace_content(Message& message, std::string_view fields, std::string_view body);

// The first part that a reader sees as text, null if there is none.
const mail::Part* first_text_part(const mail::Part& part);

// Puts `prefix` in front of that part's text. Nothing happens to a message without text, or in a character set nobody knows.
void add_prefix(Message& message, std::string_view prefix);

// A boundary that none of `texts` has in it.
std::string new_boundary(std::initializer_list<std::string_view> texts);

}  // namespace postern::sieve
