// SPDX-License-Identifier: Apache-2.0
#pragma once
// The flat image: everything that a probe needs, laid out once, mapped read-only by every child (doc/design/tables.md has the layout).
//
// ImageBuilder lays it out; Image reads it. Image checks each offset before it follows it, so damage gives wrong answers at worst.
// Limit: 4 GiB.
#include "base/descriptor.h"
#include "base/shared_memory.h"
#include "mapping/keys.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::mapping {

inline constexpr std::uint32_t kImageVersion = 3;

// One entry, as it stands in the compiled file. Templates are stored once each, and named by number.
struct EntryRecord {
  std::uint32_t number = 0;     // of the entry in its table, in source order, from 0
  std::uint32_t line = 0;
  std::uint16_t file = 0;
  Key key;                      // the one that it is indexed under
  bool alone = false;           // no other entry of the table stands under that key
  Signature signature = 0;
  std::uint32_t expansion = 0;
  std::string_view pattern;     // code
};
// Appends a record to a run of them.
void encode_entry(const EntryRecord& entry, std::string& out);
// Takes the record at the start of a run, as a view into it; nothing at the end of the run or if it is malformed.
std::optional<EntryRecord> take_entry(std::string_view& run);

class ImageBuilder {
 public:
  // What will be added has about so many bytes; saves copying.
  void expect(std::uint64_t bytes);
  void add_file(std::string_view path);
  // Tables get the numbers 0, 1, 2 … in the order of these calls, and so do templates.
  void add_table(std::string_view name, std::uint32_t line, std::uint16_t file);
  // False if the code is too long.
  bool add_template(std::string_view code);
  // A run of records, after all templates; of each table first those that do not stand alone, in source order, then those that do, by
  // the hash of their keys. False if there is no such table or template, if the order is wrong or a record is malformed.
  bool add_entries(std::size_t table, std::string_view records);
  void add_general(std::string_view key, std::string_view value);
  // `targets` are joined by NUL.
  void add_alias(std::string_view name, std::string_view targets);
  // The finished image. Kind::permanent if it would be too large.
  Result<std::string> finish(std::uint64_t generation, std::int64_t built_microseconds);

 private:
  struct Item {
    std::uint64_t hash;
    std::uint32_t number;
    std::uint32_t at;        // of the entry
    Signature signature;
  };
  struct Alone {
    std::uint64_t hash;
    std::uint32_t at;
  };
  struct TableParts {
    std::string name;
    std::uint32_t line = 0;
    std::uint16_t file = 0;
    std::uint32_t entries = 0, entries_at = 0;
    std::vector<Item> shared, always;  // entries that have their key in common with others, that have none
    std::vector<Alone> alone;
    std::uint32_t end = 0;             // behind the last of `alone`
    KeyShape shape;
  };
  struct Pair {
    std::string key, value;
  };
  void align(std::size_t to);
  std::uint32_t place(const void* data, std::size_t size, std::size_t alignment);
  void layout_index(TableParts& table, std::string& record);
  std::uint32_t layout_map(const std::vector<Pair>& pairs, std::uint32_t& slots);

  std::string bytes_;   // begins with room for the header
  std::vector<std::string> files_;
  std::vector<TableParts> tables_;
  std::vector<std::uint32_t> templates_;  // where each stands
  std::vector<Pair> general_, aliases_;
};

class Image {
  struct Private {};

 public:
  explicit Image(Private) {}
  struct Table {
    std::string_view name;
    std::uint32_t line = 0, file = 0, entries = 0, entries_at = 0;
    KeyShape shape;
    std::uint32_t slots = 0, slots_at = 0, filter_bits = 0, filter_at = 0, always = 0, places_bits = 0, places_at = 0;
  };
  struct Entry {
    std::uint32_t number = 0;
    std::uint32_t line = 0;
    std::uint16_t file = 0;
    std::string_view pattern, expansion;  // code
  };
  using Place = std::uint32_t;
  // An entry that may match. They compare as their entries follow each other in the source.
  struct Candidate {
    std::uint32_t number = 0;
    Place place = 0;
    friend auto operator<=>(const Candidate&, const Candidate&) = default;
  };
  // Several of them, ascending.
  struct List {
    std::uint32_t at = 0, count = 0;
  };

