// SPDX-License-Identifier: Apache-2.0
#pragma once
// Mapping tables at run time: a view over a flat image in shared memory, and the evaluation of one probe against one table.
//
// The language is that of access-control.md section 1 (mappings(5)). The image was laid out by build_image() (image.h), in the
// loader or by a tool; it is mapped read-only, and each offset in it is checked before use, so that a damaged image gives a wrong
// answer at worst, never an access outside of it.
//
// Tables is a handle: copies share one mapping, which goes with the last of them. A session keeps its copy until its transaction
// ends, whatever is loaded meanwhile.
// Limits: 100,000 match steps an entry and 20,000,000 an evaluation, 10 nested table calls, 4096 bytes a probe
// (access-control.md 10); the first three are reported in the result, never waited for.
#include "base/descriptor.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::mapping {

// The longest probe that may be asked (access-control.md 10); run() answers a longer one with step_limit_exceeded.
inline constexpr std::size_t kMaxProbeBytes = 4096;
inline constexpr std::uint64_t kMaxMatchSteps = 100'000;
inline constexpr std::uint64_t kMaxEvaluationSteps = 20'000'000;
inline constexpr int kMaxNesting = 10;

// A set of single characters: input flags that a caller raises, or output flags that templates raise.
class Flags {
 public:
  Flags() = default;
  // One flag for each character of `letters`.
  explicit Flags(std::string_view letters) {
    for (const char c : letters) add(c);
  }
  void add(char flag) { words_[index(flag) / 64] |= bit(flag); }
  void add(const Flags& others) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= others.words_[i];
  }
  [[nodiscard]] bool has(char flag) const { return (words_[index(flag) / 64] & bit(flag)) != 0; }
  // Y, N and F count in both cases.
  [[nodiscard]] bool has_either_case(char upper_flag) const;
  [[nodiscard]] bool empty() const { return words_ == std::array<std::uint64_t, 4>{}; }
  // Sorted by byte value.
  [[nodiscard]] std::string letters() const;
  friend bool operator==(const Flags&, const Flags&) = default;

 private:
  static std::size_t index(char flag) { return static_cast<unsigned char>(flag); }
  static std::uint64_t bit(char flag) { return std::uint64_t{1} << (index(flag) % 64); }
  std::array<std::uint64_t, 4> words_{};  // a bit for each byte value
};

class Image;  // image_view.h

class Tables {
 public:
  // No tables at all: has() is always false.
  Tables() = default;
  // Maps a sealed memory file; refuses one that is not sealed (Kind::denied) or no image (Kind::corrupt).
  static Result<Tables> map(base::Descriptor sealed_image);
  // A view over an image in this process's own memory (tools and tests).
  static Result<Tables> from_bytes(std::string image);

  // Whether anything was loaded. Without any compiled configuration access tables answer 451 (access-control.md 3.4).
  [[nodiscard]] bool loaded() const { return image_ != nullptr; }
  // Number of the compiled file that this came from; 0 if none.
  [[nodiscard]] std::uint64_t generation() const;
  // When it was compiled, in microseconds since 1970.
  [[nodiscard]] std::int64_t built_microseconds() const;
  // Whether there is a table of that name (any case).
  [[nodiscard]] bool has(std::string_view table) const;
  [[nodiscard]] std::vector<std::string> names() const;
  // True: what stands behind the last `|` of a probe plays no part in what the table answers, but where the output is the probe itself. That is
  // so if each pattern is `*`, or ends in `|*`, and no template uses what that `*` took. Looks at all entries: if there are more than
  // `most` it is false, as it is without such a table.
  [[nodiscard]] bool ignores_last_field(std::string_view table, std::size_t most) const;
  // Number of entries, 0 if there is no such table.
  [[nodiscard]] std::size_t entries(std::string_view table) const;
  // The targets of an alias: that of the whole address (any case) or, if there is none, of its local part alone, which holds for
  // every local domain (asking only for local addresses is up to the caller). Nothing: no alias.
  [[nodiscard]] std::optional<std::vector<std::string>> alias(std::string_view address) const;
  // Value of a key of the general table (any case).
  [[nodiscard]] std::optional<std::string> general(std::string_view key) const;

