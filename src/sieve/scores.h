// SPDX-License-Identifier: Apache-2.0
#pragma once
// Scores that filters and scanners in front of us left in header fields, as spamtest and virustest see them (RFC 5235 section 3). Of
// several fields the worst counts. Whoever asks has to know that the fields are not the sender's own (roles/sender_checks.h).
#include "mail/message.h"
#include "sieve/run.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::sieve {

struct ScoreFields {
  std::string spam_field;            // name; empty: nothing is tested
  std::string spam_text;             // stands in front of the number
  unsigned spam_scale = 10;          // the score that is certainly spam
  std::string virus_field;
  std::vector<std::pair<std::string, int>> virus_values{{"Clean", 1}, {"Infected", 5}};  // how the field begins, without regard to case
};

// Nothing: not tested.
std::optional<Score> spam_score(const mail::MessageView& message, const ScoreFields& fields);
std::optional<Score> virus_score(const mail::MessageView& message, const ScoreFields& fields);
// What one value says; nothing if it says none.
std::optional<Score> spam_score_of(std::string_view value, std::string_view text, unsigned scale);

}  // namespace postern::sieve
