// SPDX-License-Identifier: Apache-2.0
#include "mapping/template.h"

#include "base/text.h"
#include "base/utf8.h"
#include "mapping/code.h"

#include <charconv>
#include <cstring>
#include <tuple>
#include <utility>

namespace postern::mapping {
namespace {

class Parser {
 public:
  Parser(std::string_view text, int fields) : text_(text), fields_(fields) {}

  Template run() {
    while (at_ < text_.size() && !failed_ && !stopped_) {
      const char c = text_[at_++];
      if (c == '$') dollar();
      else plain(c);
    }
    flush();
    template_.code = code_.take();
    return std::move(template_);
  }

 private:
  TemplateFacts& facts() { return template_.facts; }

  void error(const char* code, std::string text) {
    if (!failed_) template_.findings.push_back({code, std::move(text)});
    failed_ = true;
  }
  void plain(char c) {
    literal_ += c;
    if (facts().output.empty() || !facts().output.back().constant) facts().output.push_back({});
    facts().output.back().text += c;
  }
  void flush() {
    if (literal_.empty()) return;
    code_.op(TemplateOp::text);
    code_.text(literal_);
    literal_.clear();
  }
  void op(TemplateOp operation) {
    flush();
    code_.op(operation);
  }
  void substituted(int field) { facts().output.push_back({false, field, {}}); }
  void may_fail(bool without_login = true) {
    facts().can_fail = true;
    facts().can_fail_without_login |= without_login;
    facts().raised_before_failure.add(facts().raised);
    if (facts().control == ' ' || facts().control == 'E') facts().unguarded_failure = true;
  }
  void control(char letter) {
    op(TemplateOp::control);
    code_.u8(static_cast<std::uint8_t>(letter));
    facts().control = letter;
    if (letter == 'E') return;
    facts().any_continuing = true;
    if (facts().can_fail) facts().control_after_failure = true;
  }

  void dollar() {
    if (at_ == text_.size()) return error("E15", "$ at the end of the template");
    const char c = text_[at_++];
    switch (c) {
      case '$':
      case ' ':
      case '\t': return plain(c);
      case '\\':
      case '^':
      case '_':
        op(TemplateOp::fold);
        return code_.u8(static_cast<std::uint8_t>(c));
      case '=': return op(TemplateOp::ldap);
      case 'C':
      case 'E':
      case 'L':
      case 'R': return control(c);
      case '+':
        if (text_.substr(at_, 2) != "1E") return error("E15", "$+ that is not $+1E");
        op(TemplateOp::stop);
        facts().control = 'E';
        stopped_ = true;
        return;
      case '?': return random();
      case ':':
      case ';':
        if (at_ == text_.size()) return error("E15", std::string("$") + c + " without a flag");
        may_fail(c == ':' || text_[at_] != 'A');
        facts().tested.add(text_[at_]);
        op(c == ':' ? TemplateOp::if_set : TemplateOp::if_clear);
        if (c == ':' && text_[at_] == 'A') first_probe_only_ = true;
        return code_.u8(static_cast<std::uint8_t>(text_[at_++]));
      case '|': return call();
      case '{': return sequence(TemplateOp::general, '}', "${");
      case '[': return call_out();
      case ']': return url();
      case '#': return sequence_file();
      case '}': return attribute();
      case '&': return utf8();
      default: break;
    }
    if (base::is_digit(c)) {
      if (c - '0' >= fields_) return no_such_field(c);
      op(TemplateOp::field);
      code_.u8(static_cast<std::uint8_t>(c - '0'));
      return substituted(c - '0');
    }
    if (base::is_alpha(c) || c == '<' || c == '>' || c == ',' || c == '!') {
      op(TemplateOp::flag);
      code_.u8(static_cast<std::uint8_t>(c));
      facts().raised.add(c);
      return;
    }
    error("E15", std::string("unknown sequence $") + c);
  }

  void no_such_field(char digit) {
    const std::string saved = fields_ == 0   ? "no field"
                              : fields_ == 1 ? "one field, $0"
                                             : std::to_string(fields_) + " fields, $0 to $" + std::to_string(fields_ - 1);
    error("E08", std::string("$") + digit + ", but the pattern saves " + saved);
  }

  // The raw text up to `close`, which a $ protects nothing from but its own next byte.
  bool raw_argument(char close, const char* opening, std::string_view& out) {
    const std::size_t start = at_;
    while (at_ < text_.size()) {
      if (text_[at_] == close) {
        out = text_.substr(start, at_ - start);
        ++at_;
        return true;
      }
      at_ += text_[at_] == '$' ? 2 : 1;
    }
    at_ = text_.size();
    error("E09", std::string(opening) + " without closing " + close);
    return false;
  }

  // Splits at the first `separator` that no $ protects; without one the second part is empty.
  static std::pair<std::string_view, std::string_view> split_once(std::string_view text, char separator, bool* found = nullptr) {
    for (std::size_t i = 0; i < text.size(); i += text[i] == '$' ? 2 : 1)
      if (text[i] == separator) {
        if (found != nullptr) *found = true;
        return {text.substr(0, i), text.substr(i + 1)};
      }
    if (found != nullptr) *found = false;
    return {text, {}};
  }

