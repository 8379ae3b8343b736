// SPDX-License-Identifier: Apache-2.0
#pragma once
// The mapping language once more, as plainly as it can be said: reads pattern and template text directly, tries every entry in
// turn, and knows no index and no code. Only for small tables; of chance it knows only that 0 percent never and 100 percent always succeed.
#include <array>
#include <cctype>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <arpa/inet.h>

namespace postern::test {

class Reference {
 public:
  struct Answer {
    bool matched = false;
    std::string output;
    std::set<char> flags;
  };
  using Entries = std::vector<std::pair<std::string, std::string>>;
  // What the world outside answers: kind of the sequence and its expanded arguments.
  using Outside = std::function<std::optional<std::string>(char kind, const std::vector<std::string>& arguments)>;
  std::map<std::string, Entries> tables;
  std::map<std::string, std::string> general;  // by key in lower case
  Outside outside;
  // The last question passed a limit: too many steps of a match or an evaluation, too much text, too many questions. What comes out
  // then depends on where the limit strikes.
  mutable bool endless = false;

  Answer ask(const std::string& name, const std::string& probe, const std::string& input) const {
    endless = false;
    questions_ = passes_ = 0;
    return ask(name, probe, input, 0);
  }

  // `fields` receives what was saved; false too if it took more steps than the specification allows.
  bool match(const std::string& pattern, const std::string& text, std::vector<std::string>& fields) const {
    steps_ = 0;
    return match_at(pattern, 0, text, 0, fields) && !endless;
  }

 private:
  static constexpr int kMostSteps = 100'000, kMostQuestions = 90, kMostWork = 3000, kMostPasses = 2000;
  static constexpr std::size_t kMostText = 900;
  mutable int questions_ = 0, steps_ = 0, passes_ = 0;

  Answer ask(const std::string& name, const std::string& probe, const std::string& input, int depth) const {
    const Entries& entries = tables.at(name);
    Answer answer{false, probe, {}};
    std::size_t entry = 0, pass_length = probe.size();
    int counter = 0, work = 0;
    bool pending = false;
    if (++passes_ > kMostPasses) endless = true;
    const auto restart = [&] {
      if (++passes_ > kMostPasses) endless = true;
      pending = false;
      counter = answer.output.size() >= pass_length ? counter + 1 : 0;
      pass_length = answer.output.size();
      entry = 0;
      return counter <= 10;
    };
    for (;;) {
      if (++work > kMostWork || answer.output.size() > kMostText) endless = true;
      if (endless) return answer;
      if (entry == entries.size()) {
        if (pending && restart()) continue;
        return answer;
      }
      const auto& [pattern, expansion] = entries[entry++];
      std::vector<std::string> fields;
      if (!match(pattern, answer.output, fields)) continue;
      answer.matched = true;
      std::string out;
      std::set<char> flags;
      char control = ' ';
      if (expand(expansion, fields, input, depth, out, flags, control)) {
        answer.output = out;
        answer.flags.insert(flags.begin(), flags.end());
      }
      pending = control == 'L';
      if (control == 'C' || control == 'L') continue;
      if (control == 'R' && restart()) continue;
      return answer;
    }
  }

  static char low(char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); }

  // Members of a class: a letter, or '[' and the listed ones; '*' for all.
  struct Belongs {
    char letter = '*';
    std::string members = {};
    bool operator()(char x) const {
      const auto u = static_cast<unsigned char>(x);
      if (letter == '*') return true;
      if (letter == '[') return members.find(low(x)) != std::string::npos;
      if (u >= 0x80) return false;
      switch (letter) {
        case 'A': return std::isalpha(u) != 0;
        case 'B': return x == '0' || x == '1';
        case 'D': return std::isdigit(u) != 0;
        case 'H':
        case 'X': return std::isxdigit(u) != 0;
        case 'O': return x >= '0' && x <= '7';
        case 'S': return std::isalnum(u) != 0 || x == '_' || x == '$';
        default: return x == ' ' || x == '\t' || x == '\v';
      }
    }
  };

