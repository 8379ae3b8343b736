// SPDX-License-Identifier: Apache-2.0
#pragma once
// Text of other character sets as UTF-8, RFC 2047 encoded words, and the two transfer encodings they use.
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace postern::mail {

// Loads what ICU and its converters read from files, so that a process can confine itself afterwards.
void warm_up_character_sets();

// `bytes` of character set `charset` as UTF-8; nothing if the set is unknown. Ill-formed input becomes U+FFFD.
std::optional<std::string> to_utf8(std::string_view bytes, const std::string& charset);

// RFC 2045 sections 6.7 and 6.8, forgiving: characters that do not belong there are left out (base64) or kept (quoted-printable).
std::string decode_base64(std::string_view text, std::size_t limit_bytes);
std::string decode_quoted_printable(std::string_view text, std::size_t limit_bytes);

// An unfolded header value with its encoded words decoded (RFC 2047), wherever they stand, as mailers do. White space between two
// adjacent ones is dropped, and adjacent ones of one character set are joined before they are converted, since senders split
// characters between them. What can't be decoded stays as it is.
std::string decode_encoded_words(std::string_view value);

}  // namespace postern::mail
