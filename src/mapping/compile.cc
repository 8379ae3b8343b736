// SPDX-License-Identifier: Apache-2.0
#include "mapping/compile.h"

#include "base/clock.h"
#include "base/text.h"
#include "mapping/access_result.h"
#include "mapping/aliases.h"
#include "mapping/code.h"
#include "mapping/lint.h"
#include "mapping/loader.h"
#include "mapping/pattern.h"
#include "mapping/template.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <set>
#include <unordered_map>

namespace postern::mapping {
namespace {

constexpr std::size_t kMaxTables = 65535;
constexpr std::size_t kMaxValueBytes = std::size_t{64} << 10;
// Of a circle of aliases, so many names are shown.
constexpr std::size_t kCircleNames = 10;
// Templates as written, with what they say, are kept for so many different ones: most tables repeat a few.
constexpr std::size_t kMaxParsedTemplates = 1000;
// An entry whose rarest key stands for more entries than this is looked for by a window of its literals instead, if there are more
// such entries in the table than the second number: to read a short list costs less than to look at all windows of every probe.
constexpr std::uint32_t kCommonKey = 8;
constexpr std::size_t kFewEntries = 64;
// Of a run of records or templates, so many bytes go into one record of the compiled file: four fit in a page.
constexpr std::size_t kRunBytes = 3800;

// How often each key occurs in a table, roughly: one counter may stand for several keys. A wrong count costs a comparison, never an answer.
class KeyCounts {
 public:
  explicit KeyCounts(std::size_t entries) : counts_(std::min(kMaxCounters, std::bit_ceil(4 * entries + 1))) {}
  void add(const Key& key) {
    std::uint32_t& count = counts_[key.hash % counts_.size()];
    if (count != UINT32_MAX) ++count;
  }
  [[nodiscard]] std::uint32_t of(const Key& key) const { return counts_[key.hash % counts_.size()]; }

 private:
  static constexpr std::size_t kMaxCounters = std::size_t{1} << 22;
  std::vector<std::uint32_t> counts_;
};

std::string big_endian(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}

class Compiler final : public SourceHandler {
 public:
  explicit Compiler(const CompileInput& input)
      : input_(input), lint_([this](const char* code, std::uint16_t file, std::uint32_t line, std::string text) { message(code, file, line, std::move(text)); },
              input.throttles, input.access_orcpt, input.channels) {}

  Compilation run() {
    if (!input_.mappings.empty()) {
      read_mappings(input_.mappings, input_.read, *this);
      leave_table();
      if (input_.lint) lint_.finish();
    }
    if (!input_.general.empty()) general();
    if (!input_.aliases.empty()) aliases();
    return std::move(out_);
  }

  void file(std::uint16_t file, const std::string& path) override {
    if (out_.files.size() <= file) out_.files.resize(file + std::size_t{1});
    out_.files[file] = path;
  }

  void table(std::string_view name, std::uint16_t file, std::uint32_t line) override {
    leave_table();
    if (!names_.insert(base::lower(name)).second) {
      const auto first = std::find_if(out_.tables.begin(), out_.tables.end(), [&](const Compilation::Table& other) { return base::equal_ignoring_case(other.name, name); });
      message("E03", file, line, "table " + std::string(name) + " is there twice" +
                                     (first == out_.tables.end() ? "" : ": first in " + out_.files[first->file] + ":" + std::to_string(first->line)));
    }
    if (out_.tables.size() == kMaxTables) message("E10", file, line, "more than " + std::to_string(kMaxTables) + " tables");
    if (out_.tables.size() >= kMaxTables) out_.tables.pop_back();
    out_.tables.push_back({std::string(name), line, file, {}, 0});
    if (input_.lint) lint_.table(name, file, line);
  }

