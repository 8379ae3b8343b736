// SPDX-License-Identifier: Apache-2.0
#include "conf/source.h"

#include "base/files.h"
#include "base/text.h"
#include "install_directories.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

namespace postern::conf {
namespace {

constexpr std::string_view kHeader = "#@postern flattened 1";
constexpr std::string_view kPlaceMark = "#@place ";
constexpr std::string_view kDefaultMark = "#@default ";
constexpr std::string_view kInclude = "@include";
// Far more than any setting needs; keeps recursion over groups small.
constexpr std::size_t kMaxNesting = 16;

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  std::array<char, 4096> here{};
  if (::getcwd(here.data(), here.size()) == nullptr) return path;
  return path == "." ? std::string(here.data()) : std::string(here.data()) + "/" + path;
}

// The machine's own name, without asking anybody else.
std::string machine_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return base::lower(name.data());
}

Result<std::string> read_whole(const std::string& path, std::size_t limit_bytes) {
  // Not through base::Files: an administrator's configuration may well be a symbolic link.
  const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file) return system_error(errno, "can't read the file");
  return base::read_all(file.get(), limit_bytes);
}

bool is_name_start(char c) { return base::is_alpha(c) || c == '*'; }
bool is_name_part(char c) { return is_name_start(c) || base::is_digit(c) || c == '-' || c == '_'; }
bool is_hex(char c) { return base::is_digit(c) || (base::ascii_lower(c) >= 'a' && base::ascii_lower(c) <= 'f'); }

}  // namespace

// Goes over the text once, in step with libconfig's own lexer as far as strings, comments, names and numbers go.
class Source::Scanner {
 public:
  Scanner(Source& source, const std::set<std::string>& without, bool may_include, bool flattened)
      : source_(source), without_(without), may_include_(may_include), flattened_(flattened) {}

  void scan(std::string_view text, std::uint32_t file, unsigned depth) {
    const Saved before = save();
    const std::uint32_t outer_file = file_;
    const std::uint32_t outer_line = line_;
    file_ = file;
    line_ = 1;
    begin_line();
    if (!scan_text(text, depth)) restore(before);
    file_ = outer_file;
    line_ = outer_line;
  }

 private:
  // A group, list or array that has begun; the first is the whole text, which is a group.
  struct Scope {
    struct Known {
      Spot spot;
      unsigned count = 1;
    };
    char bracket = '{';
    std::string path;                                // as messages have it: "listeners.smtp.sockets[1]"
    std::map<std::string, Known, std::less<>> names; // of its settings
    std::string last;                                // the setting that began last
    std::size_t elements = 0;                        // commas so far
  };
  // The last name, as long as nothing but blanks and comments stands behind it.
  struct Name {
    std::string text;      // empty: something else stands behind it, or it is a value
    std::size_t end = 0;   // in Source::text_
    Spot spot;
  };
  struct Saved {
    std::size_t text, lines, strings, repeated;
    std::vector<Scope> nesting;
    Name name;
    bool behind_string, behind_equals;
  };
  Saved save() const {
    return {source_.text_.size(), source_.lines_.size(), source_.strings_.size(), source_.repeated_.size(), nesting_, name_, behind_string_, behind_equals_};
  }
  // Takes back all that a file gave: its end can't be found, so neither can that of whatever stands behind it.
  void restore(const Saved& saved) {
    source_.text_.resize(saved.text);
    source_.lines_.resize(saved.lines);
    source_.line_starts_.resize(saved.lines);
    source_.strings_.resize(saved.strings);
    source_.repeated_.resize(saved.repeated);
    nesting_ = saved.nesting;
    name_ = saved.name;
    behind_string_ = saved.behind_string;
    behind_equals_ = saved.behind_equals;
  }

  void mistake(std::uint32_t line, std::string text) {
    source_.mistakes_.push_back({{source_.files_[file_], static_cast<int>(line)}, "", std::move(text), false});
  }
  void begin_line() {
    source_.lines_.push_back({file_, line_});
    source_.line_starts_.push_back(source_.text_.size());
  }
  void put(char c) { source_.text_ += c; }
  void put(std::string_view text) { source_.text_ += text; }
  void end_line() {
    put('\n');
    ++line_;
    begin_line();
  }

