// SPDX-License-Identifier: Apache-2.0
#pragma once
// Pieces of a message that was sent in several (message/partial, RFC 2046 section 5.2.2), and the message that they make.
//
// Never fails: what is not such a piece, as that section has it, is none, and stays the message that it is. Limits: kMostPieceNumber, kMaxPieceIdBytes, and
// those of headers (mail/header.h).
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace postern::mail {

inline constexpr unsigned kMostPieceNumber = 10000;
inline constexpr std::size_t kMaxPieceIdBytes = 512;

struct Piece {
  std::string id;       // the same in all pieces of a message, compared byte by byte
  unsigned number = 1;  // from 1 on
  unsigned total = 0;   // 0: it is not said, which only the last piece must
  friend bool operator==(const Piece&, const Piece&) = default;
};

// What the message is a piece of; nothing: it is none. One with a transfer encoding that changes its text is none either (RFC 2046 section 5.2.2.1 forbids it).
std::optional<Piece> piece_of(std::string_view message);

// The message whose pieces these are, from the first on. Section 5.2.2.1: from the header of the first piece come all fields but Content-*, Subject,
// Message-ID, Encrypted and MIME-Version, from the header inside it these and no others; then the text of all pieces.
std::string join_pieces(std::span<const std::string_view> pieces);

}  // namespace postern::mail
