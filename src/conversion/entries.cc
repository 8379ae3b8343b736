// SPDX-License-Identifier: Apache-2.0
#include "conversion/entries.h"

#include "base/text.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

namespace postern::conversion {
namespace {

using base::printable;

constexpr std::size_t kShownBytes = 60;

std::string shown(std::string_view text) { return "\"" + printable(text, kShownBytes) + "\""; }

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_name_character(char c) { return base::is_alpha(c) || base::is_digit(c) || c == '_' || c == '-'; }

// Pieces of `text`; `wrong` gets what is wrong with it. With `escapes`, a backslash takes the next character as it is.
Template read_template(std::string_view text, bool escapes, std::string& wrong) {
  Template made;
  std::string plain;
  const auto flush = [&] {
    if (!plain.empty()) made.pieces.push_back({false, std::exchange(plain, {})});
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (escapes && text[i] == '\\' && i + 1 < text.size()) {
      plain += text[++i];
    } else if (text[i] == '$') {
      const bool braces = text.substr(i + 1).starts_with('{');
      const std::size_t begin = i + 1 + (braces ? 1 : 0);
      std::size_t end = begin;
      while (end < text.size() && (base::is_alpha(text[end]) || base::is_digit(text[end]) || text[end] == '_')) ++end;
      const auto name = variable_name(text.substr(begin, end - begin));
      if (!name || (braces && !text.substr(end).starts_with('}'))) {
        wrong = "there is no variable " + shown(text.substr(i, end - i + (braces ? 1 : 0)));
        return made;
      }
      flush();
      made.pieces.push_back({true, *name});
      i = end - (braces ? 0 : 1);
    } else {
      plain += text[i];
    }
  }
  flush();
  return made;
}

// The words of a command: parted at blanks, quotes of both kinds keep blanks in a word.
std::vector<Template> read_command(std::string_view text, std::string& wrong) {
  std::vector<Template> words;
  std::size_t i = 0;
  while (wrong.empty()) {
    while (i < text.size() && is_blank(text[i])) ++i;
    if (i == text.size()) break;
    if (words.size() == kMostWords) {
      wrong = "the command has more than " + std::to_string(kMostWords) + " words";
      break;
    }
    std::string word;
    char quote = 0;
    for (; i < text.size() && (quote != 0 || !is_blank(text[i])); ++i) {
      if (text[i] == '\\' && i + 1 < text.size()) (word += text[i]) += text[i + 1], ++i;
      else if (quote != 0 ? text[i] == quote : text[i] == '"' || text[i] == '\'') quote = quote != 0 ? 0 : text[i];
      else word += text[i];
    }
    if (quote != 0) wrong = std::string("a quote (") + quote + ") in the command has no end";
    else words.push_back(read_template(word, true, wrong));
  }
  return words;
}

struct Item {
  int line = 0;
  std::string name, text;
  char quote = 0;  // of the value: 0, " or '
};

// Reads the file line by line and gathers the items of each entry.
class Parser {
 public:
  Parser(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  Entries parse() {
    std::size_t at = 0;
    while (at < text_.size()) {
      const std::size_t end = std::min(text_.find('\n', at), text_.size());
      std::string_view line = text_.substr(at, end - at);
      at = end + 1;
      ++line_;
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.starts_with('!')) continue;
      read_line(base::trim(line));
    }
    finish();
    return std::move(entries_);
  }

 private:
  void mistake(int line, std::string setting, std::string text) { entries_.mistakes.push_back({{path_, line}, std::move(setting), std::move(text)}); }

  void read_line(std::string_view line) {
    if (line.empty()) return finish();
    if (line.find('\0') != std::string_view::npos) return mistake(line_, "", "there is a NUL in the line");
    bool goes_on = false;
    while (!line.empty()) {
      Item item{line_, {}, {}, 0};
      const auto equal = line.find_first_of("=;");
      item.name = base::lower(base::trim(line.substr(0, equal)));
      if (equal == std::string_view::npos || line[equal] != '=') {
        mistake(line_, item.name, "expected name=value, found " + shown(line.substr(0, equal)));
        line.remove_prefix(equal == std::string_view::npos ? line.size() : equal);
      } else {
        line.remove_prefix(equal + 1);
        if (!read_value(line, item)) return finish();
        items_.push_back(std::move(item));
      }
      goes_on = line.starts_with(';');
      if (goes_on) line.remove_prefix(1);
      line = base::trim(line);
      if (!goes_on && !line.empty()) {
        mistake(line_, "", "expected ; between two items, found " + shown(line));
        line = {};
      }
    }
    if (!goes_on) finish();
  }

  bool read_value(std::string_view& line, Item& item) {
    line = base::trim(line);
    if (!line.empty() && (line.front() == '"' || line.front() == '\'')) {
      item.quote = line.front();
      std::size_t i = 1;
      for (; i < line.size() && line[i] != item.quote; ++i) {
        if (item.quote == '"' && line[i] == '\\' && i + 1 < line.size()) ++i;
        item.text += line[i];
      }
      if (i == line.size()) {
        mistake(line_, item.name, std::string("expected ") + item.quote + " at the end of the value, found the end of the line");
        return false;
      }
      line = base::trim(line.substr(i + 1));
      return true;
    }
    const auto end = std::min(line.find(';'), line.size());
    item.text = base::trim(line.substr(0, end));
    line.remove_prefix(end);
    return true;
  }