  void entry(std::string_view pattern_text, std::string_view template_text, std::uint16_t file, std::uint32_t line) override {
    const bool probes_have_channels = !out_.tables.empty() && access_table(out_.tables.back().name) != AccessTable::none;
    const Pattern pattern = parse_pattern(probes_have_channels ? with_present_channel_names(pattern_text) : std::string(pattern_text));
    report(pattern.findings, file, line);
    const Template& expansion = parsed_template(template_text, pattern.fields);
    // With a broken pattern the fields are not known, so what is said of them may be wrong.
    if (pattern.good()) report(expansion.findings, file, line);
    if (!pattern.good() || !expansion.good() || out_.tables.empty()) return;
    if (input_.lint) lint_.entry(pattern_text, pattern, expansion, file, line);
    EntryRecord entry;
    entry.number = static_cast<std::uint32_t>(out_.tables.back().entries);
    entry.line = line;
    entry.file = file;
    entry.pattern = pattern.code;
    entry.expansion = template_number(expansion.code);
    encode_entry(entry, out_.tables.back().records);
    ++out_.tables.back().entries;
  }

  void message(const char* code, std::uint16_t file, std::uint32_t line, std::string text) override {
    const std::string& path = file < out_.files.size() && !out_.files[file].empty() ? out_.files[file] : input_.mappings;
    add_message({code, path, static_cast<int>(line), std::move(text)});
  }

  void progress(std::uint64_t done_bytes, std::uint64_t all_bytes) override {
    if (input_.progress) input_.progress(done_bytes, all_bytes);
  }

 private:
  void add_message(Message message) {
    if (message.is_error()) ++out_.errors;
    if (message.is_warning()) ++out_.warnings;
    if (out_.messages.size() < kMaxMessages) out_.messages.push_back(std::move(message));
  }

  void report(const Findings& findings, std::uint16_t file, std::uint32_t line) {
    for (const Finding& finding : findings)
      if (finding.code[0] == 'E' || input_.lint) message(finding.code.c_str(), file, line, finding.text);
  }

  const Template& parsed_template(std::string_view text, int fields) {
    std::string name = std::to_string(fields) + " " + std::string(text);
    if (const auto known = parsed_.find(name); known != parsed_.end()) return known->second;
    if (parsed_.size() >= kMaxParsedTemplates) parsed_.clear();
    return parsed_.emplace(std::move(name), parse_template(text, fields)).first->second;
  }

  std::uint32_t template_number(const std::string& code) {
    const auto [place, is_new] = template_numbers_.emplace(code, static_cast<std::uint32_t>(out_.templates.size()));
    if (is_new) out_.templates.push_back(code);
    return place->second;
  }

