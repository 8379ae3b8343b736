// SPDX-License-Identifier: Apache-2.0
// Sieve, both ways: source text is compiled, and what compiles is run over one small message with small limits; and the same bytes are
// the message that a fixed script runs over, which uses nearly all there is. The first byte says which.
#include "sieve/compile.h"
#include "sieve/replies.h"
#include "sieve/run.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace {

using namespace postern;
using namespace postern::sieve;

constexpr std::string_view kMessage =
    "Received: x; Sat, 21 Nov 2026 23:30:00 -0100\r\nFrom: \"A, B\" <ken+sieve@example.org>\r\nTo: g: a@example.com, b;\r\nSubject: =?utf-8?q?caf=C3=A9?= x\r\nX-Empty:\r\n"
    "Message-ID: <1@example.org>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>x</b>\r\n--b--\r\n";

constexpr std::string_view kScript = R"sieve(
require ["fileinto", "variables", "regex", "body", "mime", "foreverypart", "extracttext", "editheader", "date", "index", "relational", "replace", "enclose", "vacation",
         "envelope", "subaddress", "duplicate", "imap4flags", "vnd.postern.addtag", "vnd.postern.addprefix", "comparator-i;ascii-numeric", "copy"];
if header :matches "subject" "*[*]*" { set :quotewildcard "list" "${2}"; }
if header :regex "subject" "(re|fwd):? *(.*)" { set :upperfirst "rest" "${2}"; }
if address :user :matches ["from", "to", "cc"] "*a*" { addflag "${1}"; }
if header :comparator "i;unicode-casemap" :contains ["subject", "from"] "É" { addflag "accent"; }
if header :value "gt" :comparator "i;ascii-numeric" "x-priority" "2" { addflag "low"; }
if anyof (date :originalzone "date" "year" "2026", date :index 1 :last "received" "weekday" "0", date :zone "+0530" :value "ge" "date" "julian" "1") { addflag "dated"; }
if body :contains "needle" { addflag "text"; }
if body :content ["text", "image"] :matches "*x?y*" { addflag "content"; }
if header :mime :anychild :param ["name", "filename"] :contains ["content-type", "content-disposition"] "." { addflag "named"; }
foreverypart {
  if header :mime :type "content-type" "text" { extracttext :first 100 "text"; }
  if header :mime :subtype "content-type" "html" { replace "was html"; }
}
deleteheader :matches "x-*" "*a*";
addheader "X-List" "${list}${rest}";
addheader :last "X-Text" "${text}";
addtag "[tag]"; addprefix "prefix";
fileinto :copy "A";
if size :over 100 { enclose :subject "enclosed ${rest}" :headers ["from", "date"] "see below"; }
if duplicate :header "message-id" { addflag "again"; }
vacation :subject "away ${rest}" "gone ${text}";
)sieve";

class FuzzHost : public Host {
 public:
  bool mailbox_exists(const std::string& name) override { return name == "INBOX"; }
  std::optional<Score> spam_score() override { return Score{5, 50}; }
  bool list_exists(const std::string&) override { return true; }
  bool list_contains(const std::string&, const std::string& value) override { return value.size() % 2 == 1; }
  std::vector<std::string> list_members(const std::string&, std::size_t) override { return {"a@example.com", "x"}; }
  std::chrono::sys_seconds now() override { return std::chrono::sys_seconds(std::chrono::seconds(1795000000)); }
  std::chrono::minutes zone(std::chrono::sys_seconds) override { return std::chrono::minutes(60); }
};

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

void check(const Outcome& outcome, const Limits& limits) {
  if (outcome.error && (!outcome.implicit_keep || !outcome.actions.empty() || outcome.keep_message != nullptr || !outcome.remember.empty())) std::abort();
  if (outcome.actions.size() > limits.actions) std::abort();
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

void run_message(std::string_view text) {
  static const Compiled compiled = compile(kScript, options());
  if (!compiled.program) std::abort();
  const mail::MessageView view(text);
  FuzzHost host;
  Limits limits;
  limits.steps = 1000000;
  const EnvelopeView envelope{"a@example.com", "user+x@example.net", "", ""};
  const Outcome outcome = run(*compiled.program, view, envelope, host, limits);
  check(outcome, limits);
  if (outcome.error) return;
  // What is stored is a message, and what is sent has no bare or misplaced lines.
  if (outcome.keep_message && !mail::MessageView(outcome.keep_message->text()).has_body() && view.has_body()) std::abort();
  for (const Action& action : outcome.actions) {
    if (!action.vacation) continue;
    const GeneratedMail mail = vacation_reply(*action.vacation, view, envelope, {}, {host.now(), host.zone(host.now()), "id"});
    if (mail.to.empty() == mail.why_not.empty()) std::abort();
    const mail::MessageView reply(mail.text);
    if (!mail.to.empty() && (!reply.has_body() || !reply.exists("Auto-Submitted") || reply.exists("Bcc"))) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.starts_with('\x01')) run_message(input.substr(1));
  else run_source(input);
  return 0;
}
