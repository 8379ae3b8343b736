// SPDX-License-Identifier: Apache-2.0
#pragma once
// The mapping language once more, as plainly as it can be said: reads pattern and template text directly, tries every entry in
// turn, and knows no index, no code and no limits. Only for small tables; what it leaves out (calls of the outside, LDAP escapes,
// chance) the tests do not generate.
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
  std::map<std::string, Entries> tables;
  mutable bool endless = false;  // the last question went on for too long to say what comes out

  Answer ask(const std::string& name, const std::string& probe, const std::string& input, int depth = 0) const {
    const Entries& entries = tables.at(name);
    Answer answer{false, probe, {}};
    std::size_t entry = 0, pass_length = probe.size();
    int counter = 0, work = 0;
    bool pending = false;
    const auto restart = [&] {
      pending = false;
      counter = answer.output.size() >= pass_length ? counter + 1 : 0;
      pass_length = answer.output.size();
      entry = 0;
      return counter <= 10;
    };
    for (;;) {
      if (++work > 3000 || answer.output.size() > 2000) {
        endless = true;
        return answer;
      }
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

  // `fields` receives what was saved.
  static bool match(const std::string& pattern, const std::string& text, std::vector<std::string>& fields) {
    return match_at(pattern, 0, text, 0, fields);
  }

 private:
  static char low(char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); }
  using Belongs = std::function<bool(char)>;

  static bool match_at(const std::string& p, std::size_t i, const std::string& t, std::size_t at, std::vector<std::string>& fields) {
    if (i == p.size()) return at == t.size();
    char c = p[i++];
    if (c == '*' || c == '%') return run(p, i, t, at, fields, c, [](char) { return true; }, false, true);
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
      std::set<char> members;
      std::vector<std::pair<char, bool>> list;
      while (p[i] != ']') {
        const bool quoted = p[i] == '\\';
        if (quoted) ++i;
        list.emplace_back(p[i++], quoted);
      }
      ++i;
      for (std::size_t k = 0; k < list.size(); ++k) {
        if (k + 2 < list.size() && list[k + 1] == std::pair{'-', false}) {
          for (int m = static_cast<unsigned char>(list[k].first); m <= static_cast<unsigned char>(list[k + 2].first); ++m) members.insert(low(static_cast<char>(m)));
          k += 2;
        } else {
          members.insert(low(list[k].first));
        }
      }
      belongs = [members](char x) { return members.count(low(x)) != 0; };
    } else if ((c == '*' || c == '%') && modified) {
      return run(p, i, t, at, fields, c, [](char) { return true; }, lazy, saved);
    } else if (std::isupper(static_cast<unsigned char>(c)) != 0) {
      belongs = [c](char x) {
        const auto u = static_cast<unsigned char>(x);
        if (u >= 0x80) return false;
        switch (c) {
          case 'A': return std::isalpha(u) != 0;
          case 'B': return x == '0' || x == '1';
          case 'D': return std::isdigit(u) != 0;
          case 'H':
          case 'X': return std::isxdigit(u) != 0;
          case 'O': return x >= '0' && x <= '7';
          case 'S': return std::isalnum(u) != 0 || x == '_' || x == '$';
          default: return x == ' ' || x == '\t' || x == '\v';
        }
      };
    } else {
      return at < t.size() && low(t[at]) == low(c) && match_at(p, i, t, at + 1, fields);
    }
    const char kind = p[i++];
    return run(p, i, t, at, fields, kind, belongs, lazy, saved);
  }

  static bool go_on(const std::string& p, std::size_t i, const std::string& t, std::size_t at, std::size_t length, bool saved, std::vector<std::string>& fields) {
    const std::vector<std::string> before = fields;
    if (saved) fields.push_back(t.substr(at, length));
    if (match_at(p, i, t, at + length, fields)) return true;
    fields = before;
    return false;
  }

  static bool run(const std::string& p, std::size_t i, const std::string& t, std::size_t at, std::vector<std::string>& fields, char kind, const Belongs& belongs,
                  bool lazy, bool saved) {
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

  static bool block(const std::string& p, std::size_t i, char kind, const std::string& t, std::size_t at, bool saved, std::vector<std::string>& fields) {
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

  bool expand(const std::string& e, const std::vector<std::string>& fields, const std::string& input, int depth, std::string& out, std::set<char>& flags,
              char& control) const {
    char fold = '_';
    const auto put = [&](const std::string& text) {
      for (const char c : text)
        out += fold == '\\' ? low(c) : fold == '^' && c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    };
    for (std::size_t i = 0; i < e.size(); ++i) {
      if (e[i] != '$') {
        put(std::string(1, e[i]));
        continue;
      }
      const char c = e[++i];
      if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
        put(fields[static_cast<std::size_t>(c - '0')]);
      } else if (c == '$' || c == ' ') {
        put(std::string(1, c));
      } else if (c == '\\' || c == '^' || c == '_') {
        fold = c;
      } else if (c == 'C' || c == 'E' || c == 'L' || c == 'R') {
        control = c;
      } else if (c == ':' || c == ';') {
        const bool set = input.find(e[++i]) != std::string::npos;
        if (set != (c == ':')) return false;
      } else if (c == '|') {
        const std::size_t semicolon = e.find(';', i), end = e.find('|', i + 1);
        const std::string name = e.substr(i + 1, semicolon - i - 1), argument = e.substr(semicolon + 1, end - semicolon - 1);
        std::string probe;
        for (std::size_t k = 0; k < argument.size(); ++k)
          probe += argument[k] == '$' ? fields[static_cast<std::size_t>(argument[++k] - '0')] : std::string(1, argument[k]);
        if (depth == 10 || tables.count(name) == 0) return false;
        const Answer inner = ask(name, probe, "", depth + 1);
        if (inner.flags.count('Y') + inner.flags.count('y') + inner.flags.count('T') + inner.flags.count('t') == 0) return false;
        put(inner.output);
        i = end;
      } else {
        flags.insert(c);
      }
    }
    return true;
  }
};

}  // namespace postern::test
