// SPDX-License-Identifier: Apache-2.0
#include "sieve/scores.h"

#include "base/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace postern::sieve {
namespace {

// The worst of what `score_of` finds in the fields of this name.
template <class ScoreOf>
std::optional<Score> worst(const mail::MessageView& message, const std::string& field, ScoreOf score_of) {
  std::optional<Score> found;
  if (field.empty()) return found;
  std::vector<std::size_t> numbers;
  message.find(field, numbers);
  for (const std::size_t number : numbers) {
    const std::optional<Score> score = score_of(message.decoded_value(number));
    if (score && (!found || std::pair(score->value, score->percent) > std::pair(found->value, found->percent))) found = score;
  }
  return found;
}

}  // namespace

std::optional<Score> spam_score_of(std::string_view value, std::string_view text, unsigned scale) {
  const auto at = value.find(text);
  if (at == std::string_view::npos) return std::nullopt;
  value = base::trim(value.substr(at + text.size()));
  if (value.starts_with('+') && value.size() > 1 && value[1] != '+') value.remove_prefix(1);
  double score = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), score, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(score)) {
    // "*****" says five. "none" says nothing.
    if (value.empty() || base::is_alpha(value.front()) || base::is_digit(value.front())) return std::nullopt;
    score = static_cast<double>(std::min(value.find_first_not_of(value.front()), value.size()));
  }
  const double part = std::clamp(score / scale, 0.0, 1.0);
  return Score{1 + static_cast<int>(9 * part), static_cast<int>(std::lround(100 * part))};
}

std::optional<Score> spam_score(const mail::MessageView& message, const ScoreFields& fields) {
  return worst(message, fields.spam_field, [&](std::string_view value) { return spam_score_of(value, fields.spam_text, fields.spam_scale); });
}

std::optional<Score> virus_score(const mail::MessageView& message, const ScoreFields& fields) {
  return worst(message, fields.virus_field, [&](std::string_view value) -> std::optional<Score> {
    for (const auto& [beginning, score] : fields.virus_values)
      if (base::starts_with_ignoring_case(value, beginning)) return Score{score, 0};
    return std::nullopt;
  });
}

}  // namespace postern::sieve