  static Result<std::shared_ptr<const Image>> own(std::string bytes);
  static Result<std::shared_ptr<const Image>> map(base::SharedMemory memory);

  [[nodiscard]] std::uint64_t generation() const { return u64(24); }
  [[nodiscard]] std::int64_t built_microseconds() const { return static_cast<std::int64_t>(u64(32)); }
  [[nodiscard]] const std::vector<Table>& tables() const { return tables_; }
  // By name, any case; null if there is none.
  [[nodiscard]] const Table* find(std::string_view name) const;
  [[nodiscard]] std::string_view file(std::uint32_t number) const;
  [[nodiscard]] std::optional<Entry> entry(Place place) const;
  // The places of all entries of a table, in source order. Reads them all.
  [[nodiscard]] std::vector<Place> places(const Table& table) const;
  // False: nothing stands under the key. Reads a bit of a small array, so that most keys of a probe cost no more than that.
  [[nodiscard]] bool may_have(const Table& table, std::uint64_t hash) const;
  // Tell the processor what will be read next for a key: first where its entries stand, then these.
  void expect(const Table& table, std::uint64_t hash) const;
  void expect_entries(const Table& table, std::uint64_t hash) const;
  // Calls take(Candidate) for entries that stand alone under this key (or, rarely, under one that looks like it).
  template <class Take>
  void alone_under(const Table& table, std::uint64_t hash, const Take& take) const {
    if (table.places_bits == 0) return;
    const std::uint64_t slot = hash >> (64 - table.places_bits);
    std::uint64_t at = u32(table.places_at + 4 * slot);
    const std::uint64_t end = u32(table.places_at + 4 * slot + 4);
    while (at < end && end <= bytes_.size() && end - at >= kEntryHeadBytes) {
      if (u32(at) == tag_of(hash)) take(Candidate{u32(at + 4), static_cast<Place>(at)});
      at = (at + kEntryHeadBytes + number<std::uint16_t>(at + 18) + 3) & ~std::uint64_t{3};
    }
  }
  // The entries that share this key.
  [[nodiscard]] List shared_under(const Table& table, std::uint64_t hash) const;
  // Those that have no key.
  [[nodiscard]] List always(const Table& table) const { return table.always == 0 ? List() : list(table.always); }
  [[nodiscard]] Candidate candidate(const List& list, std::uint32_t index) const {
    const std::uint64_t at = std::uint64_t{list.at} + kListItemBytes * std::uint64_t{index};
    return {u32(at), u32(at + 4)};
  }
  [[nodiscard]] Signature signature(const List& list, std::uint32_t index) const { return u32(std::uint64_t{list.at} + kListItemBytes * std::uint64_t{index} + 8); }
  [[nodiscard]] std::optional<std::string_view> general(std::string_view key) const { return look_up(56, key); }
  [[nodiscard]] std::optional<std::string_view> alias(std::string_view name) const { return look_up(64, name); }

 private:
  // Of an entry, in front of its pattern: tag, number, line, place of the template (4 each), file, length of the pattern (2 each).
  static constexpr std::size_t kEntryHeadBytes = 20;
  // Number, place, signature.
  static constexpr std::size_t kListItemBytes = 12;
  friend class ImageBuilder;
  // What is compared of a key; where it is looked for comes from the other half.
  static std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash); }
  Result<void> open();
  [[nodiscard]] List list(std::uint32_t at) const;
  [[nodiscard]] std::string_view raw(std::uint64_t at, std::uint64_t length) const {
    return at <= bytes_.size() && length <= bytes_.size() - at ? bytes_.substr(at, length) : std::string_view();
  }
  template <class Number>
  [[nodiscard]] Number number(std::uint64_t at) const {
    Number value = 0;
    if (at <= bytes_.size() && sizeof value <= bytes_.size() - at) std::memcpy(&value, bytes_.data() + at, sizeof value);
    return value;
  }
  [[nodiscard]] std::uint32_t u32(std::uint64_t at) const { return number<std::uint32_t>(at); }
  [[nodiscard]] std::uint64_t u64(std::uint64_t at) const { return number<std::uint64_t>(at); }
  [[nodiscard]] std::optional<std::string_view> look_up(std::uint64_t map_at, std::string_view key) const;

  std::string owned_;
  base::SharedMemory memory_;
  std::string_view bytes_;
  std::vector<Table> tables_;
};

}  // namespace postern::mapping
