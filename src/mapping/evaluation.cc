// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"
#include "base/text.h"
#include "mapping/code.h"
#include "mapping/image.h"
#include "mapping/pattern.h"
#include "mapping/tables.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <functional>
#include <utility>

namespace postern::mapping {
namespace {

// access-control.md 1.7: so many restarts with a string that did not shrink.
constexpr int kMaxRestarts = 10;
constexpr std::size_t kMaxUrlBytes = 1024;
// An answer from outside, or a string that grows in `$C` after `$C`, must not fill the memory.
constexpr std::size_t kMaxTextBytes = 64 * 1024;
// What finding the candidates for a new string counts, beside its length.
constexpr std::uint64_t kScanSteps = 50;
// A restart counts so much, beside its scan: a string that shrinks and grows in turn passes the loop guard for ever.
constexpr std::uint64_t kRestartSteps = 2000;
// Each question costs somebody's time.
constexpr int kMaxQuestions = 100;
constexpr std::size_t kMaxTraceLines = 10'000;

// The entries of a table that may match the current string, from some entry on, in source order: a merge of what stands under the
// string's keys and of the entries without a key.
class Candidates {
 public:
  // `text` is in lower case; it is needed until the last next().
  void start(const Image& image, const Image::Table& table, std::string_view text, std::uint32_t from) {
    alone_.clear();
    lists_.clear();
    from_ = from;
    pairs_known_ = false;
    // Used within this call only. Fetching what a key leads to takes longer than anything else here: it is asked for, for all keys, before
    // the first is read. Most keys end at the filter.
    thread_local std::vector<std::uint64_t> hashes;
    hashes.clear();
    probe_keys(text, table.shape, hashes);
    std::size_t kept = 0;
    for (const std::uint64_t hash : hashes)
      if (image.may_have(table, hash)) {
        image.expect(table, hash);
        hashes[kept++] = hash;
      }
    hashes.resize(kept);
    // A text that says one thing over and over has few keys: each list is merged once.
    std::sort(hashes.begin(), hashes.end());
    hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
    for (const std::uint64_t hash : hashes) image.expect_entries(table, hash);
    for (const std::uint64_t hash : hashes) {
      image.alone_under(table, hash, [&](const Image::Candidate& one) { alone_.push_back(one); });
      add(image, image.shared_under(table, hash), text);
    }
    add(image, image.always(table), text);
    std::sort(alone_.begin(), alone_.end(), std::greater<>());
    std::make_heap(lists_.begin(), lists_.end(), later);
  }

  // The next entry, or nothing. A key that the text contains twice gives its entries once.
  std::optional<Image::Candidate> next(const Image& image, std::string_view text) {
    while (!alone_.empty() || !lists_.empty()) {
      Image::Candidate entry;
      if (lists_.empty() || (!alone_.empty() && alone_.back() <= lists_.front().entry)) {
        entry = alone_.back();
        alone_.pop_back();
      } else {
        std::pop_heap(lists_.begin(), lists_.end(), later);
        entry = lists_.back().entry;
        if (advance(image, lists_.back(), text)) std::push_heap(lists_.begin(), lists_.end(), later);
        else lists_.pop_back();
      }
      if (entry.number < from_) continue;
      from_ = entry.number + 1;
      return entry;
    }
    return std::nullopt;
  }

 private:
  struct Run {
    Image::Candidate entry;  // the first that was not given out
    std::uint32_t index;     // behind it
    Image::List list;
  };
  static bool later(const Run& a, const Run& b) { return a.entry > b.entry; }

  // To the next entry of a list whose pairs of bytes all occur in the text; false at its end.
  bool advance(const Image& image, Run& run, std::string_view text) {
    if (!pairs_known_) {
      pairs_ = PairSet(text);
      pairs_known_ = true;
    }
    for (; run.index < run.list.count; ++run.index) {
      if (!pairs_.has(image.signature(run.list, run.index))) continue;
      run.entry = image.candidate(run.list, run.index++);
      return true;
    }
    return false;
  }

  void add(const Image& image, const Image::List& list, std::string_view text) {
    if (list.count == 0) return;
    Run run{{}, 0, list};
    std::uint32_t high = list.count;
    while (run.index < high) {
      const std::uint32_t middle = run.index + (high - run.index) / 2;
      if (image.candidate(list, middle).number < from_) run.index = middle + 1;
      else high = middle;
    }
    if (advance(image, run, text)) lists_.push_back(run);
  }

