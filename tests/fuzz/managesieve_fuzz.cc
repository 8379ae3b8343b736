// SPDX-License-Identifier: Apache-2.0
// A ManageSieve session that is sent the input. The first byte chooses how it is cut into pieces, and whether the client is logged in
// already. If there is a byte 2 in it, TLS is available, and what stands behind that byte is said after the handshake. Every answer must
// end in OK, NO or BYE, and no script may be stored that does not compile.
#include "../unit/managesieve/fake_site.h"
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
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  test::FakeSite site;
  site.limit_scripts(3, 500);
  if (choice & 0x20) site.can = sieve::kAllAbilities;
  if (choice & 0x40) site.busy = true;
  std::vector<std::string> pieces;
  if (choice & 0x80) pieces.push_back("AUTHENTICATE \"PLAIN\" \"" + std::string(test::FakeSite::kPlain) + "\"\r\n");
  const std::size_t piece = 1 + (choice & 0x1f) * 7;
  auto [before_tls, after_tls] = test::in_pieces(bytes, piece);
  site.watch.tls = after_tls.has_value();
  pieces.insert(pieces.end(), before_tls.begin(), before_tls.end());
  const std::string written = site.talk(std::move(pieces), "127.0.0.1", after_tls.value_or(std::vector<std::string>()));
  POSTERN_ASSERT(written.starts_with("\"IMPLEMENTATION\" \"Postern\"\r\n"));
  POSTERN_ASSERT(written.ends_with("\r\n"));
  POSTERN_ASSERT(!site.watch.end_reason.empty());
  // What was stored is there for the next session, and correct.
  site.watch = {};
  site.busy = false;
  const std::string list = site.answers_in({"LISTSCRIPTS\r\n"});
  POSTERN_ASSERT(list.ends_with("OK\r\n"));
  const std::string active = site.answers_in({"PUTSCRIPT \"1\" \"keep;\"\r\n", "GETSCRIPT \"1\"\r\n"});
  POSTERN_ASSERT(active.find("keep;") != std::string::npos || active.find("QUOTA/MAXSCRIPTS") != std::string::npos);
  return 0;
}
