// SPDX-License-Identifier: Apache-2.0
#include "mail/partial.h"

#include "base/text.h"
#include "mail/part.h"

namespace postern::mail {
namespace {

// The fields that the message inside has for itself.
bool belongs_inside(std::string_view name) {
  if (base::starts_with_ignoring_case(name, "Content-")) return true;
  for (const std::string_view own : {"Subject", "Message-ID", "Encrypted", "MIME-Version"})
    if (base::equal_ignoring_case(name, own)) return true;
  return false;
}

std::optional<unsigned> number_in(std::string_view type, std::string_view parameter) {
  const auto text = find_parameter(type, parameter);
  if (!text) return std::nullopt;
  const auto number = base::number_from<unsigned>(*text);
  return number && *number >= 1 && *number <= kMostPieceNumber ? number : std::nullopt;
}

// The fields of the header that belong inside, or those that do not, as they stand.
void append_fields(std::string& text, std::string_view message, const Header& header, bool inside) {
  for (std::size_t i = 0; i < header.fields.size(); ++i) {
    const HeaderField& field = header.fields[i];
    if (belongs_inside(field.name) != inside) continue;
    const std::size_t end = i + 1 < header.fields.size() ? header.fields[i + 1].offset : header.bytes;
    const std::string_view line = message.substr(field.offset, end - field.offset);
    text += line;
    if (!line.ends_with('\n')) text += "\r\n";
  }
}

std::string_view body_of(std::string_view message) { return message.substr(parse_header(message).body_offset); }

}  // namespace

std::optional<Piece> piece_of(std::string_view message) {
  const Header header = parse_header(message);
  if (header.cut) return std::nullopt;
  const std::string type = field_value(header, "Content-Type");
  const auto name = base::lower(base::trim(std::string_view(type).substr(0, type.find(';'))));
  if (name != "message/partial") return std::nullopt;
  const std::string encoding = base::lower(field_value(header, "Content-Transfer-Encoding"));
  if (!encoding.empty() && encoding != "7bit" && encoding != "8bit" && encoding != "binary") return std::nullopt;
  auto id = find_parameter(type, "id");
  const auto number = number_in(type, "number"), total = number_in(type, "total");
  if (!id || id->empty() || id->size() > kMaxPieceIdBytes || !number) return std::nullopt;
  if (!total && find_parameter(type, "total")) return std::nullopt;
  if (total && *number > *total) return std::nullopt;
  return Piece{std::move(*id), *number, total.value_or(0)};
}

std::string join_pieces(std::span<const std::string_view> pieces) {
  std::string text;
  if (pieces.empty()) return text;
  const std::string_view first = pieces.front(), inner = body_of(first);
  const Header outer_header = parse_header(first), inner_header = parse_header(inner);
  append_fields(text, first, outer_header, false);
  append_fields(text, inner, inner_header, true);
  text += "\r\n";
  // Without an empty line the header of the message inside may go on in the next piece: there it is text.
  text += inner.substr(inner_header.body_offset);
  for (const std::string_view piece : pieces.subspan(1)) text += body_of(piece);
  return text;
}

}  // namespace postern::mail
