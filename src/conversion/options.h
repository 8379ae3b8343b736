// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a program says of the part, or of the whole message, in the file OUTPUT_OPTIONS (access-control.md 7; conversions(5)).
//
// Lines NAME=VALUE; a value may stand in double quotes. A name that nobody knows means nothing. A STATUS that nobody knows is no guess for us: it is
// `unknown`, and the message is tried again.
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace postern::conversion {

// The numbers are those of the original product; Postern takes the name or the number, in decimal or as 0x….
enum class Status : std::uint32_t {
  none = 0,
  force_return = 178029946,    // the message goes back to its sender
  force_post = 178030098,      // to the postmaster instead
  force_as_is = 178030130,     // the part goes on unchanged
  force_delete = 178030178,    // the part is removed
  force_hold = 178030250,      // the message is held
  force_discard = 178030259,   // the message is discarded, unless a filter decides otherwise
  force_jettison = 178030307,  // the message is discarded
  unknown = 1,
};

struct Options {
  Status status = Status::none;
  std::string status_text;  // as it stands, printable
  std::string diagnostic;   // for the bounce; printable
  std::map<std::string, std::string, std::less<>> outputs;  // OUTPUT_TYPE, OUTPUT_SUBTYPE, OUTPUT_ENCODING, OUTPUT_DISPOSITION, OUTPUT_DESCRIPTION, OUTPUT_MODE
};

inline constexpr std::size_t kMaxOptionsBytes = 64 * 1024, kMaxDiagnosticBytes = 500;

Options parse_options(std::string_view text);
// The status of this name or number; nothing if there is none.
std::optional<Status> status_from(std::string_view text);

}  // namespace postern::conversion
