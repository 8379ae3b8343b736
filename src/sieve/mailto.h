// SPDX-License-Identifier: Apache-2.0
#pragma once
// mailto: URIs (RFC 6068), as the notification method of RFC 5436 reads them.
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::sieve {

struct MailTo {
  std::vector<std::string> to, cc, bcc;                        // canonical, each once
  std::vector<std::pair<std::string, std::string>> fields;     // decoded; those that a script may not set are left out
  std::string body;
};

// Nothing, and a `problem`, for what is no mailto: URI, or has no recipient, or one that is no address, or more than 100.
std::optional<MailTo> parse_mailto(std::string_view uri, std::string& problem);

// The scheme of a URI in lower case; empty if there is none.
std::string uri_scheme(std::string_view uri);

}  // namespace postern::sieve
