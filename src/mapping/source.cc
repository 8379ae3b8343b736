// SPDX-License-Identifier: Apache-2.0
#include "mapping/source.h"

#include "base/descriptor.h"
#include "base/text.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace postern::mapping {
namespace {

constexpr std::size_t kMaxSourceBytes = std::size_t{2} << 30;
constexpr std::size_t kMaxFiles = 65535;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // of UTF-8

bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool all_blank(std::string_view text) { return std::all_of(text.begin(), text.end(), is_blank); }

// Takes the column at the start of `rest`: up to the first blank that no $ quotes.
std::string_view take_column(std::string_view& rest) {
  std::size_t at = 0;
  while (at < rest.size() && !is_blank(rest[at])) at += rest[at] == '$' ? 2 : 1;
  at = std::min(at, rest.size());
  const std::string_view column = rest.substr(0, at);
  rest.remove_prefix(at);
  return column;
}

void skip_blanks(std::string_view& rest) {
  while (!rest.empty() && is_blank(rest[0])) rest.remove_prefix(1);
}

class Reader {
 public:
  Reader(const ReadSource& read, SourceHandler& handler) : read_(read), handler_(handler) {}

  void file(const std::string& path, std::uint16_t from_file, std::uint32_t from_line) {
    const bool outermost = open_.empty();
    if (std::find(open_.begin(), open_.end(), path) != open_.end())
      return handler_.message("E11", from_file, from_line, "\"" + path + "\" includes itself");
    if (open_.size() > static_cast<std::size_t>(kMaxIncludes))
      return handler_.message("E11", from_file, from_line, "includes nest more than " + std::to_string(kMaxIncludes) + " deep");
    if (files_ >= kMaxFiles) return handler_.message("E11", from_file, from_line, "more than " + std::to_string(kMaxFiles) + " files");
    auto content = read_(path);
    if (!content) {
      if (outermost) handler_.file(0, path);
      return handler_.message("E11", from_file, from_line, "cannot read \"" + path + "\": " + content.error().what);
    }
    const auto number = static_cast<std::uint16_t>(files_++);
    handler_.file(number, path);
    open_.push_back(path);
    lines(*content, number);
    open_.pop_back();
  }

  void finish(std::uint16_t file) {
    if (state_ == State::named) handler_.message("E02", file, table_line_, "no blank line after the table name");
  }

 private:
  enum class State { outside, named, inside, entries };
  // outside: no table; named: just after a name; inside: behind its blank lines, no entry yet.

  void lines(std::string_view text, std::uint16_t file) {
    const std::uint64_t all = text.size();
    std::uint32_t number = 0, first = 0;
    std::string joined;
    bool continued = false;
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      std::string_view line = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      ++number;
      if (number % 65536 == 0) handler_.progress(all - text.size(), all);
      if (end != std::string_view::npos && line.ends_with('\r')) line.remove_suffix(1);
      if (number == 1 && line.starts_with(kByteOrderMark)) {
        handler_.message("E01", file, number, "the file begins with a byte order mark: save it without");
        line.remove_prefix(kByteOrderMark.size());
      }
      if (line.find('\0') != std::string_view::npos) {
        handler_.message("E01", file, number, "NUL byte in the line");
        continue;
      }
      if (!continued && line.starts_with('!')) continue;
      if (line.size() > kLongPhysicalLine) handler_.message("W10", file, number, "line of " + std::to_string(line.size()) + " bytes: continue it with a backslash");
      if (!continued && line.starts_with('<')) {
        const std::string_view path = base::trim(line.substr(1));
        if (!path.starts_with('/')) handler_.message("E11", file, number, "\"" + std::string(path) + "\" is no absolute path");
        else this->file(std::string(path), file, number);
        continue;
      }
      const bool more = line.ends_with('\\');
      if (more) line.remove_suffix(1);
      if (!continued && !more) {
        logical(line, file, number);
        continue;
      }
      if (!continued) {
        joined.clear();
        first = number;
      }
      if (joined.size() <= kMaxJoinedLine) joined += line;
      continued = more;
      if (!more) logical(joined, file, first);
    }
    if (continued) logical(joined, file, first);
  }