  // False if the end of a string or comment was not found, or the text can't be scanned to its end for another reason.
  bool scan_text(std::string_view text, unsigned depth) {
    std::size_t at = 0;
    bool line_begins = true;
    while (at < text.size()) {
      const char c = text[at];
      const std::string_view rest = text.substr(at);
      if (line_begins && flattened_ && rest.starts_with(kPlaceMark)) {
        at += take_mark(rest);
        continue;
      }
      if (line_begins) {
        const auto word = rest.find_first_not_of(" \t");
        if (word != std::string_view::npos && rest.substr(word).starts_with(kInclude)) {
          at += word + take_include(rest.substr(word), depth);
          line_begins = false;
          continue;
        }
      }
      if (c == '\n') {
        end_line();
        ++at;
        line_begins = true;
        continue;
      }
      const bool was_line_begin = line_begins;
      line_begins = line_begins && (c == ' ' || c == '\t');
      if (c == '\0') {
        mistake(line_, "a zero byte; this is no text");
        return false;
      }
      if (c == '#' || rest.starts_with("//")) {
        const auto end = std::min(rest.find('\n'), rest.size());
        // Only our own marks may look like marks.
        if (c == '#' && was_line_begin && rest.starts_with("#@")) put("# @"), put(rest.substr(2, end - 2));
        else put(rest.substr(0, end));
        at += end;
        continue;
      }
      if (rest.starts_with("/*")) {
        const auto end = rest.find("*/", 2);
        if (end == std::string_view::npos) return mistake(line_, "a comment begins here and is never closed by */"), false;
        for (const char inside : rest.substr(0, end + 2))
          if (inside == '\n') end_line();
          else put(inside);
        at += end + 2;
        continue;
      }
      if (c == '"') {
        const std::size_t length = take_string(rest);
        if (length == 0) return false;
        at += length;
        name_.text.clear();
        behind_equals_ = false;
        continue;
      }
      if (c == ' ' || c == '\t' || c == '\r' || c == '\f') {
        put(c);
        ++at;
        continue;
      }
      behind_string_ = false;
      if (is_name_start(c)) {
        at += take_name(rest);
        continue;
      }
      const bool equals = c == '=' || c == ':';
      if (equals && !name_.text.empty()) begin_setting();
      name_.text.clear();
      behind_equals_ = equals;
      if (base::is_digit(c) || ((c == '-' || c == '+') && rest.size() > 1 && base::is_digit(rest[1]))) {
        at += take_number(rest);
        continue;
      }
      if (!take_bracket(c)) return false;
      put(c);
      ++at;
    }
    return true;
  }

  // A name in front of `=` or `:` is that of a setting, if it stands in a group; behind one it is a value.
  std::size_t take_name(std::string_view rest) {
    const auto length = static_cast<std::size_t>(std::find_if_not(rest.begin(), rest.end(), is_name_part) - rest.begin());
    put(rest.substr(0, length));
    name_.text.clear();
    if (nesting_.back().bracket == '{' && !behind_equals_) name_ = {std::string(rest.substr(0, length)), source_.text_.size(), {file_, line_}};
    behind_equals_ = false;
    return length;
  }

  void begin_setting() {
    Scope& scope = nesting_.back();
    scope.last = name_.text;
    const auto [known, first] = scope.names.try_emplace(name_.text, Scope::Known{name_.spot});
    if (first) return;
    source_.repeated_.push_back({place(name_.spot), place(known->second.spot), scope.path.empty() ? name_.text : scope.path + "." + name_.text});
    std::string number;
    do number = "*" + std::to_string(++known->second.count);
    while (!scope.names.try_emplace(name_.text + number, Scope::Known{name_.spot}).second);
    source_.renamed_.emplace(name_.text + number, name_.text);
    source_.text_.insert(name_.end, number);
    // Lines may have begun between the name and its sign.
    for (auto start = source_.line_starts_.rbegin(); start != source_.line_starts_.rend() && *start > name_.end; ++start) *start += number.size();
  }
  Place place(const Spot& spot) const { return {source_.files_[spot.file], static_cast<int>(spot.line)}; }

