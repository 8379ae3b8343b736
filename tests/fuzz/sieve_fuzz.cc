// SPDX-License-Identifier: Apache-2.0
// Sieve source: compiles whatever it is given and runs what compiles over one small message, with small limits.
#include "sieve/compile.h"
#include "sieve/run.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace {

constexpr std::string_view kMessage =
    "Received: x\r\nFrom: \"A, B\" <ken+sieve@example.org>\r\nTo: g: a@example.com, b;\r\nSubject: =?utf-8?q?caf=C3=A9?= x\r\nX-Empty:\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>x</b>\r\n--b--\r\n";

class FuzzHost : public postern::sieve::Host {
 public:
  bool mailbox_exists(const std::string& name) override { return name == "INBOX"; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace postern::sieve;
  CompileOptions options;
  options.system_script = true;
  const Compiled compiled = compile({reinterpret_cast<const char*>(data), size}, options);
  bool errors = false;
  for (const auto& mistake : compiled.mistakes) {
    errors = errors || !mistake.warning;
    if (mistake.line < 1 || mistake.column < 1 || mistake.text.empty()) std::abort();
  }
  if (errors == (compiled.program != nullptr)) std::abort();
  if (!compiled.program) return 0;
  static const postern::mail::MessageView message(kMessage);
  FuzzHost host;
  Limits limits;
  limits.steps = 100000;
  const Outcome outcome = run(*compiled.program, message, {"a@example.com", "user+x@example.net", "", ""}, host, limits);
  if (outcome.error && (!outcome.implicit_keep || !outcome.actions.empty())) std::abort();
  if (outcome.actions.size() > limits.actions) std::abort();
  return 0;
}