  void finish() {
    if (items_.empty()) return;
    const std::vector<Item> items = std::exchange(items_, {});
    if (entries_.list.size() == kMostEntries) {
      if (!std::exchange(too_many_, true)) mistake(items.front().line, "", "there are more than " + std::to_string(kMostEntries) + " entries");
      return;
    }
    if (items.size() > kMostItems) return mistake(items.front().line, "", "the entry has more than " + std::to_string(kMostItems) + " items");
    Entry entry;
    entry.line = items.front().line;
    std::vector<std::string> known;
    for (const Item& item : items) {
      if (std::find(known.begin(), known.end(), item.name) != known.end()) {
        mistake(item.line, item.name, "stands twice in this entry");
        continue;
      }
      known.push_back(item.name);
      put(entry, item);
    }
    check(entry);
    entries_.list.push_back(std::move(entry));
  }

  std::optional<Value> value_of(const Item& item) {
    Value value;
    if (item.quote != '\'') {
      value.text = item.text;
      return value;
    }
    const auto colon = item.text.find(':');
    if (colon == std::string::npos) {
      auto name = variable_name(item.text);
      if (!name) {
        mistake(item.line, item.name, "there is no variable " + shown(item.text));
        return std::nullopt;
      }
      value.kind = Value::Kind::variable;
      value.text = std::move(*name);
      return value;
    }
    value.kind = Value::Kind::table;
    value.text = item.text.substr(0, colon);
    if (value.text.empty() || !std::all_of(value.text.begin(), value.text.end(), is_name_character)) {
      mistake(item.line, item.name, "expected the name of a mapping table in front of the colon, found " + shown(value.text));
      return std::nullopt;
    }
    std::string wrong;
    value.argument = read_template(std::string_view(item.text).substr(colon + 1), false, wrong);
    if (!wrong.empty()) {
      mistake(item.line, item.name, wrong);
      return std::nullopt;
    }
    return value;
  }

  // The number at the end of a name such as "in-parameter-name-3".
  std::optional<unsigned> number_of(const Item& item, std::string_view beginning) {
    const auto number = base::number_from<unsigned>(std::string_view(item.name).substr(beginning.size()));
    if (number && *number < kMostNumbered) return number;
    mistake(item.line, item.name, "expected a number from 0 to " + std::to_string(kMostNumbered - 1) + " at the end of the name");
    return std::nullopt;
  }

  void put(Entry& entry, const Item& item) {
    const std::pair<std::string_view, std::optional<Value>*> values[] = {
        {"in-chan", &entry.in_channel},         {"in-channel", &entry.in_channel}, {"out-chan", &entry.out_channel}, {"out-channel", &entry.out_channel},
        {"in-type", &entry.in_type},            {"in-subtype", &entry.in_subtype}, {"in-disposition", &entry.in_disposition},
        {"in-description", &entry.in_description}, {"in-subject", &entry.in_subject}, {"tag", &entry.tag}, {"part-number", &entry.part_number},
        {"out-type", &entry.out_type},          {"out-subtype", &entry.out_subtype}, {"out-disposition", &entry.out_disposition},
        {"out-description", &entry.out_description}, {"out-encoding", &entry.out_encoding}, {"out-mode", &entry.out_mode}};
    for (const auto& [name, target] : values)
      if (item.name == name) {
        *target = value_of(item);
        return;
      }
    const std::pair<std::string_view, bool*> switches[] = {
        {"delete", &entry.remove}, {"override-header-file", &entry.override_header_file}, {"override-option-file", &entry.override_option_file}};
    for (const auto& [name, target] : switches)
      if (item.name == name) {
        if (item.text != "1" && item.text != "0") mistake(item.line, item.name, "expected 0 or 1, found " + shown(item.text));
        *target = item.text == "1";
        return;
      }
    const std::pair<std::string_view, std::optional<Value> Numbered::*> numbered[] = {
        {"in-parameter-name-", &Numbered::name}, {"in-parameter-value-", &Numbered::value}, {"out-parameter-name-", &Numbered::name}, {"out-parameter-value-", &Numbered::value}};
    for (const auto& [name, target] : numbered)
      if (item.name.starts_with(name)) {
        if (const auto number = number_of(item, name)) (name.starts_with("in") ? entry.in_parameters : entry.out_parameters)[*number].*target = value_of(item);
        return;
      }
    if (constexpr std::string_view kCopy = "parameter-copy-"; item.name.starts_with(kCopy)) {
      if (number_of(item, kCopy))
        if (auto value = value_of(item)) entry.parameter_copies.push_back(std::move(*value));
      return;
    }
    if (item.name == "command") {
      std::string wrong = item.quote == '\'' ? "expected the command in double quotes, found single ones" : "";
      if (wrong.empty()) entry.command = read_command(item.text, wrong);
      if (wrong.empty() && entry.command.empty()) wrong = "expected the path of a program and its arguments, found nothing";
      // Whatever is run is known before a message can have a say in it.
      if (wrong.empty() && (entry.command[0].pieces.size() != 1 || entry.command[0].pieces[0].variable || !entry.command[0].pieces[0].text.starts_with('/')))
        wrong = "expected the path of a program, which begins with \"/\" and has no variable in it, found " + shown(item.text);
      if (!wrong.empty()) mistake(item.line, item.name, wrong);
      return;
    }
    mistake(item.line, item.name, "there is no such item");
  }

