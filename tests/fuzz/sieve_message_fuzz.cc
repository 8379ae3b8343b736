// SPDX-License-Identifier: Apache-2.0
// The message that a fixed script runs over, which uses nearly all there is; and what is then stored and sent.
#include "sieve/compile.h"
#include "sieve/replies.h"
#include "sieve_fuzz_host.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace {

using namespace postern;
using namespace postern::sieve;

constexpr std::string_view kScript = R"sieve(
require ["fileinto", "variables", "regex", "body", "mime", "foreverypart", "extracttext", "editheader", "date", "index", "relational", "replace", "enclose", "vacation",
         "envelope", "subaddress", "duplicate", "extlists", "enotify", "fcc", "spamtest", "environment", "imap4flags", "vnd.postern.addtag", "vnd.postern.addprefix", "comparator-i;ascii-numeric", "copy"];
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
if address :list ["from", "sender"] ":addrbook:default" { addflag "known"; }
if header :list "message-id" "tag:example.com,2026:ids" { redirect :copy :list "tag:example.com,2026:friends"; }
notify :message "${rest}" :importance "1" "mailto:b@example.net?subject=x";
vacation :subject "away ${rest}" "gone ${text}";
)sieve";

CompileOptions options() {
  CompileOptions made;
  made.system_script = true;
  made.list_exists = [](const std::string&) { return true; };
  return made;
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
  const Moment moment{host.now(), host.zone(host.now()), "id"};
  const auto looked_at = [](const GeneratedMail& mail) {
    if (mail.to.empty() == mail.why_not.empty()) std::abort();
    const mail::MessageView reply(mail.text);
    if (!mail.to.empty() && (!reply.has_body() || !reply.exists("Auto-Submitted") || reply.exists("Bcc"))) std::abort();
  };
  for (const Action& action : outcome.actions) {
    if (action.vacation) looked_at(vacation_reply(*action.vacation, view, envelope, {}, moment));
    if (action.notification) looked_at(notification_mail(*action.notification, view, envelope, {}, moment));
  }
  for (const auto kind : {Action::Kind::reject, Action::Kind::ereject}) {
    Action refusal;
    refusal.kind = kind;
    refusal.reason = "no";
    looked_at(rejection_notice(refusal, view, envelope, {}, moment));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  run_message({reinterpret_cast<const char*>(data), size});
  return 0;
}