  std::vector<Image::Candidate> alone_;  // descending
  std::vector<Run> lists_;               // a heap, smallest entry first
  std::uint32_t from_ = 0;
  PairSet pairs_;
  bool pairs_known_ = false;
};

std::string folded(std::string_view text, char fold) {
  if (fold == '\\') return base::lower(text);
  if (fold == '^') return base::upper(text);
  return std::string(text);
}

// RFC 4515 section 3.
std::string escaped_for_filter(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '*': out += "\\2a"; break;
      case '(': out += "\\28"; break;
      case ')': out += "\\29"; break;
      case '\\': out += "\\5c"; break;
      case '\0': out += "\\00"; break;
      default: out += c;
    }
  }
  return out;
}

// What a URL takes apart by itself must not come out of a field: a mail address may have "%2a" in it.
std::string escaped_for_url(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '%') out += "%25";
    else if (c == '?') out += "%3f";
    else out += c;
  }
  return out;
}

}  // namespace

struct Evaluation::Machine {
  // One table at work. The tables that it calls stand behind it.
  struct Frame {
    const Image::Table* table = nullptr;
    std::string current, lowered;  // `lowered`: `current` in lower case, while not `fresh`
    Flags input, raised;
    bool matched = false, held = false;  // `held`: a template did not fail
    std::uint32_t line = 0, file = 0;    // of the entry that decides: the last that held or, if none did, that matched
    // Where the scan stands.
    Candidates candidates;
    std::uint32_t position = 0;
    bool fresh = true;           // the candidates are to be found anew from `position` on
    std::size_t pass_began_with = 0;
    int restarts = 0;
    bool one_more_pass = false;  // $L
    // The entry that matched last, while its template runs.
    bool expanding = false;
    std::uint32_t entry_line = 0, entry_file = 0;
    std::string_view code;
    std::size_t at = 0;
    Match match;
    std::string out;
    Flags entry_flags;
    char fold = '_', control = ' ';
    bool ldap = false;
    std::size_t trace_line = 0;

    // What an entry sets before it reads it stays as it was.
    void begin(const Image::Table* asked, std::string probe, const Flags& flags) {
      table = asked;
      current = std::move(probe);
      input = flags;
      raised = {};
      matched = held = expanding = one_more_pass = false;
      fresh = true;
      line = file = position = 0;
      pass_began_with = current.size();
      restarts = 0;
    }
  };

  // The frames, the innermost last. Those that were left are used again, with the memory that they hold.
  class Frames {
   public:
    [[nodiscard]] bool empty() const { return depth_ == 0; }
    [[nodiscard]] std::size_t size() const { return depth_; }
    [[nodiscard]] std::size_t capacity() const { return frames_.size(); }
    Frame& back() { return *frames_[depth_ - 1]; }
    Frame& push(const Image::Table* table, std::string probe, const Flags& input) {
      if (depth_ == frames_.size()) frames_.push_back(std::make_unique<Frame>());
      Frame& frame = *frames_[depth_++];
      frame.begin(table, std::move(probe), input);
      return frame;
    }
    // What back() was stays as it is until the next push().
    void pop() { --depth_; }

   private:
    std::vector<std::unique_ptr<Frame>> frames_;
    std::size_t depth_ = 0;
  };

  Tables tables;
  bool trace = false;
  Mapped mapped;
  Frames frames;
  std::uint64_t steps = 0;
  bool finished = false, asking = false;
  int questions = 0;
  Question question;

  const Image& image() const { return *tables.image_; }

  // For the next evaluation: the memory stays. False if that is not worth keeping.
  bool clear() {
    constexpr std::size_t kMostFrames = 3;
    while (!frames.empty()) frames.pop();
    tables = {};
    trace = finished = asking = false;
    mapped = {};
    steps = 0;
    questions = 0;
    question = {};
    return frames.capacity() <= kMostFrames;
  }

  State run() {
    while (!finished && !asking) {
      if (frames.back().expanding) expand();
      else scan();
    }
    return finished ? State::finished : State::asks;
  }