  void check(const Entry& entry) {
    for (const auto* const parameters : {&entry.in_parameters, &entry.out_parameters})
      for (const auto& [number, parameter] : *parameters)
        if (!parameter.name)
          mistake(entry.line, std::string(parameters == &entry.in_parameters ? "in" : "out") + "-parameter-value-" + std::to_string(number),
                  "expected a name of the same number beside it");
    const auto one_of = [&](const char* name, const std::optional<Value>& value, std::initializer_list<std::string_view> words) {
      if (!value || value->kind != Value::Kind::text) return;
      std::string list;
      for (const std::string_view word : words) {
        if (base::equal_ignoring_case(word, value->text)) return;
        list += (list.empty() ? "\"" : ", \"") + std::string(word) + "\"";
      }
      mistake(entry.line, name, "expected one of " + list + ", found " + shown(value->text));
    };
    one_of("out-encoding", entry.out_encoding, {"7bit", "8bit", "base64", "quoted-printable"});
    one_of("out-mode", entry.out_mode, {"text", "block"});
    const auto is_token = [&](const char* name, const std::optional<Value>& value) {
      if (!value || value->kind != Value::Kind::text) return;
      const bool good = !value->text.empty() && std::all_of(value->text.begin(), value->text.end(), [](char c) {
        return c > ' ' && c < 0x7f && std::string_view("()<>@,;:\\\"/[]?=*").find(c) == std::string_view::npos;
      });
      if (!good) mistake(entry.line, name, "expected a word as a Content-Type field has it, found " + shown(value->text));
    };
    is_token("out-type", entry.out_type);
    is_token("out-subtype", entry.out_subtype);
    if (entry.command.empty() && (entry.override_header_file || entry.override_option_file))
      mistake(entry.line, entry.override_header_file ? "override-header-file" : "override-option-file", "expected a command beside it, which writes that file");
    if (entry.remove && !entry.command.empty()) mistake(entry.line, "delete", "expected no command beside it: the part is removed without one");
  }

  std::string_view text_;
  const std::string& path_;
  Entries entries_;
  std::vector<Item> items_;
  int line_ = 0;
  bool too_many_ = false;
};

}  // namespace

std::string Template::expand(const Variables& variables) const {
  std::string text;
  for (const Piece& piece : pieces) {
    if (!piece.variable) {
      text += piece.text;
    } else if (const auto known = variables.find(piece.text); known != variables.end()) {
      text += known->second;
    }
  }
  return text;
}

std::optional<std::string> variable_name(std::string_view name) {
  std::string upper = base::upper(name);
  std::replace(upper.begin(), upper.end(), '-', '_');
  if (std::find(kVariables.begin(), kVariables.end(), upper) == kVariables.end()) return std::nullopt;
  return upper;
}

// The last * takes as little as it can, and more when what follows does not fit.
bool fits(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || base::ascii_lower(pattern[p]) == base::ascii_lower(text[t]))) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Entries parse_entries(std::string_view text, const std::string& path) { return Parser(text, path).parse(); }

std::vector<conf::Mistake> check(const conf::Configuration& configuration) {
  std::vector<conf::Mistake> wrong;
  const auto within = [](const std::filesystem::path& path, const std::filesystem::path& directory) {
    const auto [end, ignored] = std::mismatch(directory.begin(), directory.end(), path.begin(), path.end());
    return end == directory.end();
  };
  for (const conf::TextLine& line : configuration.conversion.writable) {
    const std::filesystem::path path = std::filesystem::path(line.text + "/.").lexically_normal().parent_path(),
                                base = std::filesystem::path(configuration.base_directory + "/.").lexically_normal().parent_path();
    if (!line.text.starts_with('/') || within(path, base) || within(base, path))
      wrong.push_back({line.place, "conversion.writable", "expected the whole path of a directory outside of base_directory, found " + shown(line.text)});
  }
  const auto file = conf::conversions(configuration);
  if (!file) return wrong;
  Entries entries = parse_entries(file->second, file->first);
  for (const Entry& entry : entries.list) {
    if (entry.command.empty() || entry.command[0].pieces.empty()) continue;
    const std::string& program = entry.command[0].pieces[0].text;
    if (::access(program.c_str(), X_OK) == 0) continue;
    const int error = errno;
    entries.mistakes.push_back({{file->first, entry.line}, "command", "expected a program that can be run, found " + system_error(error, program).what});
  }
  wrong.insert(wrong.end(), entries.mistakes.begin(), entries.mistakes.end());
  return wrong;
}

}  // namespace postern::conversion
