// SPDX-License-Identifier: Apache-2.0
#include "sieve/format.h"

#include "base/text.h"
#include "sieve/parser.h"
#include "sieve/source_text.h"

#include <algorithm>
#include <span>

namespace postern::sieve {

namespace {

constexpr std::size_t kLongestLine = 100;   // in bytes; a longer list is put on several lines
constexpr std::size_t kIndent = 2;

bool is(const Piece& piece, char punctuation) { return piece.kind == Piece::Kind::punctuation && piece.text.front() == punctuation; }
bool is_comment(const Piece& piece) { return piece.kind == Piece::Kind::line_comment || piece.kind == Piece::Kind::comment; }
bool opens(const Piece& piece) { return is(piece, '(') || is(piece, '['); }
bool closes(const Piece& piece) { return is(piece, ')') || is(piece, ']'); }

// Only what stands for itself changes case: a word, a tag, the quantifier of a number.
std::string shown(const Piece& piece) {
  switch (piece.kind) {
    case Piece::Kind::word:
    case Piece::Kind::tag: return base::lower(piece.text);
    case Piece::Kind::number: return base::upper(piece.text);
    case Piece::Kind::multi_line_string:
    case Piece::Kind::comment: {
      std::string text;
      for (const char c : piece.text)
        if (c != '\r') text += c;
      return text;
    }
    case Piece::Kind::line_comment: {
      std::string_view text = piece.text;
      while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
      return std::string(text);
    }
    default: break;
  }
  return std::string(piece.text);
}

// After these nothing may follow on the line, or the line is several.
bool needs_own_lines(const Piece& piece) {
  return piece.kind == Piece::Kind::line_comment || piece.kind == Piece::Kind::multi_line_string || piece.text.find('\n') != std::string_view::npos;
}

class Formatter {
 public:
  explicit Formatter(std::span<const Piece> pieces) : pieces_(pieces) {}

  std::string text() {
    commands(0);
    if (!line_.empty()) end_line();
    return std::move(out_);
  }

 private:
  // ---- lines
  void end_line() {
    while (!line_.empty() && line_.back() == ' ') line_.pop_back();
    out_ += line_;
    out_ += '\n';
    line_.clear();
    fresh_ = true;
  }
  void write(std::string_view text, std::size_t indent) {
    if (fresh_) line_.assign(indent, ' ');
    fresh_ = false;
    line_ += text;
  }
  // Bytes on the line that is being written, which may follow a piece of several lines.
  [[nodiscard]] std::size_t column() const {
    const auto end = line_.rfind('\n');
    return end == std::string::npos ? line_.size() : line_.size() - end - 1;
  }

  // ---- commands
  [[nodiscard]] bool more() const { return at_ < pieces_.size(); }
  const Piece& here() const { return pieces_[at_]; }

  // Up to the '}' that ends the block, or to the end.
  void commands(std::size_t indent) {
    bool first = true;
    while (more() && !is(here(), '}')) {
      const Piece& piece = here();
      // A comment that stood behind something stays there.
      if (is_comment(piece) && piece.line_ends == 0 && !first_of_all_) {
        if (fresh_) reopen_line();
        write((line_.empty() ? "" : "  ") + shown(piece), indent);
        ++at_;
        if (!more() || here().line_ends > 0 || piece.kind == Piece::Kind::line_comment || !is_comment(here())) end_line();
        first = false;
        continue;
      }
      if (!fresh_) end_line();
      if (piece.line_ends > 1 && !first) out_ += '\n';
      first = first_of_all_ = false;
      if (is_comment(piece)) {
        write(shown(piece), indent);
        ++at_;
        // One in front of a command on its line stays in front of it, but has a line of its own.
        end_line();
        continue;
      }
      command(indent);
    }
    if (!fresh_) end_line();
  }

  // Takes back the line end that was just written, to put a comment there. A line that ends a multi-line string stays as it is.
  void reopen_line() {
    if (out_.empty() || out_.back() != '\n') return;
    out_.pop_back();
    const auto begin = out_.rfind('\n') == std::string::npos ? 0 : out_.rfind('\n') + 1;
    line_ = out_.substr(begin);
    out_.resize(begin);
    fresh_ = false;
  }

  void command(std::size_t indent) {
    const std::size_t begin = at_;
    std::size_t depth = 0;
    while (more() && !(depth == 0 && (is(here(), ';') || is(here(), '{') || is(here(), '}')))) {
      if (opens(here())) ++depth;
      if (closes(here()) && depth > 0) --depth;
      ++at_;
    }
    sequence(pieces_.subspan(begin, at_ - begin), indent, indent);
    if (!more()) return;
    if (is(here(), ';')) {
      write(";", indent);
      ++at_;
      end_line();
      return;
    }
    if (!is(here(), '{')) return;
    write(fresh_ ? "{" : " {", indent);
    ++at_;
    // "{}" stays on its line.
    if (more() && is(here(), '}')) {
      write("}", indent);
    } else {
      end_line();
      commands(indent + kIndent);
      write("}", indent);
    }
    if (!more()) return end_line();
    ++at_;
    end_line();
  }

