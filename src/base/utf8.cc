// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

namespace postern::base {

void append_utf8(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  const unsigned more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  // As many ones as there are bytes, and a zero behind them.
  out += static_cast<char>((0xff80U >> more & 0xff) | code >> 6 * more);
  for (unsigned left = more; left-- > 0;) out += static_cast<char>(0x80 | (code >> 6 * left & 0x3f));
}

}  // namespace postern::base
