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
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::mapping {

inline constexpr std::uint32_t kImageVersion = 1;

// One entry, as it stands in the compiled file and in the image.
struct EntryRecord {
  std::uint32_t line = 0;
  std::uint16_t file = 0;
  Key key;                      // the one that it is indexed under
  std::string_view pattern;     // code
  std::string_view expansion;   // code of the template
};
std::string encode_entry(const EntryRecord& entry);
// Views into `bytes`; nothing if they are malformed.
std::optional<EntryRecord> decode_entry(std::string_view bytes);

class ImageBuilder {
 public:
  void add_file(std::string_view path);
  // Tables get the numbers 0, 1, 2 … in the order of these calls.
  void add_table(std::string_view name, std::uint32_t line, std::uint16_t file);
  // In source order for each table. False if there is no such table or the record is malformed.
  bool add_entry(std::size_t table, std::string_view record);
  void add_general(std::string_view key, std::string_view value);
  // `targets` are joined by NUL.
  void add_alias(std::string_view name, std::string_view targets);
  // The finished image. Kind::permanent if it would be too large.
  Result<std::string> finish(std::uint64_t generation, std::int64_t built_microseconds);

 private:
  struct TableParts {
    std::string name;
    std::uint32_t line = 0;
    std::uint16_t file = 0;
    std::vector<std::uint64_t> offsets;
    std::vector<std::uint64_t> hashes;   // one an entry; meaningful unless it is in `always`
    std::vector<std::uint32_t> always;
    KeyShape shape;
  };
  struct Pair {
    std::string key, value;
  };
  void align(std::size_t to);
  void layout_index(TableParts& table, std::string& record);
  std::uint32_t layout_map(const std::vector<Pair>& pairs, std::uint32_t& slots);

  std::string bytes_;   // begins with room for the header
  std::vector<std::string> files_;
  std::vector<TableParts> tables_;
  std::vector<Pair> general_, aliases_;
};

class Image {
  struct Private {};

 public:
  explicit Image(Private) {}
  struct Table {
    std::string_view name;
    std::uint32_t line = 0, file = 0, entries = 0;
    KeyShape shape;
    std::uint32_t offsets_at = 0, slots = 0, slots_at = 0, postings = 0, postings_at = 0, always = 0, always_at = 0;
  };
  // A run of entry numbers in ascending order, somewhere in the image.
  struct Postings {
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
  [[nodiscard]] std::optional<EntryRecord> entry(const Table& table, std::uint32_t number) const;
  // The entries that stand under a key; none if nothing does.
  [[nodiscard]] Postings under(const Table& table, std::uint64_t hash) const;
  [[nodiscard]] std::uint32_t posting(std::uint32_t at, std::uint32_t index) const { return u32(std::uint64_t{at} + 4 * std::uint64_t{index}); }
  [[nodiscard]] std::optional<std::string_view> general(std::string_view key) const { return look_up(56, key); }
  [[nodiscard]] std::optional<std::string_view> alias(std::string_view name) const { return look_up(64, name); }

 private:
  Result<void> open();
  [[nodiscard]] std::string_view raw(std::uint64_t at, std::uint64_t length) const {
    return at <= bytes_.size() && length <= bytes_.size() - at ? bytes_.substr(at, length) : std::string_view();
  }
  [[nodiscard]] std::uint32_t u32(std::uint64_t at) const;
  [[nodiscard]] std::uint64_t u64(std::uint64_t at) const;
  [[nodiscard]] std::optional<std::string_view> look_up(std::uint64_t map_at, std::string_view key) const;

  std::string owned_;
  base::SharedMemory memory_;
  std::string_view bytes_;
  std::vector<Table> tables_;
};

}  // namespace postern::mapping
