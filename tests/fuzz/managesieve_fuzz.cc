// SPDX-License-Identifier: Apache-2.0
// A ManageSieve session that is sent the input. The first byte chooses how it is cut into pieces, and whether the client is logged in
// already. If there is a byte 2 in it, TLS is available, and what stands behind that byte is said after the handshake. Every answer must
// end in OK, NO or BYE, and no script may be stored that does not compile.
#include "../unit/managesieve/fake_site.h"

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
  const auto cut = [piece](std::string_view text, std::vector<std::string>& into) {
    for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) into.emplace_back(text.substr(0, piece));
  };
  const auto mark = bytes.find('\2');
  std::vector<std::string> after_tls;
  site.watch.tls = mark != std::string_view::npos;
  if (site.watch.tls) cut(bytes.substr(mark + 1), after_tls);
  cut(bytes.substr(0, mark), pieces);
  const std::string written = site.talk(std::move(pieces), "127.0.0.1", std::move(after_tls));
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
