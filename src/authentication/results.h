// SPDX-License-Identifier: Apache-2.0
#pragma once
// The header field Authentication-Results (RFC 8601): writing our own, and telling those of others apart.
//
// Failure: none. What is written is ASCII but for what addresses in UTF-8 bring, folded, and has no control character whatever a domain says.
#include "authentication/keys.h"
#include "mail/header.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::authentication {

// What one method found.
struct MethodResult {
  std::string method;      // "spf", "dkim", "dmarc", "arc", "auth"
  Outcome outcome = Outcome::none;
  std::string comment;     // may be empty
  // "smtp.mailfrom" and its value, and so on; those without a value are left out.
  std::vector<std::pair<std::string, std::string>> properties;
};

// "mx.example.com;\r\n\tspf=pass …;\r\n\tdkim=…", without the field's name and last line end; "mx.example.com; none" if there are no results.
std::string results_text(std::string_view service, const std::vector<MethodResult>& results);

// Whether a field's value claims to be of the service `service`, or can't be told from one that does: it must not come in from elsewhere (RFC 8601
// section 5). `value`: what stands behind the colon.
bool claims_to_be_of(std::string_view value, std::string_view service);

// Where Authentication-Results fields stand that claim to be of `service`, in the order of the text, each with its line end: offset in the message that
// `header` was read from, and bytes.
std::vector<std::pair<std::size_t, std::size_t>> forged_results(const mail::Header& header, std::string_view service);

}  // namespace postern::authentication
