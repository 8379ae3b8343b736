// SPDX-License-Identifier: Apache-2.0
#include "sieve/match.h"

#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace postern::sieve {

namespace {

LetterCase letter_case(Comparator comparator) {
  return comparator == Comparator::octet ? LetterCase::differs : comparator == Comparator::unicode_casemap ? LetterCase::same : LetterCase::same_in_ascii;
}

int sign(int order) { return order < 0 ? -1 : order > 0 ? 1 : 0; }

std::string_view leading_number(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size() && base::is_digit(text[end])) ++end;
  std::string_view digits = text.substr(0, end);
  while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
  return digits;
}

// Length of the character that begins at `at`: a well-formed UTF-8 sequence, or one byte. Only the form is looked at.
std::size_t character_bytes(std::string_view text, std::size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  const std::size_t length = first < 0xc2 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 1;
  if (length == 1 || at + length > text.size()) return 1;
  return base::is_utf8(text.substr(at, length)) ? length : 1;
}

void fold(std::string_view text, std::string& out) {
  out.resize(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) out[i] = base::ascii_upper(text[i]);
}

}  // namespace

bool comparator_from(std::string_view name, Comparator& comparator) {
  if (name == "i;octet") comparator = Comparator::octet;
  else if (name == "i;ascii-casemap") comparator = Comparator::ascii_casemap;
  else if (name == "i;ascii-numeric") comparator = Comparator::ascii_numeric;
  else if (name == "i;unicode-casemap") comparator = Comparator::unicode_casemap;
  else return false;
  return true;
}

bool relation_from(std::string_view name, Relation& relation) {
  constexpr std::array<std::string_view, 6> kNames = {"gt", "ge", "lt", "le", "eq", "ne"};
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (base::equal_ignoring_case(name, kNames[i])) {
      relation = static_cast<Relation>(i);
      return true;
    }
  return false;
}

int compare(Comparator comparator, std::string_view a, std::string_view b) {
  switch (comparator) {
    case Comparator::octet: return sign(a.compare(b));
    case Comparator::ascii_casemap: {
      const std::size_t common = std::min(a.size(), b.size());
      for (std::size_t i = 0; i < common; ++i) {
        const auto x = static_cast<unsigned char>(base::ascii_upper(a[i])), y = static_cast<unsigned char>(base::ascii_upper(b[i]));
        if (x != y) return x < y ? -1 : 1;
      }
      return a.size() == b.size() ? 0 : a.size() < b.size() ? -1 : 1;
    }
    case Comparator::unicode_casemap: {
      const auto x = casemap_text(a), y = casemap_text(b);
      if (!x || !y) return x ? -1 : 1;
      return sign(x->compare(*y));
    }
    case Comparator::ascii_numeric: {
      const std::string_view x = leading_number(a), y = leading_number(b);
      if (x.empty() || y.empty()) return x.empty() == y.empty() ? 0 : x.empty() ? 1 : -1;
      if (x.size() != y.size()) return x.size() < y.size() ? -1 : 1;
      return sign(x.compare(y));
    }
  }
  return 0;
}

bool holds(Relation relation, int order) {
  switch (relation) {
    case Relation::gt: return order > 0;
    case Relation::ge: return order >= 0;
    case Relation::lt: return order < 0;
    case Relation::le: return order <= 0;
    case Relation::eq: return order == 0;
    case Relation::ne: return order != 0;
  }
  return false;
}

Pattern::Pattern(std::string_view glob) {
  for (std::size_t i = 0; i < glob.size(); ++i) {
    if (glob[i] == '*' || glob[i] == '?') {
      ++wildcards_;
      items_.push_back(glob[i] == '*' ? kAny : kOne);
      continue;
    }
    if (glob[i] == '\\' && i + 1 < glob.size()) ++i;
    items_.push_back(static_cast<unsigned char>(glob[i]));
  }
}

