// SPDX-License-Identifier: Apache-2.0
#pragma once
// Scripts in, one line of text out: what the rows of the tables compare.
#include "sieve/compile.h"
#include "sieve/program_code.h"
#include "sieve/run.h"

#include <set>
#include <string>
#include <string_view>

namespace postern::sieve::test {

class TestHost : public Host {
 public:
  std::set<std::string> mailboxes{"INBOX", "Lists", "Lists/Postern"};
  std::string delimiters = "+";
  bool mailbox_exists(const std::string& name) override { return mailboxes.count(name) > 0; }
  std::string_view sub_address_delimiters() override { return delimiters; }
};

// All capabilities, as a require command.
inline std::string require_all() {
  std::string out = "require [";
  for (const auto& capability : capabilities()) {
    if (capability.name == "variables" || capability.name == "encoded-character" || capability.system_only) continue;   // they change how strings read
    out += (out.back() == '[' ? "\"" : ", \"") + capability.name + "\"";
  }
  return out + "];\n";
}

inline std::string mistakes_of(const Compiled& compiled, bool warnings = false) {
  std::string out;
  for (const auto& mistake : compiled.mistakes) {
    if (mistake.warning && !warnings) continue;
    out += (out.empty() ? "" : " | ") + std::to_string(mistake.line) + ":" + std::to_string(mistake.column) + " " + mistake.text;
  }
  return out;
}

inline const EnvelopeView kEnvelope{"sender@example.com", "user+lists@example.net", "User+Lists@Example.NET", ""};

// "fileinto \"A\"; keep (implicit)", "mistake: 1:1 …" or "error: 1:1 …".
inline std::string result(std::string_view script, std::string_view message, const EnvelopeView& envelope = kEnvelope, const Limits& limits = {},
                          const CompileOptions& options = {}) {
  const Compiled compiled = compile(script, options);
  if (!compiled.program) return "mistake: " + mistakes_of(compiled);
  // As bytes and back: whatever is tested here holds for a program that was kept, too.
  const auto bytes = encode_program(*compiled.program);
  const auto kept = bytes ? decode_program(*bytes, options) : nullptr;
  if (kept == nullptr || encode_program(*kept) != bytes) return "the program can't be kept";
  TestHost host;
  const mail::MessageView view(message);
  const Outcome outcome = run(*kept, view, envelope, host, limits);
  if (outcome.error) return "error: " + std::to_string(outcome.error->line) + ":" + std::to_string(outcome.error->column) + " " + outcome.error->text;
  std::string out;
  for (const auto& action : outcome.actions) out += (out.empty() ? "" : "; ") + to_string(action);
  if (outcome.implicit_keep) {
    Action keep;
    keep.implicit = true;
    keep.flags = outcome.keep_flags;
    out += (out.empty() ? "" : "; ") + to_string(keep);
  }
  return out;
}

// Of a test: "true", "false", or what went wrong.
inline std::string truth(std::string_view test, std::string_view message, const EnvelopeView& envelope = kEnvelope, std::string_view prologue = {}) {
  const std::string script = (prologue.empty() ? require_all() : std::string(prologue)) + "if " + std::string(test) + " { discard; }";
  const std::string got = result(script, message, envelope);
  return got == "discard" ? "true" : got == "keep (implicit)" ? "false" : got;
}

}  // namespace postern::sieve::test
