// SPDX-License-Identifier: Apache-2.0
#include "sieve/match.h"

#include "base/text.h"
#include "sieve/interpreter.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace postern::sieve {

namespace {

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

void Matcher::prepare() {
  for (Key& key : keys) {
    if (!key.text.is_constant()) continue;
    if (comparator == Comparator::ascii_casemap) fold(key.text.constant(), key.folded);
    else key.folded = key.text.constant();
    if (type == MatchType::matches) key.pattern = Pattern(key.folded);
  }
}

bool Matcher::matches(Run& run, std::string_view value) const {
  std::string_view folded_value = value;
  if (comparator == Comparator::ascii_casemap && (type == MatchType::contains || type == MatchType::matches)) {
    fold(value, run.folded);
    folded_value = run.folded;
  }
  for (const Key& key : keys)
    if (matches_key(run, key, value, folded_value)) return true;
  return false;
}

bool Matcher::matches_key(Run& run, const Key& key, std::string_view value, std::string_view folded_value) const {
  std::string scratch, own_folded;
  const std::string_view text = key.text.value(run, scratch);
  if (!run.spend_text(value.size() + text.size())) return false;

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
  if (type == MatchType::is) return comparator == Comparator::octet ? value == text : compare(comparator, value, text) == 0;

  std::string_view folded_key = key.folded;
  if (!key.text.is_constant()) {
    if (comparator == Comparator::ascii_casemap) fold(text, own_folded);
    else own_folded = std::string(text);
    folded_key = own_folded;
  }
  if (type == MatchType::contains)  // memmem is linear, whatever key and value are
    return folded_key.empty() || ::memmem(folded_value.data(), folded_value.size(), folded_key.data(), folded_key.size()) != nullptr;

  std::vector<std::pair<std::size_t, std::size_t>> captures;
  const bool capturing = sets_match_values && run.wants_match_values();
  const bool matched = key.text.is_constant() ? key.pattern.matches(run, folded_value, capturing ? &captures : nullptr)
                                              : Pattern(folded_key).matches(run, folded_value, capturing ? &captures : nullptr);
  if (!matched || !capturing) return matched;
  // RFC 5229 section 3.2: all are set anew; ${0} is the whole value. Folding keeps places, so the text is the value's own.
  std::vector<std::string> values{std::string(value)};
  for (const auto& [begin, end] : captures) {
    if (values.size() > run.limits().match_values) break;
    values.emplace_back(value.substr(begin, end - begin));
  }
  run.set_match_values(std::move(values));
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