  // Now that it is known how often each key occurs in the table, every entry gets the rarest of its own, and the rarest pairs of bytes.
  void leave_table() {
    if (out_.tables.empty()) return;
    Compilation::Table& table = out_.tables.back();
    const auto each = [&](const auto& take) {
      std::string_view run = table.records;
      for (std::size_t number = 0; auto entry = take_entry(run); ++number) take(number, *entry);
    };
    KeyCounts counts(table.entries);
    std::array<std::uint32_t, 256> pair_counts{};
    each([&](std::size_t, const EntryRecord& entry) {
      for (const Key& key : pattern_keys(entry.pattern)) counts.add(key);
      for (const PairClass pair : pattern_pairs(entry.pattern)) ++pair_counts[pair];
    });
    const auto rarest = [](const std::vector<Key>& keys, const KeyCounts& counted, Key& best) {
      std::uint32_t best_count = UINT32_MAX;
      for (const Key& key : keys) {
        const std::uint32_t count = counted.of(key);
        if (best.kind != KeyKind::none && (count > best_count || (count == best_count && key.kind >= best.kind))) continue;
        best = key;
        best_count = count;
      }
      return best_count;
    };
    std::size_t without = 0;
    KeyCounts windows(table.entries);
    std::vector<bool> common(table.entries);
    each([&](std::size_t number, const EntryRecord& entry) {
      Key best;
      if (rarest(pattern_keys(entry.pattern), counts, best) <= kCommonKey) return;
      common[number] = true;
      ++without;
      for (const Key& key : pattern_windows(entry.pattern)) windows.add(key);
    });
    std::vector<EntryRecord> chosen;
    chosen.reserve(table.entries);
    each([&](std::size_t number, EntryRecord& entry) {
      const std::uint32_t count = rarest(pattern_keys(entry.pattern), counts, entry.key);
      if (Key window; common[number] && without > kFewEntries && rarest(pattern_windows(entry.pattern), windows, window) < count) entry.key = window;
      std::vector<PairClass> pairs = pattern_pairs(entry.pattern);
      std::sort(pairs.begin(), pairs.end(), [&](PairClass a, PairClass b) { return pair_counts[a] != pair_counts[b] ? pair_counts[a] < pair_counts[b] : a < b; });
      pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
      for (std::size_t i = 0; i < std::min(pairs.size(), sizeof(Signature)); ++i) entry.signature |= Signature{pairs[i]} << (8 * i);
      chosen.push_back(entry);
    });
    // The order that the image wants: the loader then only copies.
    const auto by_hash = [](const EntryRecord& a, const EntryRecord& b) { return a.key.hash != b.key.hash ? a.key.hash < b.key.hash : a.number < b.number; };
    std::sort(chosen.begin(), chosen.end(), by_hash);
    for (std::size_t i = 0; i < chosen.size(); ++i)
      chosen[i].alone = chosen[i].key.kind != KeyKind::none && (i == 0 || chosen[i - 1].key.hash != chosen[i].key.hash) &&
                        (i + 1 == chosen.size() || chosen[i + 1].key.hash != chosen[i].key.hash);
    const auto first_alone = std::stable_partition(chosen.begin(), chosen.end(), [](const EntryRecord& entry) { return !entry.alone; });
    std::sort(chosen.begin(), first_alone, [](const EntryRecord& a, const EntryRecord& b) { return a.number < b.number; });
    std::string records;
    records.reserve(table.records.size());
    for (const EntryRecord& entry : chosen) encode_entry(entry, records);
    table.records = std::move(records);
  }

  // Calls `line` for each line that is no comment and not blank; lines that begin with a blank belong to the one before, if wanted.
  template <class Line>
  void text_lines(const std::string& path, std::string_view comments, bool continued_by_blank, const Line& take) {
    auto content = input_.read(path);
    if (!content) return add_message({"E11", path, 0, "cannot read: " + content.error().what});
    std::string_view text = *content;
    std::string pending;
    int number = 0, first = 0;
    const auto flush = [&] {
      if (first != 0) take(std::string_view(pending), first);
      first = 0;
    };
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      std::string_view line = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      ++number;
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.find('\0') != std::string_view::npos) {
        add_message({"E16", path, number, "NUL byte in the line"});
        continue;
      }
      if (base::trim(line).empty() || comments.find(line[0]) != std::string_view::npos) continue;
      if (continued_by_blank && first != 0 && (line[0] == ' ' || line[0] == '\t')) {
        pending += line;
        continue;
      }
      flush();
      pending = line;
      first = number;
    }
    flush();
  }

  void general() {
    text_lines(input_.general, "!", false, [&](std::string_view line, int number) {
      const std::size_t blank = line.find_first_of(" \t");
      const std::string key = base::lower(line.substr(0, blank));
      const std::string_view value = blank == std::string_view::npos ? std::string_view() : base::trim(line.substr(blank));
      if (key.empty()) return add_message({"E16", input_.general, number, "the line begins with a blank: a key begins in column 1"});
      if (key.size() > kMaxPatternText || value.size() > kMaxTemplateText) return add_message({"E10", input_.general, number, "key or value is too long"});
      if (!out_.general.emplace(key, value).second) add_message({"E16", input_.general, number, "key " + key + " is there twice"});
    });
  }