 private:
  friend class Evaluation;
  explicit Tables(std::shared_ptr<const Image> image) : image_(std::move(image)) {}
  std::shared_ptr<const Image> image_;
};

// What an entry did, for `posternctl probe --trace`. Entries that the index leaves out are not listed but counted: they can't match.
struct TraceLine {
  int depth = 0;           // 0: the table that was asked; 1 and more: tables that it called
  std::string table;
  std::string file;
  int line = 0;
  bool matched = false;
  std::vector<std::string> fields;
  std::string expansion;   // what the template produced; if it failed, up to there
  bool failed = false;
  std::string reason;      // why it failed ("input flag A is clear"), or why matching was given up
  char control = ' ';      // C, E, L, R, or a space for none
  std::uint32_t skipped = 0;  // entries directly before this one that the index left out
};

// What a template asks of the world outside the tables. Whoever runs the evaluation finds the answer, in its own time.
struct Question {
  enum class Kind {
    call_out,   // $[name,routine,argument] and $[postern:routine,argument], $[socket:/path,argument]
    url,        // $]url[
    sequence,   // $#file|radix|width|modulus#
    attribute,  // $}domain,attribute{
  };
  Kind kind = Kind::call_out;
  std::string name;      // call_out: "postern", "socket", or an image; sequence: the file; attribute: the domain
  std::string routine;   // call_out: "client", "/path"; attribute: the attribute
  std::string argument;  // call_out: the rest, expanded, commas and all; url: the URL
  unsigned radix = 10, width = 0;  // sequence
  std::uint64_t modulus = 0;       // sequence; 0: none
  friend bool operator==(const Question&, const Question&) = default;
};

// A question and what was found; nothing: the template failed there.
struct Answered {
  Question question;
  std::optional<std::string> text;
};

struct Mapped {
  bool matched = false;
  std::string output;      // equals the probe if nothing matched
  Flags flags;
  int line = 0;            // of the last entry that matched and did not fail or, if all failed, of the last that matched; 0 if none did
  std::string file;        // where that line stands
  std::vector<Answered> answers;     // from outside, in the order of asking
  bool by_chance = false;            // a random number played a part ($?x?)
  std::uint64_t steps = 0;           // that it took
  bool step_limit_exceeded = false;  // the answer must not be trusted: access tables answer 451 4.7.1 (access-control.md 10)
  std::vector<TraceLine> trace;      // if asked for
  std::uint64_t skipped = 0;         // with a trace: entries that the index left out, those behind the last line too
};

// One probe against one table. Usage: while (run() == asks) answer(…question()…); then result().
// The state is a value of some kilobytes: it can rest for as long as the answer takes, and be dropped at any time.
class Evaluation {
 public:
  enum class State { finished, asks };

  // A table that does not exist gives matched == false. `input` flags can be tested by the asked table only, not by those it calls.
  Evaluation(const Tables& tables, std::string_view table, std::string probe, Flags input, bool trace = false);
  Evaluation(Evaluation&&) noexcept;
  Evaluation& operator=(Evaluation&&) noexcept;
  ~Evaluation();

  // Goes on until the end, or until something outside is asked. Once finished it stays so.
  State run();
  // Valid after run() returned asks.
  [[nodiscard]] const Question& question() const;
  // Text found, or nothing: the template fails there, for the reason given. Ignored unless run() returned asks.
  void answer(std::optional<std::string> text, std::string_view reason = "nothing found outside");
  // Valid after run() returned finished.
  [[nodiscard]] const Mapped& result() const;
  [[nodiscard]] Mapped take_result();

 private:
  struct Machine;
  class Resting;
  std::unique_ptr<Machine> machine_;
};

// Runs an evaluation to its end; everything outside is answered by "not found". For tables that ask nothing, and for tests.
Mapped evaluate(const Tables& tables, std::string_view table, std::string probe, Flags input = {}, bool trace = false);

}  // namespace postern::mapping
