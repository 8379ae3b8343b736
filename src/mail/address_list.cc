// SPDX-License-Identifier: Apache-2.0
// Address lists of header fields: RFC 5322 section 3.4 with the obsolete forms of section 4.4, forgiving where mail of the world
// asks for it. One pass from left to right; the parser keeps no stack, so nothing a sender writes can exhaust it.
#include "base/text.h"
#include "mail/address.h"

#include <algorithm>

namespace postern::mail {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Bytes that an atom may have here. Wider than the grammar: anything that is no special and no control counts, 8-bit too.
bool is_loose_atom_byte(char c) {
  if (static_cast<unsigned char>(c) >= 0x80) return true;
  return !base::is_control(c) && std::string_view(" ()<>[]:;@\\,.\"").find(c) == std::string_view::npos;
}

// Of a quoted string or a literal only: atoms have none. Nothing that is written into a header, or compared with an envelope, may hold one.
bool has_control(std::string_view text) { return std::any_of(text.begin(), text.end(), base::is_control); }

class ListReader {
 public:
  ListReader(std::string_view text, const AddressListLimits& limits) : text_(text), limits_(limits) {}

  AddressList read() {
    bool in_group = false;
    for (;;) {
      skip_blanks_and_comments();
      if (at_end()) return std::move(list_);
      if (take(',')) continue;                       // empty elements: RFC 5322 section 4.4
      if (in_group && take(';')) {
        in_group = false;
        continue;
      }
      if (list_.addresses.size() >= limits_.addresses) {
        list_.cut = true;
        return std::move(list_);
      }
      if (!in_group && group_begins()) {
        list_.grouped = in_group = true;
        continue;
      }
      element(in_group);
    }
  }

 private:
  [[nodiscard]] bool at_end() const { return at_ >= text_.size(); }
  [[nodiscard]] char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  // False if a comment nests too deep or is not closed: then everything is skipped.
  void skip_blanks_and_comments() {
    std::size_t depth = 0;
    for (; !at_end(); ++at_) {
      const char c = text_[at_];
      if (depth > 0) {
        if (c == '\\' && at_ + 1 < text_.size()) ++at_;
        else if (c == ')') --depth;
        else if (c == '(' && ++depth > limits_.comment_depth) {
          list_.cut = true;
          at_ = text_.size();
          return;
        }
      } else if (c == '(') {
        depth = 1;
      } else if (!is_blank(c)) {
        return;
      }
    }
  }

  // A word: an atom or a quoted string, without its quotes. False if there is none here.
  bool word(std::string& out) {
    if (peek() == '"') {
      if (no_more_quotes_) return false;
      const std::size_t begin = at_++;
      std::string meant;
      while (!at_end()) {
        char c = text_[at_++];
        if (c == '"') {
          out += meant;
          return true;
        }
        if (c == '\\' && !at_end()) c = text_[at_++];
        meant += c;
      }
      // No closing quote: no word. Then no quote further on closes either; remembered, so that many lone ones cost no square.
      at_ = begin;
      no_more_quotes_ = true;
      return false;
    }
    const std::size_t begin = at_;
    while (!at_end() && is_loose_atom_byte(peek())) ++at_;
    out.append(text_.substr(begin, at_ - begin));
    return at_ > begin;
  }

  // word *("." word) with comments and blanks between; obs-local-part.
  bool local_part(std::string& out) {
    const bool quoted = peek() == '"';
    if (!word(out)) return false;
    if (out.empty() && !quoted) return false;
    for (;;) {
      const std::size_t before = at_;
      skip_blanks_and_comments();
      if (!take('.')) {
        at_ = before;
        return true;
      }
      out += '.';
      skip_blanks_and_comments();
      word(out);  // "a..b@" and "a.@" exist, and mailers of the world take them
    }
  }