  void logical(std::string_view line, std::uint16_t file, std::uint32_t number) {
    if (line.size() > kMaxJoinedLine) {
      handler_.message("E10", file, number, "line of more than " + std::to_string(kMaxJoinedLine) + " bytes");
      if (state_ == State::named) state_ = State::entries;
      return;
    }
    if (all_blank(line)) {
      if (state_ == State::named) state_ = State::inside;
      else if (state_ == State::entries) state_ = State::outside;
      return;
    }
    if (is_blank(line[0])) return entry(line, file, number);
    if (!base::is_alpha(line[0])) {
      const bool foreign_remark = line[0] == '#' || line[0] == ';' || line[0] == '/';
      handler_.message("E01", file, number, std::string("neither a table name nor an indented entry: the line begins with \"") + base::printable(line.substr(0, 1)) + "\"" +
                                                (foreign_remark ? "; a remark begins with !" : "; is it an entry that is not indented?"));
      return;
    }
    std::size_t length = 0;
    while (length < line.size() && !is_blank(line[length])) ++length;
    const bool more = !all_blank(line.substr(length));
    // Nobody begins a table like this in the middle of another one.
    if (more && state_ != State::outside) return handler_.message("E01", file, number, "an entry must be indented, and this line begins in column 1");
    if (state_ == State::named) handler_.message("E02", file, table_line_, "no blank line after the table name");
    if (state_ == State::entries) handler_.message("E02", file, number, "no blank line before the table name");
    if (more) handler_.message("E01", file, number, "text after the table name; or is it an entry that is not indented?");
    if (length > kMaxPatternText) handler_.message("E10", file, number, "table name of " + std::to_string(length) + " bytes");
    handler_.table(line.substr(0, std::min(length, kMaxPatternText)), file, number);
    table_line_ = number;
    state_ = State::named;
    outside_reported_ = false;
  }

  void entry(std::string_view line, std::uint16_t file, std::uint32_t number) {
    if (state_ == State::outside) {
      // One message for all that stands there up to the next table.
      if (!outside_reported_) handler_.message("E01", file, number, "entry outside a table: a blank line ends a table, and a table's name begins in column 1");
      outside_reported_ = true;
      return;
    }
    if (state_ == State::named) handler_.message("E02", file, table_line_, "no blank line after the table name");
    state_ = State::entries;
    std::string_view rest = line;
    skip_blanks(rest);
    const std::string_view pattern = take_column(rest);
    skip_blanks(rest);
    const char* const remark = pattern.starts_with('!') ? "; a remark begins in column 1" : "";
    if (rest.empty()) return handler_.message("E04", file, number, std::string("entry without a template") + remark);
    const std::string_view expansion = take_column(rest);
    skip_blanks(rest);
    if (!rest.empty()) return handler_.message("E05", file, number, std::string("text after the template: quote blanks with $") + remark);
    if (pattern.size() > kMaxPatternText)
      return handler_.message("E10", file, number, "pattern of " + std::to_string(pattern.size()) + " bytes, the limit is " + std::to_string(kMaxPatternText));
    if (expansion.size() > kMaxTemplateText)
      return handler_.message("E10", file, number, "template of " + std::to_string(expansion.size()) + " bytes, the limit is " + std::to_string(kMaxTemplateText));
    handler_.entry(pattern, expansion, file, number);
  }

  const ReadSource& read_;
  SourceHandler& handler_;
  std::vector<std::string> open_;
  std::size_t files_ = 0;
  State state_ = State::outside;
  std::uint32_t table_line_ = 0;
  bool outside_reported_ = false;
};

}  // namespace

Result<std::string> read_source_file(const std::string& path) {
  const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return system_error(errno, "open");
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return system_error(errno, "stat");
  if (!S_ISREG(status.st_mode)) return Error{Kind::invalid, "not a regular file"};
  return base::read_all(file.get(), kMaxSourceBytes);
}

void read_mappings(const std::string& path, const ReadSource& read, SourceHandler& handler) {
  Reader reader(read, handler);
  reader.file(path, 0, 0);
  reader.finish(0);
}

}  // namespace postern::mapping
