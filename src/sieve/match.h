// SPDX-License-Identifier: Apache-2.0
#pragma once
// Match types and comparators: what a test does with each value it finds (RFC 5228 section 2.7, RFC 4790, RFC 5231).
#include "sieve/limits.h"
#include "sieve/program.h"
#include "sieve/regex.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::sieve {

enum class MatchType { is, contains, matches, value, count, regex, list };
enum class Comparator { octet, ascii_casemap, ascii_numeric, unicode_casemap };
enum class Relation { gt, ge, lt, le, eq, ne };

bool comparator_from(std::string_view name, Comparator& comparator);
bool relation_from(std::string_view name, Relation& relation);

// The order of two values: below, at or above 0.
//   i;octet: unsigned bytes. i;ascii-casemap: the same after a-z became A-Z (RFC 4790 section 9.2).
//   i;unicode-casemap: the bytes of casemap_text(); what is no UTF-8 is equal to nothing and comes last (RFC 5051).
//   i;ascii-numeric: leading digits as a number of any length; no digit in front: infinity, equal to itself (section 9.1).
int compare(Comparator comparator, std::string_view a, std::string_view b);
bool holds(Relation relation, int order);

// RFC 5051 section 2: each character's titlecase, then its decomposition, which may be eleven times as long. Nothing if `text` is no
// UTF-8, or if it would take more than `most_bytes`. `places`, if given, gets for each byte of the result, and for its end, the place
// in `text` of the character that it came from.
std::optional<std::string> casemap_text(std::string_view text, std::vector<std::uint32_t>* places = nullptr, std::size_t most_bytes = SIZE_MAX);

// A glob: literal bytes, '?' for one character (a UTF-8 sequence, or a byte that belongs to none), '*' for any run. A backslash
// makes the next character literal; at the end it is one itself.
class Pattern {
 public:
  Pattern() = default;
  explicit Pattern(std::string_view glob);
  // Whether all of `text` matches. Each '*' takes as little as possible, from left to right. Time: at most pattern times text,
  // which is taken from the run's budget. `captures` (if given): begin and end of what each wildcard took.
  bool matches(Run& run, std::string_view text, std::vector<std::pair<std::size_t, std::size_t>>* captures) const;

 private:
  static constexpr std::uint16_t kOne = 256, kAny = 257;
  std::vector<std::uint16_t> items_;
  std::size_t wildcards_ = 0;
};

// The keys of a test with its match type and comparator. Keys without references are prepared when the script is compiled.
class Matcher {
 public:
  struct Key {
    Text text;
    std::string folded;          // for :is and :contains
    bool no_text = false;        // it is no UTF-8 and can't match with i;unicode-casemap
    Pattern pattern;             // for :matches
    std::shared_ptr<const Regex> regex;  // for :regex
    void carry(Archive& archive);
  };
  MatchType type = MatchType::is;
  Comparator comparator = Comparator::ascii_casemap;
  Text relation;                 // of :value and :count
  bool sets_match_values = true; // not for `body`
  std::vector<Key> keys;

  // Once, when all is set. An error text if a constant key can't be used. `regex_bytes`, if given: what constant regular expressions may
  // still take together; it becomes less.
  std::optional<std::string> prepare(const Limits& limits = {}, std::size_t* regex_bytes = nullptr);

  // Whether a key matches the value.
  bool matches(Run& run, std::string_view value) const;
  // The same for a value that stays where it is until the message is edited (Run::folded_stable()).
  bool matches_stable(Run& run, std::string_view value) const;
  // :count
  bool matches_count(Run& run, std::size_t count) const;
  void carry(Archive& archive);

 private:
  bool matches_folded(Run& run, std::string_view value, std::string_view folded_value, const std::vector<std::uint32_t>* places) const;
  bool matches_key(Run& run, const Key& key, std::string_view value, std::string_view folded_value, const std::vector<std::uint32_t>* places) const;
  bool matches_regex(Run& run, const Key& key, std::string_view text, std::string_view value) const;
  bool in_list(Run& run, std::string_view list, std::string_view value) const;
};

}  // namespace postern::sieve
