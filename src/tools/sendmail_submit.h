// SPDX-License-Identifier: Apache-2.0
#pragma once
// Hands one message to the server of this machine by SMTP, as a client that waits for each answer.
//
// All recipients or none: if one is refused nothing has been sent, so who called knows what became of his message. Failure: the exit status of
// sysexits.h and what was said. Every answer has a time limit.
#include <optional>
#include <string>
#include <vector>

namespace postern::tools {

struct Submission {
  std::string host = "127.0.0.1";  // an address, or a name
  std::string port = "25";
  std::string helo;
  std::string sender;              // empty: null
  std::vector<std::string> recipients;
  std::string text;                // CRLF
  std::string notify, ret, envelope_id;  // of DSN, as the command line had them; empty: not given
};

struct SubmitFailure {
  int status = 0;  // sysexits.h
  std::string what;
};

// Nothing: the server has taken it.
std::optional<SubmitFailure> submit(const Submission& submission);

// -bs: what comes on standard input goes to the server, and its answers to standard output, until one side ends.
std::optional<SubmitFailure> pass_session(const std::string& host, const std::string& port);

}  // namespace postern::tools