  // ---- arguments and tests
  static bool blank_between(const Piece& before, const Piece& after) {
    if (is(after, ',') || is(after, ';') || closes(after) || opens(before)) return false;
    return true;
  }

  static std::optional<std::string> flat(std::span<const Piece> pieces) {
    std::string line;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      if (needs_own_lines(pieces[i])) return std::nullopt;
      if (i > 0 && blank_between(pieces[i - 1], pieces[i])) line += ' ';
      line += shown(pieces[i]);
    }
    return line;
  }

  // The end of the group that begins at `begin`, behind its closing piece.
  static std::size_t group_end(std::span<const Piece> pieces, std::size_t begin) {
    std::size_t depth = 0;
    for (std::size_t i = begin; i < pieces.size(); ++i) {
      if (opens(pieces[i])) ++depth;
      if (closes(pieces[i]) && --depth == 0) return i + 1;
    }
    return pieces.size();
  }

  // Writes `pieces`; lines that have to be begun stand at `indent` for what belongs inside, `outer` is where the command stands.
  void sequence(std::span<const Piece> pieces, std::size_t outer, std::size_t indent) {
    const auto line = flat(pieces);
    if (line && std::max(column(), fresh_ ? indent : 0) + line->size() < kLongestLine) {
      write(*line, indent);
      return;
    }
    bool begun = false;   // something other than a comment was written: what follows is a continuation
    for (std::size_t i = 0; i < pieces.size();) {
      if (i > 0 && !fresh_ && blank_between(pieces[i - 1], pieces[i])) write(" ", indent);
      const std::size_t inside = begun ? outer + 2 * kIndent : indent;
      begun = begun || !is_comment(pieces[i]);
      if (opens(pieces[i])) {
        const std::size_t end = group_end(pieces, i);
        group(pieces.subspan(i, end - i), fresh_ ? inside : indent);
        i = end;
        continue;
      }
      write(shown(pieces[i]), fresh_ ? inside : indent);
      if (pieces[i].kind == Piece::Kind::line_comment || pieces[i].kind == Piece::Kind::multi_line_string) end_line();
      ++i;
    }
  }

  // "(…)" or "[…]": on one line if it fits, else one entry a line.
  void group(std::span<const Piece> pieces, std::size_t indent) {
    const auto line = flat(pieces);
    if (line && column() + line->size() < kLongestLine) {
      write(*line, indent);
      return;
    }
    write(pieces.front().text, indent);
    end_line();
    const bool closed = closes(pieces.back());
    const auto inner = pieces.subspan(1, pieces.size() - (closed ? 2 : 1));
    for (std::size_t i = 0; i < inner.size();) {
      std::size_t end = i, depth = 0;
      while (end < inner.size() && !(depth == 0 && is(inner[end], ','))) {
        if (opens(inner[end])) ++depth;
        if (closes(inner[end]) && depth > 0) --depth;
        ++end;
      }
      sequence(inner.subspan(i, end - i), indent + kIndent, indent + kIndent);
      if (end < inner.size()) {
        write(",", indent + kIndent);
        ++end;
        // A comment behind the comma belongs to the entry in front of it.
        while (end < inner.size() && is_comment(inner[end]) && inner[end].line_ends == 0) {
          write(" " + shown(inner[end]), indent + kIndent);
          if (inner[end++].kind == Piece::Kind::line_comment) break;
        }
      }
      if (!fresh_) end_line();
      i = end;
    }
    if (closed) write(pieces.back().text, indent);
  }

  std::span<const Piece> pieces_;
  std::size_t at_ = 0;
  std::string out_, line_;
  bool fresh_ = true;          // nothing stands on the line yet
  bool first_of_all_ = true;
};

}  // namespace

Formatted format(std::string_view source, const CompileLimits& limits) {
  Formatted done;
  if (source.starts_with("\xef\xbb\xbf")) source.remove_prefix(3);
  Mistakes mistakes(limits.mistakes);
  if (source.size() > limits.script_bytes) mistakes.error({}, "script is longer than " + std::to_string(limits.script_bytes) + " bytes");
  else if (source.find('\0') != std::string_view::npos || !base::is_utf8(source)) mistakes.error({}, "script is not UTF-8 text");
  else parse(source, limits, mistakes);
  const bool good = !mistakes.any_error();
  done.mistakes = mistakes.take();
  if (!good) return done;
  const auto pieces = pieces_of(source);
  done.text = Formatter(pieces).text();
  return done;
}

}  // namespace postern::sieve