  bool match_at(const std::string& p, std::size_t i, const std::string& t, std::size_t at, std::vector<std::string>& fields) const {
    if (++steps_ > kMostSteps) endless = true;
    if (endless) return false;
    if (i == p.size()) return at == t.size();
    char c = p[i++];
    if (c == '*' || c == '%') return run(p, i, t, at, fields, c, {}, false, true);
    if (c != '$') return at < t.size() && low(t[at]) == low(c) && match_at(p, i, t, at + 1, fields);
    bool lazy = false, saved = true, modified = false;
    while (p[i] == '_' || p[i] == '@' || p[i] == '^') {
      modified = true;
      if (p[i] == '_') lazy = true;
      else saved = p[i] == '^';
      ++i;
    }
    c = p[i++];
    if (std::isdigit(static_cast<unsigned char>(c))) {
      if (p[i] == '*') ++i;
      const std::string& field = fields[static_cast<std::size_t>(c - '0')];
      if (t.size() - at < field.size()) return false;
      for (std::size_t k = 0; k < field.size(); ++k)
        if (low(t[at + k]) != low(field[k])) return false;
      return go_on(p, i, t, at, field.size(), saved, fields);
    }
    if (c == '(' || c == '<' || c == '{') return block(p, i, c, t, at, saved, fields);
    Belongs belongs;
    if (c == '[') {
      std::string members;
      std::vector<std::pair<char, bool>> list;
      while (p[i] != ']') {
        const bool quoted = p[i] == '\\';
        if (quoted) ++i;
        list.emplace_back(p[i++], quoted);
      }
      ++i;
      for (std::size_t k = 0; k < list.size(); ++k) {
        if (k + 2 < list.size() && list[k + 1] == std::pair{'-', false}) {
          for (int m = static_cast<unsigned char>(list[k].first); m <= static_cast<unsigned char>(list[k + 2].first); ++m) members += low(static_cast<char>(m));
          k += 2;
        } else {
          members += low(list[k].first);
        }
      }
      belongs = {'[', members};
    } else if ((c == '*' || c == '%') && modified) {
      return run(p, i, t, at, fields, c, {}, lazy, saved);
    } else if (std::isupper(static_cast<unsigned char>(c)) != 0) {
      belongs.letter = c;
    } else {
      return at < t.size() && low(t[at]) == low(c) && match_at(p, i, t, at + 1, fields);
    }
    const char kind = p[i++];
    return run(p, i, t, at, fields, kind, belongs, lazy, saved);
  }

  bool go_on(const std::string& p, std::size_t i, const std::string& t, std::size_t at, std::size_t length, bool saved, std::vector<std::string>& fields) const {
    const std::size_t before = fields.size();
    if (saved) fields.push_back(t.substr(at, length));
    if (match_at(p, i, t, at + length, fields)) return true;
    fields.resize(before);
    return false;
  }

  bool run(const std::string& p, std::size_t i, const std::string& t, std::size_t at, std::vector<std::string>& fields, char kind, const Belongs& belongs,
           bool lazy, bool saved) const {
    std::size_t most = 0;
    while (at + most < t.size() && belongs(t[at + most])) ++most;
    if (kind == '%') return most >= 1 && go_on(p, i, t, at, 1, saved, fields);
    for (std::size_t k = 0; k <= most; ++k)
      if (go_on(p, i, t, at, lazy ? k : most - k, saved, fields)) return true;
    return false;
  }

  static std::optional<std::string> bits_of(const std::string& text, bool six) {
    std::array<unsigned char, 16> bytes{};
    if (::inet_pton(six ? AF_INET6 : AF_INET, text.c_str(), bytes.data()) != 1) return std::nullopt;
    std::string bits;
    for (int bit = 0; bit < (six ? 128 : 32); ++bit) bits += (bytes[static_cast<std::size_t>(bit / 8)] >> (7 - bit % 8) & 1) != 0 ? '1' : '0';
    return bits;
  }

  bool block(const std::string& p, std::size_t i, char kind, const std::string& t, std::size_t at, bool saved, std::vector<std::string>& fields) const {
    const char close = kind == '(' ? ')' : kind == '<' ? '>' : '}';
    const std::size_t end = p.find(close, i), slash = p.find('/', i);
    const bool six = kind == '{';
    std::size_t count = six ? 128 : 32;
    if (kind == '<') count = 0;
    if (slash < end) count = static_cast<std::size_t>(std::stoi(p.substr(slash + 1, end - slash - 1)));
    if (kind == '<') count = 32 - count;
    const auto wanted = bits_of(p.substr(i, std::min(slash, end) - i), six);
    const char* const allowed = six ? "0123456789abcdefABCDEF:." : "0123456789.";
    std::size_t stop = t.find_first_not_of(allowed, at);
    if (stop == std::string::npos) stop = t.size();
    const auto found = bits_of(t.substr(at, stop - at), six);
    if (!found || found->substr(0, count) != wanted->substr(0, count)) return false;
    return go_on(p, end + 1, t, at, stop - at, saved, fields);
  }

