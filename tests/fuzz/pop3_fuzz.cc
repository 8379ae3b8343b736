// SPDX-License-Identifier: Apache-2.0
// A POP3 session that is sent the input. The first byte chooses how it is cut into pieces and whether the client is logged in
// already. If there is a byte 2 in it, TLS is available, and what stands behind that byte is said after the
// handshake. Every answer must be a status line or belong to one, and the mailbox must be free at the end.
#include "../unit/pop3/fake_site.h"
#include "pieces.h"

#include "base/log.h"

#include <cstddef>
#include <cstdint>

using namespace postern;

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  base::configure_log(base::Destination::standard_error, "fuzz", base::Severity::critical);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 20000) return 0;
  const unsigned choice = data[0];
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  test::FakeSite site;
  site.piece = 1 + choice % 31;
  site.mailbox().texts = {"Subject: one\r\n\r\nline 1\r\nline 2\r\n", ".\r\n\r\n.dot\r\n..\r\n", "", "no line end"};
  if (choice & 0x20) site.mailbox().breaks_at = 9;
  if (choice & 0x40) site.mailbox().sticks = true;
  std::vector<std::string> pieces;
  if (choice & 0x80) pieces.push_back("USER user@example.com\r\nPASS pass word\r\n");
  const std::size_t piece = 1 + (choice & 0x1f) * 7;
  auto [before_tls, after_tls] = test::in_pieces(bytes, piece);
  site.watch.tls = after_tls.has_value();
  pieces.insert(pieces.end(), before_tls.begin(), before_tls.end());
  const std::string written = site.talk(std::move(pieces), "127.0.0.1", after_tls.value_or(std::vector<std::string>()));
  POSTERN_ASSERT(written.starts_with("+OK "));
  POSTERN_ASSERT(!site.mailbox().in_use);
  POSTERN_ASSERT(!site.watch.end_reason.empty());
  return 0;
}