  void aliases() {
    std::map<std::string_view, int> lines;
    text_lines(input_.aliases, "!#", true, [&](std::string_view line, int number) {
      const auto wrong = [&](std::string text) { add_message({"E16", input_.aliases, number, std::move(text)}); };
      // The first colon or comma outside quotes counts.
      const auto find = [&](char wanted, std::size_t from) {
        bool quoted = false;
        for (std::size_t i = from; i < line.size(); ++i) {
          if (line[i] == '\\' && quoted) ++i;
          else if (line[i] == '"') quoted = !quoted;
          else if (line[i] == wanted && !quoted) return i;
        }
        return std::string_view::npos;
      };
      const std::size_t colon = find(':', 0);
      if (colon == std::string_view::npos) return wrong("no colon after the name");
      const std::string name = base::lower(base::trim(line.substr(0, colon)));
      if (name.empty() || name.size() > 320) return wrong("no name, or a very long one, before the colon");
      std::string targets;
      for (std::size_t start = colon + 1; start <= line.size();) {
        const std::size_t comma = std::min(find(',', start), line.size());
        const std::string_view target = base::trim(line.substr(start, comma - start));
        start = comma + 1;
        if (target.empty()) {
          if (comma < line.size()) return wrong("empty target");
          break;
        }
        if (const auto reason = wrong_in_target(target)) return wrong("target " + base::printable(target) + ": " + *reason);
        if (!targets.empty()) targets += '\0';
        targets += target;
      }
      if (targets.empty()) return wrong("no target after the colon");
      if (targets.size() > kMaxValueBytes) return wrong("more than 64 KiB of targets");
      const auto [alias, is_new] = out_.aliases.emplace(name, targets);
      if (!is_new) return wrong("alias " + name + " is there twice");
      lines[alias->first] = number;
    });
    if (!input_.lint) return;
    for (std::vector<std::string_view>& circle : alias_circles(out_.aliases)) {
      const auto first = std::min_element(circle.begin(), circle.end(), [&](std::string_view a, std::string_view b) { return lines[a] < lines[b]; });
      std::rotate(circle.begin(), first, circle.end());
      std::string names;
      for (std::size_t i = 0; i < std::min(circle.size(), kCircleNames); ++i) names += std::string(circle[i]) + ", ";
      if (circle.size() > kCircleNames) names += "…, ";
      add_message({"W17", input_.aliases, lines[circle.front()], "aliases lead in a circle: " + names + std::string(circle.front())});
    }
  }

  const CompileInput& input_;
  Compilation out_;
  Lint lint_;
  std::set<std::string> names_;
  std::unordered_map<std::string, Template> parsed_;
  std::unordered_map<std::string, std::uint32_t> template_numbers_;
};

}  // namespace

std::string Message::to_string() const {
  const char* kind = is_error() ? "error" : is_warning() ? "warning" : "note";
  std::string out = file;
  if (line != 0) out += ":" + std::to_string(line);
  return out + ": " + kind + " " + code + ": " + text;
}

std::size_t Compilation::entries() const {
  std::size_t count = 0;
  for (const Table& table : tables) count += table.entries;
  return count;
}

Compilation compile(const CompileInput& input) { return Compiler(input).run(); }

Result<std::string> lay_out(const Compilation& compilation, std::uint64_t generation, std::int64_t built_microseconds) {
  ImageBuilder builder;
  for (const std::string& file : compilation.files) builder.add_file(file);
  for (const std::string& code : compilation.templates) builder.add_template(code);
  for (std::size_t number = 0; number < compilation.tables.size(); ++number) {
    const Compilation::Table& table = compilation.tables[number];
    builder.add_table(table.name, table.line, table.file);
    builder.add_entries(number, table.records);
  }
  for (const auto& [key, value] : compilation.general) builder.add_general(key, value);
  for (const auto& [name, targets] : compilation.aliases) builder.add_alias(name, targets);
  return builder.finish(generation, built_microseconds);
}