  static std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
      const char digits[] = "0123456789abcdef";
      if (c == '*' || c == '(' || c == ')' || c == '\\' || c == 0) out += std::string("\\") + digits[c / 16] + digits[c % 16];
      else out += c;
    }
    return out;
  }

  static std::string in_url(const std::string& text) {
    std::string out;
    for (const char c : text) out += c == '%' ? "%25" : c == '?' ? "%3f" : std::string(1, c);
    return out;
  }

  // Fields and quoted characters of an argument.
  static std::string filled(const std::string& text, const std::vector<std::string>& fields, bool escape = false, bool url = false) {
    std::string out;
    for (std::size_t k = 0; k < text.size(); ++k) {
      if (text[k] != '$') {
        out += text[k];
        continue;
      }
      const char c = text[++k];
      if (std::isdigit(static_cast<unsigned char>(c)) == 0) out += c;
      else {
        const std::string& field = fields[static_cast<std::size_t>(c - '0')];
        const std::string shown = escape ? escaped(field) : field;
        out += url ? in_url(shown) : shown;
      }
    }
    return out;
  }

  // The text up to the closing delimiter, which no $ quotes; `i` goes to the delimiter.
  static std::string enclosed(const std::string& e, std::size_t& i, char close) {
    const std::size_t start = ++i;
    while (e[i] != close) i += e[i] == '$' ? 2 : 1;
    return e.substr(start, i - start);
  }

  static std::vector<std::string> parts(const std::string& text, char separator, std::size_t most) {
    std::vector<std::string> out(1);
    for (const char c : text) {
      if (c == separator && out.size() < most) out.emplace_back();
      else out.back() += c;
    }
    return out;
  }

  bool expand(const std::string& e, const std::vector<std::string>& fields, const std::string& input, int depth, std::string& out, std::set<char>& flags,
              char& control) const {
    char fold = '_';
    bool filter = false;
    const auto cased = [&](const std::string& text) {
      std::string folded;
      for (const char c : text) folded += fold == '\\' ? low(c) : fold == '^' && c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
      return folded;
    };
    const auto put = [&](const std::string& text) { out += cased(text); };
    const auto substitute = [&](const std::string& text) { out += filter ? escaped(cased(text)) : cased(text); };
    const auto asked = [&](char kind, const std::vector<std::string>& arguments) {
      if (++questions_ > kMostQuestions) endless = true;
      const auto text = outside(kind, arguments);
      if (text) substitute(*text);
      return text.has_value();
    };
    for (std::size_t i = 0; i < e.size(); ++i) {
      if (out.size() > kMostText) endless = true;
      if (endless) return false;
      if (e[i] != '$') {
        put(std::string(1, e[i]));
        continue;
      }
      const char c = e[++i];
      if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
        substitute(fields[static_cast<std::size_t>(c - '0')]);
      } else if (c == '$' || c == ' ' || c == '\t') {
        put(std::string(1, c));
      } else if (c == '\\' || c == '^' || c == '_') {
        fold = c;
      } else if (c == '=') {
        filter = true;
      } else if (c == 'C' || c == 'E' || c == 'L' || c == 'R') {
        control = c;
      } else if (c == '+') {
        control = 'E';
        return true;
      } else if (c == ':' || c == ';') {
        const bool set = input.find(e[++i]) != std::string::npos;
        if (set != (c == ':')) return false;
      } else if (c == '?') {
        if (enclosed(e, i, '?') == "0") return false;
      } else if (c == '&') {
        for (const std::string& point : parts(enclosed(e, i, '&'), ',', 100)) {
          // Below 800 hex all that the generator uses: one byte or two.
          const auto value = static_cast<unsigned>(std::stoul(point, nullptr, 16));
          if (value < 0x80) put(std::string(1, static_cast<char>(value)));
          else put({static_cast<char>(0xc0 | value / 64), static_cast<char>(0x80 | value % 64)});
        }
      } else if (c == '|') {
        const auto part = parts(enclosed(e, i, '|'), ';', 2);
        const std::string name = filled(part[0], fields), probe = filled(part[1], fields);
        if (depth == 10 || tables.count(name) == 0) return false;
        const Answer inner = ask(name, probe, "", depth + 1);
        if (inner.flags.count('Y') + inner.flags.count('y') + inner.flags.count('T') + inner.flags.count('t') == 0) return false;
        substitute(inner.output);
      } else if (c == '{') {
        std::string key = filled(enclosed(e, i, '}'), fields);
        for (char& one : key) one = low(one);
        const auto found = general.find(key);
        if (found == general.end()) return false;
        substitute(found->second);
      } else if (c == '[') {
        auto part = parts(enclosed(e, i, ']'), ',', 3);
        if (part[0].rfind("postern:", 0) == 0) part = {"postern", part[0].substr(8), part[1]};
        if (!asked('[', {filled(part[0], fields), filled(part[1], fields), filled(part[2], fields)})) return false;
      } else if (c == ']') {
        if (!asked(']', {filled(enclosed(e, i, '['), fields, filter, true)})) return false;
      } else if (c == '#') {
        const auto part = parts(enclosed(e, i, '#'), '|', 4);
        if (!asked('#', {filled(part[0], fields)})) return false;
      } else if (c == '}') {
        const auto part = parts(enclosed(e, i, '{'), ',', 2);
        if (!asked('}', {filled(part[0], fields), filled(part[1], fields)})) return false;
      } else {
        flags.insert(c);
      }
    }
    return true;
  }
};

}  // namespace postern::test