  // Looks for the next entry that matches, and starts its template.
  void scan() {
    Frame& frame = frames.back();
    if (frame.fresh) {
      if (!spend(kScanSteps + frame.current.size() / 4)) return;
      frame.lowered = base::lower(frame.current);
      frame.candidates.start(image(), *frame.table, frame.lowered, frame.position);
      frame.fresh = false;
    }
    while (const auto candidate = frame.candidates.next(image(), frame.lowered)) {
      const std::uint32_t left_out = candidate->number - frame.position;
      frame.position = candidate->number + 1;
      const auto entry = image().entry(candidate->place);
      if (!entry) continue;
      const std::uint64_t left = kMaxEvaluationSteps - std::min(steps, kMaxEvaluationSteps);
      frame.match = match_folded(entry->pattern, frame.lowered, std::min(kMaxMatchSteps, left));
      if (trace) note(frame, *entry, left_out);
      if (frame.match.gave_up) mapped.step_limit_exceeded = true;
      if (!spend(frame.match.steps)) return;
      if (!frame.match.matched) continue;
      frame.matched = true;
      frame.entry_line = entry->line;
      frame.entry_file = entry->file;
      frame.expanding = true;
      frame.code = entry->expansion;
      frame.at = 0;
      frame.out.clear();
      frame.entry_flags = {};
      frame.fold = '_';
      frame.ldap = false;
      frame.control = ' ';
      return;
    }
    if (trace && frame.position < frame.table->entries) mapped.skipped += frame.table->entries - frame.position;
    frame.position = frame.table->entries;
    // The end of the table: perhaps one more pass.
    if (frame.one_more_pass && restart(frame)) return;
    end_frame();
  }

  void note(Frame& frame, const Image::Entry& entry, std::uint32_t left_out) {
    TraceLine line;
    line.skipped = left_out;
    mapped.skipped += left_out;
    line.depth = static_cast<int>(frames.size()) - 1;
    line.table = frame.table->name;
    line.file = image().file(entry.file);
    line.line = static_cast<int>(entry.line);
    line.matched = frame.match.matched;
    if (frame.match.gave_up) line.reason = "given up after " + std::to_string(frame.match.steps) + " steps";
    if (line.matched)
      for (int i = 0; i < std::min(frame.match.fields, kReachableFields); ++i) line.fields.emplace_back(field(frame, i));
    frame.trace_line = mapped.trace.size();
    mapped.trace.push_back(std::move(line));
    // Nobody reads on from here, and a loop could fill the memory.
    if (mapped.trace.size() == kMaxTraceLines) trace = false;
  }

  std::string_view field(const Frame& frame, int number) const {
    if (number >= frame.match.fields || number >= kReachableFields) return {};
    const FieldSpan span = frame.match.field[static_cast<std::size_t>(number)];
    return std::string_view(frame.current).substr(span.start, span.length);
  }

  // From the first entry again, unless the loop guard objects.
  bool restart(Frame& frame) {
    frame.one_more_pass = false;
    steps += kRestartSteps;
    if (frame.current.size() >= frame.pass_began_with) {
      if (++frame.restarts > kMaxRestarts) return false;
    } else {
      frame.restarts = 0;
    }
    frame.pass_began_with = frame.current.size();
    frame.position = 0;
    frame.fresh = true;
    return true;
  }

  // What follows an entry, by the last control letter that was read.
  void entry_done(bool success, std::string reason = {}) {
    Frame& frame = frames.back();
    frame.expanding = false;
    if (trace) {
      TraceLine& line = mapped.trace[frame.trace_line];
      line.expansion = frame.out;
      line.failed = !success;
      line.reason = std::move(reason);
      line.control = frame.control;
    }
    if (success || !frame.held) {
      frame.line = frame.entry_line;
      frame.file = frame.entry_file;
    }
    if (success) {
      frame.held = true;
      frame.fresh = frame.fresh || frame.out != frame.current;
      frame.current = std::move(frame.out);
      frame.out = {};
      frame.raised.add(frame.entry_flags);
    }
    frame.one_more_pass = frame.control == 'L';
    switch (frame.control) {
      case 'C':
      case 'L': return;
      case 'R':
        if (restart(frame)) return;
        break;
      default: break;
    }
    end_frame();
  }

  void end_frame() {
    Frame& done = frames.back();
    frames.pop();
    if (frames.empty()) {
      mapped.matched = done.matched;
      mapped.output = std::move(done.current);
      mapped.flags = done.raised;
      mapped.line = static_cast<int>(done.line);
      mapped.file = image().file(done.file);
      if (!done.matched) mapped.file.clear();
      mapped.steps = steps;
      finished = true;
      return;
    }
    // Back in the template that called: its text counts if the called table said yes.
    if (done.raised.has_either_case('Y') || done.raised.has_either_case('T')) substitute(done.current);
    else entry_done(false, "table " + std::string(done.table->name) + " did not answer Y");
  }

