// SPDX-License-Identifier: Apache-2.0
// Sieve's source text: it is compiled, and what compiles is run over one small message with small limits.
#include "sieve/compile.h"
#include "sieve_fuzz_host.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace {

using namespace postern;
using namespace postern::sieve;

constexpr std::string_view kMessage =
    "Received: x; Sat, 21 Nov 2026 23:30:00 -0100\r\nFrom: \"A, B\" <ken+sieve@example.org>\r\nTo: g: a@example.com, b;\r\nSubject: =?utf-8?q?caf=C3=A9?= x\r\nX-Empty:\r\n"
    "Message-ID: <1@example.org>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>x</b>\r\n--b--\r\n";

CompileOptions options() {
  CompileOptions made;
  made.system_script = true;
  made.list_exists = [](const std::string& name) { return name.size() < 20; };
  made.script = [](ScriptPlace, const std::string& name) -> std::optional<std::string> {
    if (name.empty() || name.front() == 'x') return std::nullopt;
    return name.front() == 'c' ? "require \"include\"; include :once \"c\"; return;" : "require [\"fileinto\", \"variables\"]; set \"a\" \"b\"; fileinto \"${a}\";";
  };
  return made;
}

void run_source(std::string_view source) {
  const Compiled compiled = compile(source, options());
  bool errors = false;
  for (const auto& mistake : compiled.mistakes) {
    errors = errors || !mistake.warning;
    if (mistake.line < 1 || mistake.column < 1 || mistake.text.empty()) std::abort();
  }
  if (errors == (compiled.program != nullptr)) std::abort();
  if (!compiled.program) return;
  static const mail::MessageView view(kMessage);
  FuzzHost host;
  Limits limits;
  limits.steps = 100000;
  check(run(*compiled.program, view, {"a@example.com", "user+x@example.net", "", ""}, host, limits), limits);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  run_source({reinterpret_cast<const char*>(data), size});
  return 0;
}