  bool domain(std::string& out) {
    if (peek() == '[') {
      constexpr std::size_t kLongestLiteral = 256;   // so that many lone '[' cost no square
      const auto length = text_.substr(at_, kLongestLiteral).find(']');
      if (length == std::string_view::npos) return false;
      const auto close = at_ + length;
      for (const char c : text_.substr(at_, close + 1 - at_))
        if (!is_blank(c)) out += c;
      at_ = close + 1;
      return true;
    }
    for (;;) {
      const std::size_t begin = at_;
      while (!at_end() && is_loose_atom_byte(peek())) ++at_;
      if (at_ == begin) return false;
      out.append(text_.substr(begin, at_ - begin));
      const std::size_t before = at_;
      skip_blanks_and_comments();
      if (!take('.')) {
        at_ = before;
        return true;
      }
      out += '.';
      skip_blanks_and_comments();
    }
  }

  bool address(ListedAddress& found) {
    if (!local_part(found.local_part)) return false;
    skip_blanks_and_comments();
    if (!take('@')) return false;
    skip_blanks_and_comments();
    return domain(found.domain);
  }

  // "<" [route ":"] address ">"
  bool angle_address(ListedAddress& found) {
    if (!take('<')) return false;
    skip_blanks_and_comments();
    while (peek() == '@' || peek() == ',') {         // obs-route
      if (take(',')) {
        skip_blanks_and_comments();
        continue;
      }
      ++at_;
      std::string ignored;
      skip_blanks_and_comments();
      if (!domain(ignored)) return false;
      skip_blanks_and_comments();
      if (take(':')) {
        skip_blanks_and_comments();
        break;
      }
    }
    if (!address(found)) return false;
    skip_blanks_and_comments();
    return take('>');
  }

  // True, and moved behind the colon, if a group's name stands here.
  bool group_begins() {
    const std::size_t begin = at_;
    std::string ignored;
    while (word(ignored) || take('.')) skip_blanks_and_comments();
    if (at_ > begin && take(':')) return true;
    at_ = begin;
    return false;
  }

  // One mailbox, up to its comma (or the group's end).
  void element(bool in_group) {
    const std::size_t begin = at_;
    ListedAddress found;
    bool good = address(found);
    if (good) good = ends_here(in_group);
    if (!good) {
      at_ = begin;
      found = {};
      phrase(found.display_name);
      good = angle_address(found) && ends_here(in_group);
    }
    if (!good) {
      at_ = begin;
      found = {};
      skip_element(in_group);
    }
    found.valid = good && !has_control(found.local_part) && !has_control(found.domain);
    found.raw = std::string(base::trim(text_.substr(begin, at_ - begin)));
    list_.addresses.push_back(std::move(found));
  }

  bool ends_here(bool in_group) {
    const std::size_t before = at_;
    skip_blanks_and_comments();
    const bool ends = at_end() || peek() == ',' || (in_group && peek() == ';');
    at_ = before;
    return ends;
  }

  void phrase(std::string& out) {
    for (;;) {
      std::string next;
      if (word(next)) {
        if (!out.empty()) out += ' ';
        out += next;
      } else if (take('.')) {
        out += '.';
      } else {
        return;
      }
      skip_blanks_and_comments();
    }
  }

  // To the comma that ends a broken element; quoted strings, comments and angle brackets are stepped over as a whole, if they close.
  void skip_element(bool in_group) {
    while (!at_end() && peek() != ',' && !(in_group && peek() == ';')) {
      const std::size_t before = at_;
      std::string ignored;
      if (peek() == '(') {
        skip_blanks_and_comments();
      } else if (peek() == '"') {
        word(ignored);
      }
      if (at_ == before) ++at_;
    }
  }

  std::string_view text_;
  AddressListLimits limits_;
  std::size_t at_ = 0;
  bool no_more_quotes_ = false;
  AddressList list_;
};

}  // namespace

AddressList parse_address_list(std::string_view value, const AddressListLimits& limits) { return ListReader(value, limits).read(); }

}  // namespace postern::mail
