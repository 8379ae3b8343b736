// SPDX-License-Identifier: Apache-2.0
#include "smtp/refusal.h"

#include "base/text.h"

#include <algorithm>
#include <map>

namespace postern::smtp {
namespace {

// 512 octets with "550-5.7.1 " and CRLF.
constexpr std::size_t kLineBytes = 500;

// Cuts a line's first piece off: at its last blank that fits, else where no character is broken.
std::string_view first_piece(std::string_view& line) {
  std::size_t end = std::min(line.size(), kLineBytes);
  if (end < line.size()) {
    if (const auto blank = line.rfind(' ', end); blank != std::string_view::npos && blank > 0) end = blank;
    else
      while (end > 1 && (static_cast<unsigned char>(line[end]) & 0xc0) == 0x80) --end;
  }
  const std::string_view piece = line.substr(0, end);
  line.remove_prefix(end);
  if (line.starts_with(' ')) line.remove_prefix(1);
  return piece;
}

}  // namespace

std::vector<mail::Refusal> answerable(const mail::Envelope& envelope, std::vector<mail::Refusal> refusals, bool each_answered) {
  std::sort(refusals.begin(), refusals.end(), [](const mail::Refusal& a, const mail::Refusal& b) { return a.recipient < b.recipient; });
  refusals.erase(std::unique(refusals.begin(), refusals.end(), [](const mail::Refusal& a, const mail::Refusal& b) { return a.recipient == b.recipient; }), refusals.end());
  std::erase_if(refusals, [&](const mail::Refusal& refusal) { return refusal.recipient >= envelope.recipients.size(); });
  if (refusals.size() == envelope.recipients.size()) return refusals;
  if (!each_answered) return {};
  std::map<std::string_view, std::size_t> willing;  // final recipients of each RCPT that do not refuse
  for (const mail::Recipient& recipient : envelope.recipients) ++willing[recipient.original];
  for (const mail::Refusal& refusal : refusals) --willing[envelope.recipients[refusal.recipient].original];
  std::erase_if(refusals, [&](const mail::Refusal& refusal) { return willing[envelope.recipients[refusal.recipient].original] > 0; });
  return refusals;
}

std::vector<std::string> refusal_lines(std::string_view text) {
  std::vector<std::string> lines;
  for (std::string_view line : base::split(text, '\n')) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty() && lines.empty()) continue;
    do {
      if (lines.size() == kMostRefusalLines) break;
      std::string& made = lines.emplace_back(first_piece(line));
      std::replace_if(made.begin(), made.end(), base::is_control, ' ');
    } while (!line.empty());
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  if (lines.empty()) lines.emplace_back("message refused");
  return lines;
}

}  // namespace postern::smtp