  bool take_bracket(char c) {
    Scope& scope = nesting_.back();
    if (c == ',' && scope.bracket != '{') ++scope.elements;
    if (c == '{' || c == '(' || c == '[') {
      if (nesting_.size() > kMaxNesting) return mistake(line_, "groups and lists are nested more than 16 deep"), false;
      Scope inner;
      inner.bracket = c;
      if (scope.bracket != '{') inner.path = scope.path + "[" + std::to_string(scope.elements) + "]";
      else inner.path = scope.path.empty() ? scope.last : scope.path + "." + scope.last;
      nesting_.push_back(std::move(inner));
    }
    // A bracket too many is libconfig's to complain about.
    if ((c == '}' || c == ')' || c == ']') && nesting_.size() > 1) nesting_.pop_back();
    return true;
  }

  // Returns the string's length with its quotes, 0 if it has no end.
  std::size_t take_string(std::string_view rest) {
    if (!behind_string_) source_.strings_.emplace_back(1, Spot{file_, line_});
    else if (source_.strings_.back().empty()) source_.strings_.back().push_back({file_, line_});
    behind_string_ = true;
    auto& lines = source_.strings_.back();
    // A further piece of one value continues the content's last line, unless that line is still empty.
    if (fresh_content_line_) lines.back() = {file_, line_};
    const std::uint32_t first_line = line_;
    put('"');
    for (std::size_t at = 1; at < rest.size(); ++at) {
      const char c = rest[at];
      fresh_content_line_ = false;
      if (c == '"') {
        put(c);
        fresh_content_line_ = ends_line_;
        return at + 1;
      }
      ends_line_ = false;
      if (c == '\0') return mistake(line_, "a zero byte; this is no text"), 0;
      if (c == '\n') {
        end_line();
        lines.push_back({file_, line_});
        ends_line_ = true;
        continue;
      }
      put(c);
      if (c == '\\' && at + 1 < rest.size() && rest[at + 1] != '\n') {
        const char escaped = rest[++at];
        put(escaped);
        const bool hex_line_end = escaped == 'x' && rest.substr(at + 1, 2).size() == 2 && base::lower(rest.substr(at + 1, 2)) == "0a";
        if (escaped == 'n' || hex_line_end) {
          lines.push_back({file_, line_});
          ends_line_ = true;
          if (hex_line_end) {
            put(rest.substr(at + 1, 2));
            at += 2;
          }
        }
        if (escaped == 'x' && !hex_line_end && rest.substr(at + 1, 2) == "00") return mistake(line_, "\\x00 is not allowed in a string"), 0;
      }
    }
    mistake(first_line, "a string begins here and is never closed by \"");
    return 0;
  }

