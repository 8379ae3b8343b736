// SPDX-License-Identifier: Apache-2.0
// Compiled Sieve programs as bytes: whatever decode_program() takes runs within its limits, and is written as it can be read again.
#include "sieve/program_code.h"
#include "sieve_fuzz_host.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace {

using namespace postern;
using namespace postern::sieve;

constexpr std::string_view kMessage =
    "Received: x; Sat, 21 Nov 2026 23:30:00 -0100\r\nFrom: \"A, B\" <ken+sieve@example.org>\r\nTo: g: a@example.com, b;\r\nSubject: =?utf-8?q?caf=C3=A9?= [x] y\r\nX-Empty:\r\n"
    "Message-ID: <1@example.org>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nneedle\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>x</b>\r\n--b--\r\n";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  CompileOptions options;
  options.list_exists = [](const std::string&) { return true; };
  const auto program = decode_program({reinterpret_cast<const char*>(data), size}, options);
  if (program == nullptr) return 0;
  const auto again = encode_program(*program);
  if (!again || decode_program(*again, options) == nullptr) std::abort();
  const mail::MessageView view(kMessage);
  FuzzHost host;
  Limits limits;
  limits.steps = 10000;
  const Outcome outcome = run(*program, view, {"a@example.com", "user+x@example.net", "", ""}, host, limits);
  check(outcome, limits);
  return 0;
}