  // Counts work. False if that was too much: then the evaluation has ended, and its result says so.
  bool spend(std::uint64_t count) {
    steps += count;
    if (steps < kMaxEvaluationSteps) return true;
    mapped.step_limit_exceeded = true;
    while (frames.size() > 1) frames.pop();
    if (frames.back().expanding) {
      frames.back().line = frames.back().entry_line;
      frames.back().file = frames.back().entry_file;
    }
    frames.back().matched = false;
    frames.back().raised = {};
    end_frame();
    return false;
  }

  void append(Frame& frame, std::string_view text) { frame.out += folded(text, frame.fold); }

  // Text that a sequence gave goes into the output; the template goes on.
  void substitute(std::string_view text) {
    Frame& frame = frames.back();
    steps += text.size() / 16;
    const std::string cased = folded(text, frame.fold);
    frame.out += frame.ldap ? escaped_for_filter(cased) : cased;
    if (frame.out.size() > kMaxTextBytes) entry_done(false, "the text grew past " + std::to_string(kMaxTextBytes) + " bytes");
  }

  // Those of a URL are escaped, after `$=` also for a search filter.
  std::string argument(const Frame& frame, CodeReader& in, bool url = false) const {
    CodeReader inner(in.text());
    std::string out;
    while (!inner.at_end()) {
      switch (static_cast<TemplateOp>(inner.u8())) {
        case TemplateOp::text: out += inner.text(); break;
        case TemplateOp::field: {
          const std::string_view text = field(frame, inner.u8());
          if (!url) out += text;
          else out += frame.ldap ? escaped_for_url(escaped_for_filter(text)) : escaped_for_url(text);
          break;
        }
        default: return out;
      }
    }
    return out;
  }

  static std::string percent_text(double percent) {
    std::string text = std::to_string(percent);
    while (text.ends_with('0')) text.pop_back();
    if (text.ends_with('.')) text.pop_back();
    return text;
  }

  // Runs the template until it ends, fails, substitutes, calls a table or asks the outside. Whatever may end the entry is the last
  // thing done here, as the frame may be gone after it.
  void expand() {
    Frame& frame = frames.back();
    for (;;) {
      if (!spend(1)) return;
      CodeReader in(frame.code, frame.at);
      if (in.at_end()) return entry_done(true);
      const auto operation = static_cast<TemplateOp>(in.u8());
      switch (operation) {
        case TemplateOp::text:
          append(frame, in.text());
          if (frame.out.size() > kMaxTextBytes) return entry_done(false, "the text grew past " + std::to_string(kMaxTextBytes) + " bytes");
          break;
        case TemplateOp::field: {
          const int number = in.u8();
          frame.at = in.position();
          return substitute(field(frame, number));
        }
        case TemplateOp::fold: frame.fold = static_cast<char>(in.u8()); break;
        case TemplateOp::ldap: frame.ldap = true; break;
        case TemplateOp::control: frame.control = static_cast<char>(in.u8()); break;
        case TemplateOp::stop:
          frame.control = 'E';
          return entry_done(true);
        case TemplateOp::flag: frame.entry_flags.add(static_cast<char>(in.u8())); break;
        case TemplateOp::random: {
          const std::uint64_t bits = in.u64();
          double percent = 0;
          std::memcpy(&percent, &bits, sizeof percent);
          mapped.by_chance = true;
          const double drawn = static_cast<double>(base::random_u64() >> 11) * 0x1p-53 * 100;
          if (!(drawn < percent)) return entry_done(false, "chance of " + percent_text(percent) + " percent");
          break;
        }
        case TemplateOp::if_set:
        case TemplateOp::if_clear: {
          const char flag = static_cast<char>(in.u8());
          const bool set = frame.input.has(flag);
          if (set != (operation == TemplateOp::if_set)) return entry_done(false, std::string("input flag ") + flag + (set ? " is set" : " is clear"));
          break;
        }
        case TemplateOp::call: {
          const std::string name = argument(frame, in);
          std::string probe = argument(frame, in);
          frame.at = in.position();
          const Image::Table* table = image().find(name);
          if (table == nullptr) return entry_done(false, "no table " + name);
          if (frames.size() > static_cast<std::size_t>(kMaxNesting)) return entry_done(false, "tables call each other more than " + std::to_string(kMaxNesting) + " deep");
          frames.push(table, std::move(probe), {});
          return;
        }
        case TemplateOp::general: {
          const std::string key = argument(frame, in);
          frame.at = in.position();
          const auto value = image().general(key);
          if (!value) return entry_done(false, "no key " + key + " in the general table");
          return substitute(*value);
        }
        case TemplateOp::call_out:
          question = {};
          question.kind = Question::Kind::call_out;
          question.name = argument(frame, in);
          question.routine = argument(frame, in);
          question.argument = argument(frame, in);
          return ask(frame, in);
        case TemplateOp::url:
          question = {};
          question.kind = Question::Kind::url;
          question.argument = argument(frame, in, true);
          if (question.argument.size() > kMaxUrlBytes) return entry_done(false, "URL longer than " + std::to_string(kMaxUrlBytes) + " bytes");
          return ask(frame, in);
        case TemplateOp::sequence: {
          question = {};
          question.kind = Question::Kind::sequence;
          question.name = argument(frame, in);
          const std::string radix = argument(frame, in), width = argument(frame, in), modulus = argument(frame, in);
          const auto number = [](const std::string& text, std::uint64_t otherwise) {
            return text.empty() ? std::optional<std::uint64_t>(otherwise) : base::number_from<std::uint64_t>(text);
          };
          const auto r = number(radix, 10), w = number(width, 0), m = number(modulus, 0);
          if (!r || *r < 2 || *r > 36 || !w || *w > 256 || !m) return entry_done(false, "numbers of the sequence");
          question.radix = static_cast<unsigned>(*r);
          question.width = static_cast<unsigned>(*w);
          question.modulus = *m;
          return ask(frame, in);
        }
        case TemplateOp::attribute:
          question = {};
          question.kind = Question::Kind::attribute;
          question.name = argument(frame, in);
          question.routine = argument(frame, in);
          return ask(frame, in);
        default: return entry_done(false, "damaged template");
      }
      if (!in.good()) return entry_done(false, "damaged template");
      frame.at = in.position();
    }
  }

