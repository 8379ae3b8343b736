// SPDX-License-Identifier: Apache-2.0
// Messages: header, encoded words, addresses, dates and MIME structure, all of it through one script that asks for everything.
#include "mail/address_places.h"
#include "mail/date.h"
#include "mail/received.h"
#include "sieve/compile.h"
#include "sieve/run.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace {

constexpr std::string_view kScript = R"(
require ["fileinto", "envelope", "copy", "imap4flags", "subaddress", "relational", "comparator-i;ascii-numeric", "variables", "body", "mailbox"];
if header :matches ["subject", "from", "received", "x-a"] ["*?*[*]*", "*a?b*c*"] { addflag "x"; }
if header :contains :comparator "i;octet" ["to", "content-type"] ["=?", "mixed"] { addflag "y"; }
if header :value "gt" :comparator "i;ascii-numeric" "x-number" "10" { addflag "z"; }
if header :count "gt" "received" "3" { addflag "loop"; }
if address :all :contains ["from", "to", "cc", "reply-to"] "@example" { addflag "a"; }
if address :localpart :matches ["from", "to", "cc", "sender"] "*+*" { set "l" "${1}"; }
if address :domain ["from", "to"] "example.com" { addflag "d"; }
if address :detail ["from", "to"] "x" { addflag "s"; }
if address :count "gt" "to" "5" { addflag "many"; }
if exists ["subject", "from"] { addflag "e"; }
if anyof(size :over 1K, size :under 10) { addflag "big"; }
if body :contains ["viagra", "<b>"] { addflag "t"; }
if body :raw :matches "*a*b*c*" { addflag "r"; }
if body :content ["multipart", "message/rfc822", "text/html", "image"] :contains "x" { addflag "c"; }
fileinto :copy :create "Seen";
)";

class FuzzHost : public postern::sieve::Host {
 public:
  bool mailbox_exists(const std::string&) override { return true; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace postern;
  static const sieve::Compiled compiled = sieve::compile(kScript);
  if (!compiled.program) std::abort();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const mail::MessageView message(text);
  FuzzHost host;
  sieve::Limits limits;
  limits.steps = 1000000;
  const sieve::Outcome outcome = sieve::run(*compiled.program, message, {"", "user@example.net", "", ""}, host, limits);
  if (!outcome.error && outcome.actions.size() != 1) std::abort();
  if (message.size() < text.size()) std::abort();
  static_cast<void>(mail::count_received_fields(text));
  std::size_t behind = 0;
  for (const mail::AddressPlace& place : mail::address_places(text, 1000)) {
    if (place.offset < behind || place.bytes < 3 || place.offset + place.bytes > text.size()) std::abort();
    if (text.substr(place.offset, place.bytes).find('@') == std::string_view::npos) std::abort();
    behind = place.offset + place.bytes;
  }
  if (const auto date = message.first("date"))
    if (const auto parsed = mail::parse_date(*date))
      if (!mail::parse_date(mail::format_date(*parsed))) std::abort();
  return 0;
}
