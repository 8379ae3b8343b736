// SPDX-License-Identifier: Apache-2.0
#pragma once
// The milter protocol's packets, version 6, as libmilter of Sendmail 8.14 and later speaks it: four bytes length, one letter, and what belongs to
// it; numbers are big endian, texts end in NUL. There is no RFC; sources are libmilter's header mfdef.h and its manual.
//
// Failure: Kind::corrupt, with the reason, for a packet that no milter sends that keeps to the protocol. Limits: kAnswerBytes for a packet.
#include "base/result.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::milter {

inline constexpr std::uint32_t kVersion = 6, kOldestVersion = 2;
// Of a body in one packet: what libmilter has room for.
inline constexpr std::size_t kBodyPieceBytes = 65535;
// Longest packet that we take.
inline constexpr std::uint32_t kAnswerBytes = 1024 * 1024;

// What we say.
namespace command {
inline constexpr char kAbort = 'A', kBody = 'B', kConnect = 'C', kMacros = 'D', kEndOfMessage = 'E', kHello = 'H', kHeader = 'L', kMail = 'M',
                      kEndOfHeader = 'N', kNegotiate = 'O', kQuit = 'Q', kRecipient = 'R', kData = 'T', kUnknown = 'U';
}  // namespace command

// What a milter may do to a message (SMFIF_*).
namespace action {
inline constexpr std::uint32_t kAddHeaders = 0x1, kChangeBody = 0x2, kAddRecipients = 0x4, kDeleteRecipients = 0x8, kChangeHeaders = 0x10, kQuarantine = 0x20,
                               kChangeFrom = 0x40, kAddRecipientsWithParameters = 0x80, kChooseMacros = 0x100, kAll = 0x1ff;
}  // namespace action

// What it wants to have left out, or done (SMFIP_*).
namespace step {
inline constexpr std::uint32_t kNoConnect = 0x1, kNoHello = 0x2, kNoMail = 0x4, kNoRecipient = 0x8, kNoBody = 0x10, kNoHeaders = 0x20, kNoEndOfHeader = 0x40,
                               kSilentHeader = 0x80, kNoUnknown = 0x100, kNoData = 0x200, kSkip = 0x400, kRefusedRecipients = 0x800, kSilentConnect = 0x1000,
                               kSilentHello = 0x2000, kSilentMail = 0x4000, kSilentRecipient = 0x8000, kSilentData = 0x10000, kSilentUnknown = 0x20000,
                               kSilentEndOfHeader = 0x40000, kSilentBody = 0x80000, kLeadingSpace = 0x100000, kAll = 0x1fffff;
}  // namespace step

// Moments for which macros are sent, by their numbers (SMFIM_*).
enum class Stage : std::uint8_t { connect, hello, mail, recipient, data, end_of_message, end_of_header };
inline constexpr std::size_t kStages = 7;

// What both sides say first.
struct Offer {
  std::uint32_t version = kVersion;
  std::uint32_t actions = action::kAll;
  std::uint32_t steps = step::kAll;
  // Names of the macros that the milter wants at each moment instead of the usual ones.
  std::array<std::optional<std::vector<std::string>>, kStages> macros;
};
std::string encode_offer(const Offer& offer);  // a whole packet
Result<Offer> parse_offer(std::string_view data);

// A whole packet.
std::string packet(char command, std::string_view data);
// A number as the protocol has it; a text with its end.
std::string number(std::uint32_t value);
std::string text(std::string_view value);

// What a milter says to a command. Texts that stand in a message have CRLF at their line ends, whatever came.
struct Answer {
  enum class Kind : std::uint8_t {
    proceed, accept, discard, reject, tempfail, reply, skip, progress, shut_down, connection_failed,
    // only behind the end of the message
    add_header, insert_header, change_header, change_from, add_recipient, delete_recipient, replace_body, quarantine,
  } kind = Kind::proceed;
  int code = 0;                    // reply: 400 to 599
  std::string status;              // reply: "5.7.1", never of another class than the code
  std::string name, value;         // of a header field; address and parameters of a recipient or sender; text of a reply (lines parted by LF); body; reason
  std::uint32_t index = 0;         // insert_header, change_header
  [[nodiscard]] bool changes() const { return kind >= Kind::add_header; }
};
// `letter` and `data` of one packet.
Result<Answer> parse_answer(char letter, std::string_view data);

}  // namespace postern::milter
