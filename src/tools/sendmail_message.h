// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a program hands to sendmail(1) on its standard input, as a message that can be submitted.
//
// Never fails; bounded by the input.
#include "base/clock.h"

#include <string>
#include <string_view>
#include <vector>

namespace postern::tools {

struct SendmailMessage {
  std::string text;                     // CRLF line ends, with a header and a body
  std::vector<std::string> recipients;  // of To, Cc and Bcc, or of their Resent- forms if there are any; addresses without a domain get ours
  std::vector<std::string> unusable;    // entries of these fields that are no addresses
};

struct SendmailFacts {
  std::string sender;        // address for a From field that is missing
  std::string full_name;     // and the name in front of it; empty: none
  std::string host_name;     // of addresses without a domain
  std::string message_id;    // for a Message-ID field that is missing, without <>
  base::WallTime now{};
  bool dot_ends = true;      // a line of a single dot ends the message (no -i)
  bool header_recipients = false;  // -t
};

// Line ends of any kind become CRLF; a line "From …" in front, as mailboxes have it, goes; what RFC 5322 section 3.6 wants and is missing is
// added (Date, From, Message-ID); Bcc goes with -t.
SendmailMessage sendmail_message(std::string_view input, const SendmailFacts& facts);

// The addresses in a list as the command line has it: "a, b@example.com", "Anna <anna@example.com>".
void add_recipients(std::string_view list, const std::string& host_name, std::vector<std::string>& recipients, std::vector<std::string>& unusable);

}  // namespace postern::tools
