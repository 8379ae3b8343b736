// SPDX-License-Identifier: Apache-2.0
#include "mapping/pattern.h"

#include "base/text.h"
#include "mapping/address.h"
#include "mapping/code.h"

#include <array>
#include <cstring>
#include <optional>

namespace postern::mapping {
namespace {

constexpr std::size_t kSetBytes = 32;
constexpr int kMaxDepth = 300;

// One bit for each byte value and class.
constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> table{};
  const auto add = [&](CharacterClass character_class, unsigned char c) {
    table[c] = static_cast<std::uint8_t>(table[c] | 1u << static_cast<unsigned>(character_class));
  };
  for (unsigned value = 0; value < 256; ++value) {
    const auto c = static_cast<unsigned char>(value);
    const char folded = base::ascii_lower(static_cast<char>(c));
    const bool letter = folded >= 'a' && folded <= 'z', digit = c >= '0' && c <= '9';
    add(CharacterClass::any, c);
    if (letter) add(CharacterClass::letters, c);
    if (c == '0' || c == '1') add(CharacterClass::binary, c);
    if (digit) add(CharacterClass::decimal, c);
    if (digit || (folded >= 'a' && folded <= 'f')) add(CharacterClass::hexadecimal, c);
    if (c >= '0' && c <= '7') add(CharacterClass::octal, c);
    if (letter || digit || c == '_' || c == '$') add(CharacterClass::symbol, c);
    if (c == ' ' || c == '\t' || c == '\v') add(CharacterClass::blank, c);
  }
  return table;
}

constexpr std::array<std::uint8_t, 256> kClasses = make_classes();

std::optional<CharacterClass> class_of_letter(char letter) {
  switch (letter) {
    case 'A': return CharacterClass::letters;
    case 'B': return CharacterClass::binary;
    case 'D': return CharacterClass::decimal;
    case 'H':
    case 'X': return CharacterClass::hexadecimal;
    case 'O': return CharacterClass::octal;
    case 'S': return CharacterClass::symbol;
    case 'T': return CharacterClass::blank;
    default: return std::nullopt;
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Pattern run() {
    while (at_ < text_.size() && !failed_) {
      const char c = text_[at_++];
      if (c == '*' || c == '%') {
        wildcard(c, CharacterClass::any, {}, {});
      } else if (c == '$') {
        dollar();
      } else {
        literal_ += base::ascii_lower(c);
      }
    }
    flush();
    pattern_.code = code_.take();
    if (pattern_.fields > kReachableFields && !failed_)
      pattern_.findings.push_back({"N01", std::to_string(pattern_.fields) + " fields: a template reaches $0 to $9 only"});
    return std::move(pattern_);
  }

 private:
  struct Modifiers {
    bool lazy = false, saved = true, any = false;
  };

  void error(const char* code, std::string text) {
    if (!failed_) pattern_.findings.push_back({code, std::move(text)});
    failed_ = true;
  }
  void flush() {
    if (literal_.empty()) return;
    code_.op(PatternOp::literal);
    code_.text(literal_);
    literal_.clear();
  }
  void wildcard(char kind, CharacterClass character_class, const Modifiers& modifiers, std::string_view set) {
    flush();
    code_.op(PatternOp::wildcard);
    code_.u8(static_cast<std::uint8_t>((kind == '*' ? WildcardBits::many : 0) | (modifiers.lazy ? WildcardBits::lazy : 0) |
                                       (modifiers.saved ? WildcardBits::saved : 0)));
    code_.u8(static_cast<std::uint8_t>(character_class));
    code_.raw(set);
    if (modifiers.saved) ++pattern_.fields;
  }

  void dollar() {
    Modifiers modifiers;
    if (at_ == text_.size()) return error("E06", "$ at the end of the pattern");
    // One dollar sign may carry several modifiers.
    while (at_ < text_.size() && (text_[at_] == '_' || text_[at_] == '@' || text_[at_] == '^')) {
      const char c = text_[at_++];
      modifiers.any = true;
      if (c == '_') modifiers.lazy = true;
      if (c == '@') modifiers.saved = false;
      if (c == '^') modifiers.saved = true;
    }
    if (at_ == text_.size()) return error("E06", "a modifier without the wildcard or glob that it modifies");
    const char c = text_[at_++];
    if (c == '*' || c == '%') {
      if (modifiers.any) wildcard(c, CharacterClass::any, modifiers, {});
      else literal_ += c;
      return;
    }
    if (base::is_digit(c)) return back_match(c - '0', modifiers);
    if (c == '(') return block4(')', true, modifiers);
    if (c == '<') return block4('>', false, modifiers);
    if (c == '{') return block6(modifiers);
    if (c == '[') return set(modifiers);
    if (const auto character_class = class_of_letter(c)) {
      if (at_ == text_.size() || (text_[at_] != '*' && text_[at_] != '%'))
        return error("E06", std::string("$") + c + " without % or *");
      wildcard(text_[at_++], *character_class, modifiers, {});
      return;
    }
    if (!modifiers.any && (c == '$' || c == ' ' || c == '\t')) {
      literal_ += c;
      return;
    }
    error("E06", std::string(modifiers.any ? "modifier followed by " : "unknown sequence $") + c);
  }

  void back_match(int number, const Modifiers& modifiers) {
    if (at_ < text_.size() && text_[at_] == '*') ++at_;
    if (number >= pattern_.fields) return error("E12", "back match to field " + std::to_string(number) + ", which is not yet saved");
    flush();
    code_.op(PatternOp::back);
    code_.u8(modifiers.saved ? 1 : 0);
    code_.u8(static_cast<std::uint8_t>(number));
    if (modifiers.saved) ++pattern_.fields;
  }

  // The text up to `close`, split at the last slash.
  bool block_text(char close, std::string_view& address, std::optional<unsigned>& bits) {
    const std::size_t end = text_.find(close, at_);
    if (end == std::string_view::npos) {
      error("E07", std::string("address block without closing ") + close);
      return false;
    }
    address = text_.substr(at_, end - at_);
    at_ = end + 1;
    if (const std::size_t slash = address.find('/'); slash != std::string_view::npos) {
      bits = base::number_from<unsigned>(address.substr(slash + 1));
      if (!bits) {
        error("E07", "bit count \"" + std::string(address.substr(slash + 1)) + "\" is no number");
        return false;
      }
      address = address.substr(0, slash);
    }
    return true;
  }

  void block4(char close, bool counts_high_bits, const Modifiers& modifiers) {
    std::string_view text;
    std::optional<unsigned> bits;
    if (!block_text(close, text, bits)) return;
    const auto address = address4(text);
    if (!address) return error("E07", "\"" + std::string(text) + "\" is no IPv4 address" + (text.find(':') == std::string_view::npos ? "" : ": a block of IPv6 addresses is ${…/n}"));
    if (bits.value_or(0) > 32) return error("E07", "bit count " + std::to_string(*bits) + " is above 32");
    const std::uint32_t mask = mask4(counts_high_bits ? bits.value_or(32) : 32 - bits.value_or(0));
    if ((*address & ~mask) != 0) pattern_.findings.push_back({"W08", "host bits are set in \"" + std::string(text) + "\": they are ignored"});
    flush();
    code_.op(PatternOp::block4);
    code_.u8(modifiers.saved ? 1 : 0);
    code_.u32(*address & mask);
    code_.u32(mask);
    if (modifiers.saved) ++pattern_.fields;
  }

  void block6(const Modifiers& modifiers) {
    std::string_view text;
    std::optional<unsigned> bits;
    if (!block_text('}', text, bits)) return;
    const auto address = address6(text);
    if (!address) return error("E07", "\"" + std::string(text) + "\" is no IPv6 address");
    if (bits.value_or(0) > 128) return error("E07", "bit count " + std::to_string(*bits) + " is above 128");
    const Address6 masked = masked6(*address, bits.value_or(128));
    if (masked != *address) pattern_.findings.push_back({"W08", "host bits are set in \"" + std::string(text) + "\": they are ignored"});
    flush();
    code_.op(PatternOp::block6);
    code_.u8(modifiers.saved ? 1 : 0);
    for (const std::uint8_t byte : masked) code_.u8(byte);
    code_.u8(static_cast<std::uint8_t>(bits.value_or(128)));
    if (modifiers.saved) ++pattern_.fields;
  }

  // One member of a set; false at the closing bracket or after an error.
  bool member(char& c, bool& quoted) {
    quoted = false;
    if (at_ == text_.size()) return error("E06", "set without closing ]"), false;
    c = text_[at_++];
    if (c == ']') return false;
    if (c == '$') return error("E06", "$ in a set (write $T% or $T* for blanks)"), false;
    if (c == '\\') {
      if (at_ == text_.size()) return error("E06", "set without closing ]"), false;
      c = text_[at_++];
      quoted = true;
    }
    return true;
  }

  void set(const Modifiers& modifiers) {
    std::string bits(kSetBytes, '\0');
    const auto add = [&](unsigned char c) {
      for (const char both : {base::ascii_lower(static_cast<char>(c)), base::ascii_upper(static_cast<char>(c))}) {
        const auto value = static_cast<unsigned char>(both);
        bits[value / 8] = static_cast<char>(bits[value / 8] | 1 << value % 8);
      }
    };
    if (at_ < text_.size() && (text_[at_] == '^' || text_[at_] == '!' || text_[at_] == '~'))
      pattern_.findings.push_back({"W11", std::string("set begins with ") + text_[at_] + ", an ordinary member: there is no negation"});
    bool any = false, quoted = false;
    char c = 0;
    while (member(c, quoted)) {
      any = true;
      const auto low = static_cast<unsigned char>(c);
      const bool range = at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']';
      if (!range) {
        add(low);
        continue;
      }
      ++at_;
      if (!member(c, quoted)) break;
      const auto high = static_cast<unsigned char>(c);
      if (high < low) return error("E06", "range from higher to lower in a set");
      for (unsigned value = low; value <= high; ++value) add(static_cast<unsigned char>(value));
    }
    if (failed_) return;
    if (!any) return error("E06", "empty set");
    if (at_ == text_.size() || (text_[at_] != '*' && text_[at_] != '%')) return error("E06", "set without % or *");
    wildcard(text_[at_++], CharacterClass::set, modifiers, bits);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string literal_;
  CodeWriter code_;
  Pattern pattern_;
  bool failed_ = false;
};

// One item of the code, ready to be compared.
struct Item {
  PatternOp op;
  std::uint8_t bits, character_class;  // of a wildcard
  std::uint32_t width;                 // bytes it takes at least
  const char* start;                   // of a literal; of a set its bits
  std::uint32_t size;

  [[nodiscard]] std::string_view text() const { return {start, size}; }
  void set_text(std::string_view text) {
    start = text.data();
    size = static_cast<std::uint32_t>(text.size());
  }
  [[nodiscard]] bool is_star() const { return op == PatternOp::wildcard && (bits & WildcardBits::many) != 0; }
};

bool belongs(char c, std::uint8_t character_class, std::string_view set) {
  const auto value = static_cast<unsigned char>(c);
  if (!set.empty()) return (static_cast<unsigned char>(set[value / 8]) >> value % 8 & 1) != 0;
  return in_class(value, character_class);
}

// The items of a pattern, and what can be said before any is compared.
class Items {
 public:
  explicit Items(std::string_view code) {
    CodeReader in(code);
    while (!in.at_end()) {
      if (count_ == kMost) return;
      Item& item = items_[count_++];
      item = {static_cast<PatternOp>(in.u8()), 0, 0, 0, nullptr, 0};
      switch (item.op) {
        case PatternOp::literal:
          item.set_text(in.text());
          item.width = item.size;
          if (item.size == 0) return;
          break;
        case PatternOp::wildcard:
          item.bits = in.u8();
          item.character_class = in.u8();
          if (item.character_class == static_cast<std::uint8_t>(CharacterClass::set)) item.set_text(in.raw(kSetBytes));
          if (!item.is_star()) item.width = 1;
          else if (item.character_class != static_cast<std::uint8_t>(CharacterClass::any) || (item.bits & WildcardBits::lazy) != 0) plain_ = false;
          break;
        case PatternOp::block4:
          in.raw(9);
          item.width = 7;
          plain_ = false;
          break;
        case PatternOp::block6:
          in.raw(18);
          item.width = 2;
          plain_ = false;
          break;
        case PatternOp::back:
          in.raw(2);
          plain_ = false;
          break;
        default: return;
      }
      if (!in.good()) return;
      width_ += item.width;
    }
    good_ = true;
  }

  // False: malformed, or longer than a pattern can be.
  [[nodiscard]] bool good() const { return good_; }
  // Only literals, single characters and greedy `*`.
  [[nodiscard]] bool plain() const { return plain_; }
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] const Item& operator[](std::size_t i) const { return items_[i]; }
  // False: no need to compare.
  [[nodiscard]] bool possible(std::string_view subject) const {
    if (subject.size() < width_) return false;
    if (count_ == 0) return true;
    const Item &first = items_[0], &last = items_[count_ - 1];
    return (first.op != PatternOp::literal || subject.starts_with(first.text())) && (last.op != PatternOp::literal || subject.ends_with(last.text()));
  }

 private:
  static constexpr std::size_t kMost = 256;
  // Not initialised: most patterns have a handful.
  std::array<Item, kMost> items_;
  std::size_t count_ = 0, width_ = 0;
  bool plain_ = true, good_ = false;
};

// Compares plain patterns, from the end to the start.
class PlainMatcher {
 public:
  PlainMatcher(const Items& items, std::string_view subject, std::uint64_t max_steps, Match& out)
      : items_(items), subject_(subject), max_steps_(max_steps), out_(out) {}

  bool run() {
    // Items before the first `*` stand at the start, those behind the last one at the end.
    std::size_t head = 0, head_end = 0;
    while (head < items_.count() && !items_[head].is_star()) head_end += items_[head++].width;
    if (head_end > subject_.size() || !fits(0, head, 0)) return false;
    if (head == items_.count()) {
      if (head_end != subject_.size()) return false;
      save_all();
      return true;
    }
    std::size_t limit = subject_.size();
    bool anchored = true;
    std::size_t waiting = items_.count();  // items from `waiting` on have their places
    for (;;) {
      // The run of items behind the previous `*`.
      std::size_t start = waiting, width = 0;
      while (!items_[start - 1].is_star()) width += items_[--start].width;
      if (limit < head_end + width) return false;
      std::size_t at = limit - width;
      if (anchored) {
        if (!fits(start, waiting, at)) return false;
        anchored = false;
      } else if (!find_last(start, waiting, head_end, at)) {
        return false;
      }
      starts_[start - 1] = static_cast<std::uint32_t>(at);  // where the `*` before it ends
      limit = at;
      waiting = start - 1;
      if (waiting == head) break;
    }
    save_all();
    return true;
  }

 private:
  bool fits(std::size_t item, std::size_t end, std::size_t at) {
    ++out_.steps;
    for (; item < end; ++item) {
      const Item& one = items_[item];
      if (one.op == PatternOp::literal) {
        if (std::memcmp(subject_.data() + at, one.start, one.size) != 0) return false;
      } else if (!belongs(subject_[at], one.character_class, one.text())) {
        return false;
      }
      at += one.width;
    }
    return true;
  }

  // The last place from `at` back to `low` where the items fit.
  bool find_last(std::size_t item, std::size_t end, std::size_t low, std::size_t& at) {
    if (item == end) return true;
    const Item& first = items_[item];
    for (;;) {
      if (first.op == PatternOp::literal) {
        const void* const found = ::memrchr(subject_.data() + low, first.start[0], at + 1 - low);
        if (found == nullptr) return false;
        const auto place = static_cast<std::size_t>(static_cast<const char*>(found) - subject_.data());
        out_.steps += (at - place) / 16;
        at = place;
      }
      if (fits(item, end, at)) return true;
      if (out_.steps > max_steps_) {
        out_.gave_up = true;
        return false;
      }
      if (at == low) return false;
      --at;
    }
  }

  // Fields in the order of the items.
  void save_all() {
    std::size_t at = 0;
    for (std::size_t item = 0; item < items_.count(); ++item) {
      const Item& one = items_[item];
      const std::size_t end = one.is_star() ? starts_[item] : at + one.width;
      if (one.op == PatternOp::wildcard && (one.bits & WildcardBits::saved) != 0) {
        if (out_.fields < kReachableFields)
          out_.field[static_cast<std::size_t>(out_.fields)] = {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(end - at)};
        ++out_.fields;
      }
      at = end;
    }
  }

  const Items& items_;
  std::string_view subject_;
  std::uint64_t max_steps_;
  Match& out_;
  std::array<std::uint32_t, 256> starts_;  // of `*` items: where they end
};

// Compares all others.
class Matcher {
 public:
  Matcher(std::string_view code, std::string_view subject, std::uint64_t max_steps, Match& out)
      : code_(code), subject_(subject), max_steps_(max_steps), out_(out) {}

  bool run(std::size_t pc, std::size_t at, int fields) {
    for (;;) {
      if (pc >= code_.size()) {
        out_.fields = fields;
        return at == subject_.size();
      }
      if (!step(1)) return false;
      CodeReader in(code_, pc);
      switch (static_cast<PatternOp>(in.u8())) {
        case PatternOp::literal: {
          const std::string_view text = in.text();
          if (!in.good() || !subject_.substr(at).starts_with(text)) return false;
          at += text.size();
          break;
        }
        case PatternOp::block4: {
          const bool saved = in.u8() != 0;
          const std::uint32_t wanted = in.u32(), mask = in.u32();
          if (!in.good()) return false;
          const std::size_t length = address4_run(subject_.substr(at));
          const auto address = length <= 15 ? address4(subject_.substr(at, length)) : std::nullopt;
          if (!address || (*address & mask) != wanted) return false;
          if (saved) save(fields++, at, length);
          at += length;
          break;
        }
        case PatternOp::block6: {
          const bool saved = in.u8() != 0;
          const std::string_view wanted = in.raw(16);
          const unsigned bits = in.u8();
          if (!in.good()) return false;
          const std::size_t length = address6_run(subject_.substr(at));
          const auto address = address6(subject_.substr(at, length));
          if (!address) return false;
          const Address6 masked = masked6(*address, bits);
          if (wanted != std::string_view(reinterpret_cast<const char*>(masked.data()), masked.size())) return false;
          if (saved) save(fields++, at, length);
          at += length;
          break;
        }
        case PatternOp::back: {
          const bool saved = in.u8() != 0;
          const int number = in.u8();
          if (!in.good() || number >= fields || number >= kReachableFields) return false;
          const FieldSpan span = out_.field[static_cast<std::size_t>(number)];
          if (!step(span.length / 8)) return false;
          if (subject_.substr(at, span.length) != subject_.substr(span.start, span.length)) return false;
          if (saved) save(fields++, at, span.length);
          at += span.length;
          break;
        }
        case PatternOp::wildcard: {
          const std::uint8_t bits = in.u8(), character_class = in.u8();
          const std::string_view set = character_class == static_cast<std::uint8_t>(CharacterClass::set) ? in.raw(kSetBytes) : std::string_view();
          if (!in.good()) return false;
          if ((bits & WildcardBits::many) != 0) return many(in.position(), at, fields, bits, character_class, set);
          if (at == subject_.size() || !belongs(subject_[at], character_class, set)) return false;
          if ((bits & WildcardBits::saved) != 0) save(fields++, at, 1);
          ++at;
          break;
        }
        default: return false;
      }
      pc = in.position();
    }
  }

 private:
  bool step(std::uint64_t count) {
    out_.steps += count;
    if (out_.steps > max_steps_) out_.gave_up = true;
    return !out_.gave_up;
  }
  void save(int field, std::size_t start, std::size_t length) {
    if (field < kReachableFields)
      out_.field[static_cast<std::size_t>(field)] = {static_cast<std::uint32_t>(start), static_cast<std::uint32_t>(length)};
  }

  // Zero or more characters of a class: tries the lengths one after another, the longest or the shortest first.
  bool many(std::size_t next, std::size_t at, int fields, std::uint8_t bits, std::uint8_t character_class, std::string_view set) {
    std::size_t longest = subject_.size() - at;
    if (character_class != static_cast<std::uint8_t>(CharacterClass::any)) {
      std::size_t length = 0;
      while (length < longest && belongs(subject_[at + length], character_class, set)) ++length;
      longest = length;
      if (!step(longest / 8)) return false;
    }
    const bool saved = (bits & WildcardBits::saved) != 0;
    // A pattern of the compiler's has at most 256 bytes, so at most as many wildcards; only damaged code nests deeper.
    if (depth_ >= kMaxDepth) return false;
    const auto go_on = [&](std::size_t length) {
      if (saved) save(fields, at, length);
      ++depth_;
      const bool matched = run(next, at + length, saved ? fields + 1 : fields);
      --depth_;
      return matched;
    };
    // Nothing behind it: only all that is left can do.
    if (next >= code_.size()) return at + longest == subject_.size() && go_on(longest);
    // A literal behind it: only places where its first character stands are worth a step each.
    CodeReader peek(code_, next);
    std::optional<char> first;
    if (static_cast<PatternOp>(peek.u8()) == PatternOp::literal)
      if (const std::string_view text = peek.text(); !text.empty()) first = text[0];
    const auto worth_it = [&](std::size_t length) { return !first || (at + length < subject_.size() && subject_[at + length] == *first); };
    if (first && !step(longest / 16)) return false;
    if ((bits & WildcardBits::lazy) != 0) {
      for (std::size_t length = 0; length <= longest; ++length) {
        if (worth_it(length) && go_on(length)) return true;
        if (out_.gave_up) return false;
      }
    } else {
      for (std::size_t length = longest + 1; length-- > 0;) {
        if (worth_it(length) && go_on(length)) return true;
        if (out_.gave_up) return false;
      }
    }
    return false;
  }

  std::string_view code_, subject_;
  std::uint64_t max_steps_;
  Match& out_;
  int depth_ = 0;
};

}  // namespace

bool in_class(unsigned char c, std::uint8_t character_class) {
  return character_class < 8 && (kClasses[c] >> character_class & 1) != 0;
}

bool Pattern::good() const {
  for (const Finding& finding : findings)
    if (finding.code[0] == 'E') return false;
  return true;
}

Pattern parse_pattern(std::string_view text) { return Parser(text).run(); }

Match match(std::string_view code, std::string_view subject, std::uint64_t max_steps) {
  return match_folded(code, base::lower(subject), max_steps);
}

Match match_folded(std::string_view code, std::string_view folded, std::uint64_t max_steps) {
  Match out;
  out.steps = 1;
  const Items items(code);
  if (!items.good() || !items.possible(folded)) return out;
  if (items.plain()) out.matched = PlainMatcher(items, folded, max_steps, out).run();
  else out.matched = Matcher(code, folded, max_steps, out).run(0, 0, 0) && !out.gave_up;
  return out;
}

}  // namespace postern::mapping