  // Returns its length. Only whole numbers matter here; whatever else follows is left to libconfig.
  std::size_t take_number(std::string_view rest) {
    std::size_t end = rest[0] == '-' || rest[0] == '+' ? 1 : 0;
    const bool hex = rest.size() > end + 2 && rest[end] == '0' && base::ascii_lower(rest[end + 1]) == 'x' && is_hex(rest[end + 2]);
    if (hex) end += 2;
    const std::size_t digits_from = end;
    while (end < rest.size() && (hex ? is_hex(rest[end]) : base::is_digit(rest[end]))) ++end;
    const std::string_view digits = rest.substr(digits_from, end - digits_from);
    const char behind = end < rest.size() ? rest[end] : '\n';
    // A float keeps its form, and so does what is no number at all.
    if (behind == '.' || is_name_part(behind)) {
      while (end < rest.size() && (is_name_part(rest[end]) || rest[end] == '.')) ++end;
      const bool suffixed = rest.substr(digits_from + digits.size(), end - digits_from - digits.size()).find_first_not_of("Ll") == std::string_view::npos;
      if (!suffixed) {
        put(rest.substr(0, end));
        return end;
      }
    }
    std::uint64_t value = 0;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, hex ? 16 : 10);
    if (error != std::errc{} || value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      mistake(line_, "a number that needs more than 63 bits: " + std::string(rest.substr(0, std::min<std::size_t>(end, 40))));
      put('0');
      return end;
    }
    put(rest.substr(0, end));
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max()) && !rest.substr(0, end).ends_with('L') && !rest.substr(0, end).ends_with('l'))
      put('L');
    return end;
  }

  // A mark of flattened text: "#@place 12 /etc/postern/postern.conf". It takes a whole line and gives none.
  std::size_t take_mark(std::string_view rest) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const std::string_view mark = rest.substr(kPlaceMark.size(), end - std::min(end, kPlaceMark.size()));
    const auto space = mark.find(' ');
    const auto number = base::number_from<std::uint32_t>(mark.substr(0, space));
    if (number && space != std::string_view::npos) {
      file_ = file_number(std::string(mark.substr(space + 1)));
      line_ = *number;
      source_.lines_.back() = {file_, line_};
    }
    return std::min(end + 1, rest.size());
  }

  std::uint32_t file_number(const std::string& file) {
    const auto known = std::find(source_.files_.begin(), source_.files_.end(), file);
    if (known != source_.files_.end()) return static_cast<std::uint32_t>(known - source_.files_.begin());
    source_.files_.push_back(file);
    return static_cast<std::uint32_t>(source_.files_.size() - 1);
  }

  // @include "name" and nothing else on its line but a comment. Returns how much of `rest` it takes.
  std::size_t take_include(std::string_view rest, unsigned depth) {
    const auto line_end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(kInclude.size(), line_end - kInclude.size());
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::string_view quoted = base::trim(line);
    const auto close = quoted.find('"', 1);
    const std::string_view behind = close == std::string_view::npos ? "" : base::trim(quoted.substr(close + 1));
    if (!quoted.starts_with('"') || close == std::string_view::npos || close == 1 ||
        !(behind.empty() || behind.starts_with('#') || behind.starts_with("//"))) {
      mistake(line_, "expected @include \"file\" on a line of its own");
      return line_end;
    }
    const std::string name(quoted.substr(1, close - 1));
    if (!may_include_) mistake(line_, "@include is not possible here");
    else if (depth == kMaxIncludeDepth) mistake(line_, "files include each other more than " + std::to_string(kMaxIncludeDepth) + " deep");
    else include(name, depth);
    return line_end;
  }

  void include(const std::string& name, unsigned depth) {
    if (source_.included_.size() == kMaxIncludedFiles) return mistake(line_, "more than " + std::to_string(kMaxIncludedFiles) + " files are included");
    if (std::any_of(name.begin(), name.end(), base::is_control)) return mistake(line_, "a file name with control characters");
    const std::string path = name.starts_with('/') ? name : directory_of(source_.files_.front()) + "/" + name;
    const bool in_list = nesting_.back().bracket != '{';
    source_.included_.push_back({path, in_list});
    if (without_.contains(path)) {
      // A list still needs its element, lest the comma in front of it becomes a mistake of its own.
      if (in_list) put("{ }");
      return;
    }
    auto text = read_whole(path, kMaxTextBytes - std::min(kMaxTextBytes, source_.text_.size()));
    if (!text) return mistake(line_, "@include \"" + name + "\": " + text.error().what);
    // What stood in front of @include on its line is blanks only; the included text begins on a line of its own.
    put('\n');
    scan(*text, file_number(path), depth + 1);
    put('\n');
    begin_line();
  }

  Source& source_;
  const std::set<std::string>& without_;
  const bool may_include_;
  const bool flattened_;
  std::uint32_t file_ = 0;
  std::uint32_t line_ = 1;
  std::vector<Scope> nesting_{1};
  Name name_;
  bool behind_string_ = false;       // the last thing but blanks and comments was a string
  bool behind_equals_ = false;       // or what stands between a setting and its value
  bool ends_line_ = false;           // the string's content so far ends in a line end
  bool fresh_content_line_ = false;  // so does that of the whole value so far
};