bool Pattern::matches(Run& run, std::string_view text, std::vector<std::pair<std::size_t, std::size_t>>* captures) const {
  if (captures != nullptr) captures->assign(wildcards_, {0, 0});
  std::size_t item = 0, at = 0, wildcard = 0;                      // where we are
  std::size_t star_item = items_.size(), star_at = 0, star_wildcard = 0;  // the last '*', and how far it reaches
  bool have_star = false;
  const auto capture = [&](std::size_t number, std::size_t begin, std::size_t end) {
    if (captures != nullptr) (*captures)[number] = {begin, end};
  };
  for (std::size_t work = 1;; ++work) {
    if (work % 1024 == 0 && !run.spend(1)) return false;
    if (item < items_.size()) {
      if (items_[item] == kAny) {
        if (item + 1 == items_.size()) {                            // the last one takes the rest
          capture(wildcard, at, text.size());
          return true;
        }
        have_star = true;
        star_item = item++;
        star_at = at;
        star_wildcard = wildcard++;
        capture(star_wildcard, at, at);
        continue;
      }
      if (at < text.size()) {
        if (items_[item] == kOne) {
          const std::size_t length = character_bytes(text, at);
          capture(wildcard++, at, at + length);
          at += length;
          ++item;
          continue;
        }
        if (items_[item] == static_cast<unsigned char>(text[at])) {
          ++at;
          ++item;
          continue;
        }
      }
    } else if (at == text.size()) {
      return true;
    }
    // Nothing fits here: the last '*' takes one character more. An earlier one never has to, so each pair of item and place is
    // looked at once.
    if (!have_star || star_at >= text.size()) return false;
    const std::uint16_t next = items_[star_item + 1];
    std::size_t reach = star_at + character_bytes(text, star_at);
    if (next < 0x80) {                                              // an ASCII byte always begins a character: go to it at once
      const void* found = reach < text.size() ? std::memchr(text.data() + reach, next, text.size() - reach) : nullptr;
      if (found == nullptr) return false;
      reach = static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    }
    if (captures != nullptr) (*captures)[star_wildcard].second = reach;
    star_at = reach;
    at = reach;
    item = star_item + 1;
    wildcard = star_wildcard + 1;
  }
}

std::optional<std::string> casemap_text(std::string_view text, std::vector<std::uint32_t>* places, std::size_t most_bytes) {
  std::string out;
  if (places != nullptr) places->clear();
  const auto add = [&](std::string_view piece, std::size_t place) {
    out.append(piece);
    if (places != nullptr) places->insert(places->end(), piece.size(), static_cast<std::uint32_t>(place));
  };
  const UNormalizer2* decomposition = nullptr;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (static_cast<unsigned char>(c) < 0x80) {
      const char upper = base::ascii_upper(c);
      add({&upper, 1}, at++);
      continue;
    }
    const std::size_t length = character_bytes(text, at);
    if (length == 1) return std::nullopt;
    UChar32 character = 0;
    auto offset = static_cast<std::int32_t>(at);
    U8_NEXT(reinterpret_cast<const std::uint8_t*>(text.data()), offset, static_cast<std::int32_t>(text.size()), character);
    if (character < 0) return std::nullopt;
    character = u_totitle(character);
    UErrorCode status = U_ZERO_ERROR;
    if (decomposition == nullptr) decomposition = unorm2_getNFKDInstance(&status);
    std::array<UChar, 64> wide{};
    std::int32_t units = U_SUCCESS(status) ? unorm2_getDecomposition(decomposition, character, wide.data(), static_cast<std::int32_t>(wide.size()), &status) : -1;
    if (U_FAILURE(status) || units < 0) {
      units = 0;
      U16_APPEND_UNSAFE(wide.data(), units, character);
    }
    std::array<char, 3 * 64> bytes{};
    std::int32_t written = 0;
    status = U_ZERO_ERROR;
    u_strToUTF8(bytes.data(), static_cast<std::int32_t>(bytes.size()), &written, wide.data(), units, &status);
    if (U_FAILURE(status)) return std::nullopt;
    if (out.size() + static_cast<std::size_t>(written) > most_bytes) return std::nullopt;
    add({bytes.data(), static_cast<std::size_t>(written)}, at);
    at += length;
  }
  if (places != nullptr) places->push_back(static_cast<std::uint32_t>(text.size()));
  return out;
}