// Records, in the order of their keys: A<name> alias, F<number> file, G<key> general table, T<number> table, X<number> templates from
// that number on, e<table><number> entries of a table from that number on.
Result<keyfile::CompiledHeader> write_tables(const Compilation& compilation, int directory, const std::string& name, mode_t mode,
                                             std::uint64_t generation, bool replace) {
  POSTERN_ASSERT(compilation.good());
  auto alias = compilation.aliases.begin();
  auto general = compilation.general.begin();
  std::size_t file = 0, table = 0, expansion = 0, entry_table = 0, entry = 0;
  std::string_view run = compilation.tables.empty() ? std::string_view() : compilation.tables[0].records;
  std::string key_buffer, value_buffer;
  const auto next = [&](std::string_view& key, std::string_view& value) {
    if (alias != compilation.aliases.end()) {
      key_buffer = "A" + alias->first;
      value = alias->second;
      ++alias;
    } else if (file < compilation.files.size()) {
      key_buffer = "F" + big_endian(file, 2);
      value = compilation.files[file];
      ++file;
    } else if (general != compilation.general.end()) {
      key_buffer = "G" + general->first;
      value = general->second;
      ++general;
    } else if (table < compilation.tables.size()) {
      key_buffer = "T" + big_endian(table, 2);
      CodeWriter record;
      record.u32(compilation.tables[table].line);
      record.u16(compilation.tables[table].file);
      record.text(compilation.tables[table].name);
      value_buffer = record.take();
      value = value_buffer;
      ++table;
    } else if (expansion < compilation.templates.size()) {
      key_buffer = "X" + big_endian(expansion, 4);
      CodeWriter record;
      do record.text(compilation.templates[expansion++]);
      while (expansion < compilation.templates.size() && record.bytes().size() < kRunBytes);
      value_buffer = record.take();
      value = value_buffer;
    } else {
      while (run.empty()) {
        if (++entry_table >= compilation.tables.size()) return false;
        run = compilation.tables[entry_table].records;
        entry = 0;
      }
      key_buffer = "e" + big_endian(entry_table, 2) + big_endian(entry, 4);
      std::string_view rest = run;
      do {
        take_entry(rest);
        ++entry;
      } while (!rest.empty() && run.size() - rest.size() < kRunBytes);
      value = run.substr(0, run.size() - rest.size());
      run = rest;
    }
    key = key_buffer;
    return true;
  };
  return keyfile::write_compiled(directory, name, mode, {generation, base::to_microseconds(base::wall_now()), 0}, replace, next);
}

Result<std::string> image_of_compiled(int compiled_file) {
  ImageBuilder builder;
  // An image is about as large as its file: shorter entries, and an index.
  if (struct stat status {}; ::fstat(compiled_file, &status) == 0) builder.expect(static_cast<std::uint64_t>(status.st_size) * 5 / 4);
  bool good = true;
  auto header = keyfile::read_compiled(compiled_file, [&](std::string_view key, std::string_view value) {
    const std::string_view rest = key.substr(1);
    switch (key[0]) {
      case 'A': builder.add_alias(rest, value); break;
      case 'F': builder.add_file(value); break;
      case 'G': builder.add_general(rest, value); break;
      case 'T': {
        CodeReader in(value);
        const std::uint32_t line = in.u32();
        const std::uint16_t file = in.u16();
        builder.add_table(in.text(), line, file);
        good = in.good();
        break;
      }
      case 'X':
        for (CodeReader in(value); good && !in.at_end();) {
          const std::string_view code = in.text();
          good = in.good() && builder.add_template(code);
        }
        break;
      case 'e':
        good = rest.size() == 6 &&
               builder.add_entries(std::size_t{static_cast<unsigned char>(rest[0])} << 8 | static_cast<unsigned char>(rest[1]), value);
        break;
      default: good = false;
    }
    return good;
  });
  if (!header) return header.error();
  if (!good) return Error{Kind::corrupt, "compiled tables: a record that makes no sense"};
  return builder.finish(header->generation, header->built_microseconds);
}

Result<base::Descriptor> load(int compiled_file) {
  auto image = image_of_compiled(compiled_file);
  if (!image) return image.error();
  return base::sealed_memory_file("postern-tables", *image);
}

}  // namespace postern::mapping