Source Source::from_file(const std::string& path, const std::set<std::string>& without) {
  Source source;
  source.files_.push_back(path);
  source.default_host_name_ = machine_name();
  source.default_directory_ = absolute(directory_of(path));
  auto text = read_whole(path, kMaxTextBytes);
  if (!text) {
    source.mistakes_.push_back({{path, 0}, "", text.error().what, false});
    return source;
  }
  Scanner(source, without, true, false).scan(*text, 0, 0);
  return source;
}

Source Source::from_text(std::string_view text, const std::string& name) {
  Source source;
  source.files_.push_back(name);
  source.default_host_name_ = machine_name();
  source.default_directory_ = name.find('/') == std::string::npos ? POSTERN_SYSCONFDIR : absolute(directory_of(name));
  if (text.size() > kMaxTextBytes) {
    source.mistakes_.push_back({{name, 0}, "", "the text is longer than " + std::to_string(kMaxTextBytes) + " bytes", false});
    return source;
  }
  const bool flattened = text.starts_with(kHeader);
  if (flattened) {
    text.remove_prefix(std::min(text.size(), text.find('\n') == std::string_view::npos ? text.size() : text.find('\n') + 1));
    while (text.starts_with(kDefaultMark)) {
      const auto end = std::min(text.find('\n'), text.size());
      const std::string_view line = text.substr(kDefaultMark.size(), end - kDefaultMark.size());
      const auto space = line.find(' ');
      if (space != std::string_view::npos && line.substr(0, space) == "host_name") source.default_host_name_ = line.substr(space + 1);
      if (space != std::string_view::npos && line.substr(0, space) == "directory") source.default_directory_ = line.substr(space + 1);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }
  source.is_flattened_ = flattened;
  Scanner(source, {}, false, flattened).scan(text, 0, 0);
  return source;
}

Place Source::place(unsigned number) const {
  if (lines_.empty() || number == 0) return {files_.front(), 0};
  const Spot& spot = lines_[std::min<std::size_t>(number, lines_.size()) - 1];
  return {files_[spot.file], static_cast<int>(spot.line)};
}

std::string_view Source::given_name(std::string_view name) const {
  const auto renamed = renamed_.find(name);
  return renamed == renamed_.end() ? name : std::string_view(renamed->second);
}

std::string_view Source::line_text(unsigned number) const {
  if (line_starts_.empty() || number == 0 || number > line_starts_.size()) return {};
  const std::string_view rest = std::string_view(text_).substr(line_starts_[number - 1]);
  return rest.substr(0, rest.find('\n'));
}

Place Source::string_place(std::size_t index, std::size_t line) const {
  if (index >= strings_.size() || strings_[index].empty()) return {files_.front(), 0};
  const Spot& spot = strings_[index][std::min(line, strings_[index].size() - 1)];
  return {files_[spot.file], static_cast<int>(spot.line)};
}

std::string Source::flattened() const {
  std::string out(kHeader);
  out += "\n" + std::string(kDefaultMark) + "host_name " + default_host_name_ + "\n" + std::string(kDefaultMark) + "directory " + default_directory_ + "\n";
  // A jump in file or line happens at an @include only, never inside a string or comment: a mark may stand there.
  const Spot* before = nullptr;
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    const Spot& spot = lines_[i];
    if (before == nullptr || before->file != spot.file || before->line + 1 != spot.line)
      out += std::string(kPlaceMark) + std::to_string(spot.line) + " " + base::printable(files_[spot.file], 4096) + "\n";
    before = &spot;
    out += line_text(static_cast<unsigned>(i + 1));
    if (i + 1 < lines_.size()) out += '\n';
  }
  return out;
}

}  // namespace postern::conf