std::optional<std::string> Matcher::prepare(const Limits& limits, std::size_t* regex_bytes) {
  for (Key& key : keys) {
    if (!key.text.is_constant()) continue;
    if (type == MatchType::regex) {
      if (regex_bytes != nullptr && *regex_bytes == 0) return "the regular expressions of the script are too large together";
      std::string problem;
      key.regex = Regex::compile(key.text.constant(), letter_case(comparator), limits, problem);
      if (regex_bytes != nullptr) {
        // One that is too large has cost as much as the largest.
        const std::size_t taken = key.regex ? key.regex->bytes() : limits.regex_program_bytes;
        if (key.regex && taken > std::exchange(*regex_bytes, *regex_bytes - std::min(*regex_bytes, taken))) return "the regular expressions of the script are too large together";
      }
      if (!key.regex) return "\"" + base::printable(key.text.constant(), 80) + "\" is no regular expression: " + problem;
      continue;
    }
    if (comparator == Comparator::ascii_casemap) {
      fold(key.text.constant(), key.folded);
    } else if (comparator == Comparator::unicode_casemap) {
      auto mapped = casemap_text(key.text.constant());
      key.no_text = !mapped;
      key.folded = std::move(mapped).value_or(std::string());
    } else {
      key.folded = key.text.constant();
    }
    if (type == MatchType::matches) key.pattern = Pattern(key.folded);
  }
  return std::nullopt;
}

void Matcher::Key::carry(Archive& archive) { archive(text); }

// What was prepared is prepared again.
void Matcher::carry(Archive& archive) {
  archive.choice(type, MatchType::list);
  archive.choice(comparator, Comparator::unicode_casemap);
  archive(relation, sets_match_values, keys);
  if (archive.reads() && !archive.failed() && prepare(archive.limits(), &archive.regex_bytes())) archive.fail();
}

bool Matcher::matches_stable(Run& run, std::string_view value) const {
  const bool folds = comparator == Comparator::ascii_casemap && (type == MatchType::is || type == MatchType::contains || type == MatchType::matches);
  return folds ? matches_folded(run, value, run.folded_stable(value), nullptr) : matches(run, value);
}

bool Matcher::matches(Run& run, std::string_view value) const {
  if (comparator == Comparator::ascii_casemap && (type == MatchType::contains || type == MatchType::matches)) {
    fold(value, run.folded);
    return matches_folded(run, value, run.folded, nullptr);
  }
  if (comparator == Comparator::unicode_casemap && (type == MatchType::is || type == MatchType::contains || type == MatchType::matches)) {
    if (!run.spend_text(4 * value.size())) return false;
    // Nobody asks for places but match values, and a text of many megabytes is a body, which has none.
    const bool capturing = type == MatchType::matches && sets_match_values && run.wants_match_values();
    std::vector<std::uint32_t> places;
    const auto mapped = casemap_text(value, capturing ? &places : nullptr, run.limits().memory_bytes);
    return mapped && matches_folded(run, value, *mapped, capturing ? &places : nullptr);
  }
  return matches_folded(run, value, {}, nullptr);
}

// `folded_value` is empty where the value is compared as it stands.
bool Matcher::matches_folded(Run& run, std::string_view value, std::string_view folded_value, const std::vector<std::uint32_t>* places) const {
  return std::any_of(keys.begin(), keys.end(), [&](const Key& key) { return matches_key(run, key, value, folded_value, places); });
}