  void ask(Frame& frame, const CodeReader& in) {
    if (++questions > kMaxQuestions) return entry_done(false, "more than " + std::to_string(kMaxQuestions) + " questions to the outside");
    frame.at = in.position();
    asking = true;
  }

  void answer(std::optional<std::string> text, std::string_view reason) {
    if (!asking) return;
    asking = false;
    mapped.answers.push_back({std::move(question), text});
    if (text && text->size() <= kMaxTextBytes) substitute(*text);
    else entry_done(false, text ? "the answer from outside is too long" : std::string(reason));
  }
};

// Machines that rest: a server asks several tables for each connection, and to make one anew takes longer than most of its work.
// For each thread; one whose tables called each other deeply is not kept.
class Evaluation::Resting {
 public:
  static std::unique_ptr<Machine> take() {
    auto& machines = list();
    if (machines.empty()) return std::make_unique<Machine>();
    std::unique_ptr<Machine> machine = std::move(machines.back());
    machines.pop_back();
    return machine;
  }
  static void give_back(std::unique_ptr<Machine> machine) {
    constexpr std::size_t kMost = 8;
    if (machine && list().size() < kMost && machine->clear()) list().push_back(std::move(machine));
  }

 private:
  static std::vector<std::unique_ptr<Machine>>& list() {
    thread_local std::vector<std::unique_ptr<Machine>> machines;
    return machines;
  }
};

Evaluation::Evaluation(const Tables& tables, std::string_view table, std::string probe, Flags input, bool trace)
    : machine_(Resting::take()) {
  machine_->tables = tables;
  machine_->trace = trace;
  const Image::Table* found = tables.image_ ? tables.image_->find(table) : nullptr;
  if (found == nullptr || probe.size() > kMaxProbeBytes) {
    machine_->finished = true;
    machine_->mapped.step_limit_exceeded = found != nullptr;
    machine_->mapped.output = std::move(probe);
    return;
  }
  machine_->frames.push(found, std::move(probe), input);
}

Evaluation::Evaluation(Evaluation&&) noexcept = default;
Evaluation& Evaluation::operator=(Evaluation&& other) noexcept {
  std::swap(machine_, other.machine_);
  return *this;
}
Evaluation::~Evaluation() { Resting::give_back(std::move(machine_)); }

Evaluation::State Evaluation::run() { return machine_->run(); }
const Question& Evaluation::question() const { return machine_->question; }
void Evaluation::answer(std::optional<std::string> text, std::string_view reason) { machine_->answer(std::move(text), reason); }
const Mapped& Evaluation::result() const { return machine_->mapped; }
Mapped Evaluation::take_result() { return std::move(machine_->mapped); }

Mapped evaluate(const Tables& tables, std::string_view table, std::string probe, Flags input, bool trace) {
  Evaluation evaluation(tables, table, std::move(probe), input, trace);
  while (evaluation.run() == Evaluation::State::asks) evaluation.answer(std::nullopt);
  return evaluation.take_result();
}

}  // namespace postern::mapping
