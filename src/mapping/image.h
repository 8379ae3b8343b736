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

inline constexpr std::uint32_t kImageVersion = 2;

// One entry, as it stands in the compiled file. Templates are stored once each, and named by number.
struct EntryRecord {
  std::uint32_t line = 0;
  std::uint16_t file = 0;
  Key key;                      // the one that it is indexed under
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
  // A run of records, in source order for each table, after all templates. False if there is no such table or template, or a
  // record is malformed.
  bool add_entries(std::size_t table, std::string_view records);
  void add_general(std::string_view key, std::string_view value);
  // `targets` are joined by NUL.
  void add_alias(std::string_view name, std::string_view targets);
  // The finished image. Kind::permanent if it would be too large.
  Result<std::string> finish(std::uint64_t generation, std::int64_t built_microseconds);

 private:
  struct Item {
    std::uint64_t hash;
    std::uint32_t at;        // of the entry
    Signature signature;
  };
  struct TableParts {
    std::string name;
    std::uint32_t line = 0;
    std::uint16_t file = 0;
    std::uint32_t entries = 0, entries_at = 0;
    std::vector<Item> keyed, always;
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
    std::uint32_t slots = 0, slots_at = 0, filter_bits = 0, filter_at = 0, always = 0;
  };
  struct Entry {
    std::uint32_t line = 0;
    std::uint16_t file = 0;
    std::string_view pattern, expansion;  // code
  };
  // Where an entry stands. Places of a table's entries are in source order.
  using Place = std::uint32_t;
  // What stands under a key: nothing (0), an entry, or a list of entries.
  using Found = std::uint32_t;
  static constexpr Found kIsList = 1;
  // A list in ascending order of place.
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
  // Where the entry behind this one stands, if there is one; all entries of a table stand in a row.
  [[nodiscard]] Place behind(Place place) const;
  // False: nothing stands under the key. Reads a bit of a small array, so that most keys of a probe cost no more than that.
  [[nodiscard]] bool may_have(const Table& table, std::uint64_t hash) const;
  // Tells the processor what will be read next.
  void expect(const Table& table, std::uint64_t hash) const;
  void expect(Place place) const;
  [[nodiscard]] Found under(const Table& table, std::uint64_t hash) const;
  [[nodiscard]] List list(Found found) const;
  [[nodiscard]] Place place(const List& list, std::uint32_t index) const { return u32(std::uint64_t{list.at} + 8 * std::uint64_t{index}); }
  [[nodiscard]] Signature signature(const List& list, std::uint32_t index) const { return u32(std::uint64_t{list.at} + 8 * std::uint64_t{index} + 4); }
  [[nodiscard]] std::optional<std::string_view> general(std::string_view key) const { return look_up(56, key); }
  [[nodiscard]] std::optional<std::string_view> alias(std::string_view name) const { return look_up(64, name); }

 private:
  Result<void> open();
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