bool Matcher::matches_key(Run& run, const Key& key, std::string_view value, std::string_view folded_value, const std::vector<std::uint32_t>* places) const {
  std::string scratch, own_folded;
  const std::string_view text = key.text.value(run, scratch);
  if (!run.spend_text(value.size() + text.size()) || key.no_text) return false;

  if (type == MatchType::value) {
    std::string relation_scratch;
    const std::string_view name = relation.value(run, relation_scratch);
    Relation wanted{};
    if (!relation_from(name, wanted)) {
      run.fail("unknown relation \"" + std::string(name) + "\"");
      return false;
    }
    return holds(wanted, compare(comparator, value, text));
  }
  if (type == MatchType::regex) return matches_regex(run, key, text, value);
  if (type == MatchType::list) return in_list(run, text, value);
  if (folded_value.data() == nullptr) folded_value = value;

  std::string_view folded_key = key.folded;
  if (!key.text.is_constant()) {
    if (comparator == Comparator::ascii_casemap) {
      fold(text, own_folded);
    } else if (comparator == Comparator::unicode_casemap) {
      auto mapped = casemap_text(text);
      if (!mapped) return false;
      own_folded = std::move(*mapped);
    } else {
      own_folded = std::string(text);
    }
    folded_key = own_folded;
  }
  if (type == MatchType::is) {
    if (comparator == Comparator::ascii_numeric) return compare(comparator, value, text) == 0;
    // Where the value was not folded already, comparing costs less than folding.
    if (comparator == Comparator::ascii_casemap && folded_value.data() == value.data()) return base::equal_ignoring_case(value, text);
    return folded_value == folded_key;
  }
  if (type == MatchType::contains) {
    // An empty value may have no address at all. memmem is linear, whatever key and value are.
    if (folded_key.size() > folded_value.size()) return false;
    return folded_key.empty() || ::memmem(folded_value.data(), folded_value.size(), folded_key.data(), folded_key.size()) != nullptr;
  }

  std::vector<std::pair<std::size_t, std::size_t>> captures;
  const bool capturing = sets_match_values && run.wants_match_values();
  const bool matched = key.text.is_constant() ? key.pattern.matches(run, folded_value, capturing ? &captures : nullptr)
                                              : Pattern(folded_key).matches(run, folded_value, capturing ? &captures : nullptr);
  if (!matched || !capturing) return matched;
  // RFC 5229 section 3.2: all are set anew; ${0} is the whole value. Where folding moves places, a wildcard has the whole characters
  // that it took a part of.
  std::vector<std::string> values{std::string(value)};
  for (const auto& [begin, end] : captures) {
    if (values.size() > run.limits().match_values) break;
    const std::size_t from = places != nullptr ? (*places)[begin] : begin, to = places != nullptr ? (*places)[end] : end;
    values.emplace_back(value.substr(from, to - from));
  }
  run.set_match_values(std::move(values));
  return true;
}

bool Matcher::matches_regex(Run& run, const Key& key, std::string_view text, std::string_view value) const {
  if (value.size() > run.limits().regex_text_bytes) {
    run.note("a value of more than " + std::to_string(run.limits().regex_text_bytes) + " bytes is not looked at with :regex");
    return false;
  }
  std::shared_ptr<const Regex> regex = key.regex;
  if (!regex) {
    std::string problem;
    regex = run.regex(text, letter_case(comparator), problem);
    if (!regex) {
      run.note("\"" + base::printable(text, 80) + "\" is no regular expression: " + problem);
      return false;
    }
  }
  // The step budget is looked at between searches only, so none may be endless.
  if (value.size() * regex->instructions() > run.limits().regex_work) {
    run.note("a value of " + std::to_string(value.size()) + " bytes is not looked at with so large a regular expression");
    return false;
  }
  if (!run.spend(value.size() / 1024 * regex->weight() + regex->weight())) return false;
  std::vector<std::pair<std::size_t, std::size_t>> groups;
  const bool capturing = sets_match_values && run.wants_match_values();
  if (!regex->search(value, capturing ? &groups : nullptr)) return false;
  if (!capturing) return true;
  std::vector<std::string> values;
  for (const auto& [begin, end] : groups) {
    if (values.size() > run.limits().match_values) break;
    values.emplace_back(begin == std::string_view::npos ? std::string_view() : value.substr(begin, end - begin));
  }
  run.set_match_values(std::move(values));
  return true;
}

bool Matcher::in_list(Run& run, std::string_view list, std::string_view value) const {
  if (!run.look_up() || value.size() > run.limits().list_value_bytes) return false;
  if (!run.host().list_contains(list_name(list), std::string(value))) return false;
  if (sets_match_values && run.wants_match_values()) run.set_match_values({std::string(value)});   // RFC 6134 section 2.2
  return true;
}

bool Matcher::matches_count(Run& run, std::size_t count) const {
  std::string scratch;
  const std::string_view name = relation.value(run, scratch);
  Relation wanted{};
  if (!relation_from(name, wanted)) {
    run.fail("unknown relation \"" + std::string(name) + "\"");
    return false;
  }
  const std::string number = std::to_string(count);
  for (const Key& key : keys) {
    if (!run.spend(1)) return false;
    std::string key_scratch;
    if (holds(wanted, compare(Comparator::ascii_numeric, number, key.text.value(run, key_scratch)))) return true;
  }
  return false;
}

}  // namespace postern::sieve
