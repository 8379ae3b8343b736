// SPDX-License-Identifier: Apache-2.0
// Whole SMTP and LMTP sessions. The first byte chooses the protocol (bit 0) and the size of the pieces in which the rest comes. If
// there is a byte 2 in it, TLS is available, and what stands behind that byte is said after the handshake.
//
// Whatever a client says: replies are lines with a code, the session ends, and what was accepted has only CRLF line ends, at
// least one recipient, and our Received field in front.
#include "../unit/smtp/memory_services.h"

#include "base/log.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

using namespace postern;

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

bool only_crlf(const std::string& text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\0') return false;
    if (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n')) return false;
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static const mapping::Tables tables = test::tables_from(
      std::string(test::kShippedTables) + "FROM_ACCESS\n\n  *|spam@*|  $NGo$ away\n  *|held@*|  $H$A$YX-Held:$ yes\n  *|bin@*|  $B$Y\n\n",
      "team@example.com: u1@example.com, u2@example.com\nloop@example.com: loop@example.com\n");
  test::MemoryServices services(tables);
  services.settings.recipient_delimiter = "+";
  services.settings.smtp.message_bytes = 5000;
  services.settings.spool.large_message_bytes = 1000;
  services.settings.smtp.recipients = 5;
  const std::string input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece = static_cast<std::size_t>(1) << (data[0] >> 1) % 14;
  const auto mark = input.find('\2');
  const auto cut = [piece](const std::string& text) {
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < text.size(); at += piece) pieces.push_back(text.substr(at, piece));
    return pieces;
  };
  std::optional<test::Tls> tls;
  if (mark != std::string::npos) {
    tls.emplace();
    tls->pieces = cut(input.substr(mark + 1));
  }
  const auto played = test::play(services, cut(input.substr(0, mark)), test::session_info((data[0] & 1) != 0 ? conf::Module::lmtp : conf::Module::smtp), std::move(tls));

  must(only_crlf(played.written) && played.written.ends_with("\r\n"));
  for (std::size_t at = 0; at < played.written.size();) {
    const auto end = played.written.find("\r\n", at);
    must(end - at >= 4 && end - at <= 510);
    must(played.written[at] >= '2' && played.written[at] <= '5');
    at = end + 2;
  }
  for (const auto& accepted : services.accepted) {
    must(only_crlf(accepted.message) && accepted.message.ends_with("\r\n"));
    must(accepted.message.starts_with("Received: "));
    must(!accepted.envelope.recipients.empty());
    must(accepted.envelope.reverse_path.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
    for (const auto& recipient : accepted.envelope.recipients) must(!recipient.account.empty() && recipient.destination_channel == "ims-ms");
    must(mail::decode_envelope(mail::encode(accepted.envelope)).has_value());
  }
  return 0;
}