  // One argument: constant text and fields. `constant` receives the text if there are no fields in it.
  void argument(std::string_view text, std::string* constant = nullptr) {
    CodeWriter inner;
    std::string literal;
    bool fixed = true;
    const auto flush_inner = [&] {
      if (literal.empty()) return;
      inner.op(TemplateOp::text);
      inner.text(literal);
      literal.clear();
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '$') {
        literal += text[i];
        continue;
      }
      const char c = ++i < text.size() ? text[i] : '\0';
      if (c == '$' || c == ' ' || c == '\t') {
        literal += c;
      } else if (base::is_digit(c)) {
        if (c - '0' >= fields_) return no_such_field(c);
        flush_inner();
        inner.op(TemplateOp::field);
        inner.u8(static_cast<std::uint8_t>(c - '0'));
        fixed = false;
      } else {
        return error("E15", std::string("$") + c + " in an argument: only $0 to $9, $$ and quoted blanks may stand there");
      }
    }
    if (constant != nullptr && fixed) *constant = literal;
    flush_inner();
    code_.text(inner.bytes());
  }

  void sequence(TemplateOp operation, char close, const char* opening) {
    std::string_view text;
    if (!raw_argument(close, opening, text)) return;
    may_fail();
    op(operation);
    argument(text);
    substituted(-1);
  }

  void call() {
    std::string_view text;
    if (!raw_argument('|', "$|", text)) return;
    bool found = false;
    const auto [table, probe] = split_once(text, ';', &found);
    if (!found || table.empty()) return error("E09", "$| without table;argument");
    may_fail();
    op(TemplateOp::call);
    std::string name;
    argument(table, &name);
    argument(probe);
    if (!name.empty()) facts().called_tables.push_back(name);
    substituted(-1);
  }

  void call_out() {
    std::string_view text;
    if (!raw_argument(']', "$[", text)) return;
    // Our own registry is written name:routine,argument; the original's image,routine,argument.
    std::string_view name, routine, rest;
    const auto [head, tail] = split_once(text, ',');
    if (head.starts_with("postern:") || head.starts_with("socket:")) {
      const std::size_t colon = head.find(':');
      name = head.substr(0, colon);
      routine = head.substr(colon + 1);
      rest = tail;
    } else {
      name = head;
      std::tie(routine, rest) = split_once(tail, ',');
    }
    facts().call_outs.push_back({std::string(name), std::string(routine), std::string(rest)});
    const bool counts = name == "postern" && (routine == "throttle" || routine == "throttle_p");
    if (counts && !first_probe_only_) facts().counts_every_probe = true;
    if (const std::string_view table = split_once(rest, ',').first; counts && table.find('$') == std::string_view::npos) facts().throttles.emplace_back(table);
    may_fail();
    op(TemplateOp::call_out);
    argument(name);
    argument(routine);
    argument(rest);
    substituted(-1);
  }

  void url() { sequence(TemplateOp::url, '[', "$]"); }

  void sequence_file() {
    std::string_view text;
    if (!raw_argument('#', "$#", text)) return;
    const auto [file, after_file] = split_once(text, '|');
    const auto [radix, after_radix] = split_once(after_file, '|');
    const auto [width, modulus] = split_once(after_radix, '|');
    if ((radix.empty() && !after_radix.empty()) || (width.empty() && !modulus.empty()))
      return error("E14", "$# with a later number but not the earlier ones: file, radix, width, modulus");
    for (const std::string_view number : {radix, width, modulus}) {
      if (number.empty() || number.find('$') != std::string_view::npos) continue;
      const auto value = base::number_from<std::uint32_t>(number);
      if (!value || (number.data() == radix.data() && (*value < 2 || *value > 36)))
        return error("E14", "\"" + std::string(number) + "\" in $#: radix is 2 to 36, width and modulus are numbers");
    }
    may_fail();
    op(TemplateOp::sequence);
    argument(file);
    argument(radix);
    argument(width);
    argument(modulus);
    substituted(-1);
  }

  void attribute() {
    std::string_view text;
    if (!raw_argument('{', "$}", text)) return;
    const auto [domain, name] = split_once(text, ',');
    if (domain.empty() || name.empty()) return error("E14", "$} without domain,attribute");
    may_fail();
    op(TemplateOp::attribute);
    argument(domain);
    argument(name);
    substituted(-1);
  }

  void random() {
    std::string_view text;
    if (!raw_argument('?', "$?", text)) return;
    double percent = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), percent, std::chars_format::fixed);
    if (text.empty() || problem != std::errc{} || end != text.data() + text.size() || !(percent >= 0) || percent > 100)
      return error("E14", "\"" + std::string(text) + "\" in $? is no percentage");
    if (percent < 100) may_fail();
    op(TemplateOp::random);
    std::uint64_t bits = 0;
    std::memcpy(&bits, &percent, sizeof bits);
    code_.u64(bits);
  }

  void utf8() {
    std::string_view text;
    if (!raw_argument('&', "$&", text)) return;
    std::string bytes;
    for (const std::string_view part : base::split(text, ',')) {
      std::uint32_t point = 0;
      const auto [end, problem] = std::from_chars(part.data(), part.data() + part.size(), point, 16);
      if (part.empty() || problem != std::errc{} || end != part.data() + part.size() || point == 0 || point > 0x10ffff ||
          (point >= 0xd800 && point <= 0xdfff))
        return error("E14", "\"" + std::string(part) + "\" in $& is no code point");
      base::append_utf8(bytes, point);
    }
    for (const char c : bytes) plain(c);
  }

  std::string_view text_;
  int fields_;
  std::size_t at_ = 0;
  std::string literal_;
  CodeWriter code_;
  Template template_;
  bool failed_ = false, stopped_ = false;
  bool first_probe_only_ = false;  // $:A was read
};

}  // namespace

bool Template::good() const {
  for (const Finding& finding : findings)
    if (finding.code[0] == 'E') return false;
  return true;
}

Template parse_template(std::string_view text, int fields) { return Parser(text, fields).run(); }

}  // namespace postern::mapping
