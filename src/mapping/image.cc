// SPDX-License-Identifier: Apache-2.0
#include "mapping/image.h"

#include "base/text.h"
#include "mapping/code.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace postern::mapping {
namespace {

static_assert(std::endian::native == std::endian::little, "the image is read with plain loads");

constexpr char kMagic[8] = {'P', 'o', 's', 't', 'e', 'r', 'n', 'I'};
constexpr std::size_t kHeaderBytes = 128;
constexpr std::size_t kTableBytes = 96;
constexpr std::size_t kSlotBytes = 16;
constexpr std::uint64_t kMaxImageBytes = 0xffff'ff00u;

void append_u32(std::string& out, std::uint64_t value) {
  const auto narrow = static_cast<std::uint32_t>(value);
  out.append(reinterpret_cast<const char*>(&narrow), sizeof narrow);
}

void append_u64(std::string& out, std::uint64_t value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); }

// Slots of an open table for so many keys: a power of two, at most three quarters full.
std::uint32_t slots_for(std::size_t keys) { return keys == 0 ? 0 : static_cast<std::uint32_t>(std::bit_ceil(keys + keys / 3 + 1)); }

int compare_ignoring_case(std::string_view a, std::string_view b) {
  const std::size_t common = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < common; ++i) {
    const auto x = static_cast<unsigned char>(base::ascii_lower(a[i])), y = static_cast<unsigned char>(base::ascii_lower(b[i]));
    if (x != y) return x < y ? -1 : 1;
  }
  return a.size() == b.size() ? 0 : a.size() < b.size() ? -1 : 1;
}

}  // namespace

std::string encode_entry(const EntryRecord& entry) {
  CodeWriter out;
  out.u32(entry.line);
  out.u16(entry.file);
  out.u8(static_cast<std::uint8_t>(entry.key.kind));
  out.u16(entry.key.parameter);
  out.u64(entry.key.hash);
  out.text(entry.pattern);
  out.text(entry.expansion);
  return out.take();
}

std::optional<EntryRecord> decode_entry(std::string_view bytes) {
  CodeReader in(bytes);
  EntryRecord entry;
  entry.line = in.u32();
  entry.file = in.u16();
  const std::uint8_t kind = in.u8();
  entry.key.parameter = in.u16();
  entry.key.hash = in.u64();
  entry.pattern = in.text();
  entry.expansion = in.text();
  if (!in.good() || kind >= kKeyKinds) return std::nullopt;
  entry.key.kind = static_cast<KeyKind>(kind);
  return entry;
}

void ImageBuilder::add_file(std::string_view path) { files_.emplace_back(path); }

void ImageBuilder::add_table(std::string_view name, std::uint32_t line, std::uint16_t file) {
  tables_.push_back({std::string(name), line, file, {}, {}, {}, {}});
}

bool ImageBuilder::add_entry(std::size_t table, std::string_view record) {
  const auto entry = decode_entry(record);
  if (!entry || table >= tables_.size()) return false;
  if (bytes_.empty()) bytes_.resize(kHeaderBytes);
  TableParts& parts = tables_[table];
  const auto number = static_cast<std::uint32_t>(parts.offsets.size());
  parts.offsets.push_back(bytes_.size());
  parts.hashes.push_back(entry->key.hash);
  bytes_ += record;
  if (entry->key.kind == KeyKind::none) parts.always.push_back(number);
  else parts.shape.add(entry->key);
  return true;
}

void ImageBuilder::add_general(std::string_view key, std::string_view value) { general_.push_back({std::string(key), std::string(value)}); }

void ImageBuilder::add_alias(std::string_view name, std::string_view targets) { aliases_.push_back({std::string(name), std::string(targets)}); }

void ImageBuilder::align(std::size_t to) { bytes_.resize((bytes_.size() + to - 1) / to * to); }

// Appends the index of a table to the image, and the table's description to `record`.
void ImageBuilder::layout_index(TableParts& table, std::string& record) {
  struct Slot {
    std::uint64_t hash;
    std::uint32_t start, count;
  };
  static_assert(sizeof(Slot) == kSlotBytes);
  const std::uint32_t slots = slots_for(table.hashes.size() - table.always.size());
  const std::uint64_t mask = slots == 0 ? 0 : slots - 1;
  std::vector<Slot> table_slots(slots);
  std::vector<std::uint32_t> slot_of(table.hashes.size());
  std::size_t next_always = 0;
  const auto skip = [&](std::uint32_t number) {
    if (next_always == table.always.size() || table.always[next_always] != number) return false;
    ++next_always;
    return true;
  };
  // First how many entries a key has, then where they begin, then their numbers, which come out ascending.
  for (std::uint32_t number = 0; number < table.hashes.size(); ++number) {
    if (skip(number)) continue;
    const std::uint64_t hash = table.hashes[number];
    std::uint64_t at = hash & mask;
    while (table_slots[at].count != 0 && table_slots[at].hash != hash) at = (at + 1) & mask;
    table_slots[at].hash = hash;
    ++table_slots[at].count;
    slot_of[number] = static_cast<std::uint32_t>(at);
  }
  std::uint32_t start = 0;
  for (Slot& slot : table_slots) {
    slot.start = start;
    start += slot.count;
  }
  std::vector<std::uint32_t> postings(start);
  next_always = 0;
  for (std::uint32_t number = 0; number < table.hashes.size(); ++number)
    if (!skip(number)) postings[table_slots[slot_of[number]].start++] = number;
  for (Slot& slot : table_slots) slot.start -= slot.count;

  const auto place = [&](const void* data, std::size_t size, std::size_t alignment) {
    align(alignment);
    const std::size_t at = bytes_.size();
    bytes_.append(static_cast<const char*>(data), size);
    return at;
  };
  const std::size_t name_at = place(table.name.data(), table.name.size(), 1);
  align(4);
  const std::size_t offsets_at = bytes_.size();
  bytes_.reserve(bytes_.size() + 4 * table.offsets.size() + kSlotBytes * table_slots.size() + 4 * postings.size() + 4096);
  for (const std::uint64_t offset : table.offsets) append_u32(bytes_, offset);
  append_u32(record, name_at);
  append_u32(record, table.name.size());
  append_u32(record, table.line);
  append_u32(record, table.file);
  append_u32(record, table.offsets.size());
  append_u32(record, offsets_at);
  append_u32(record, table.shape.kinds);
  append_u32(record, table.shape.prefix_lengths.size());
  append_u32(record, place(table.shape.prefix_lengths.data(), 2 * table.shape.prefix_lengths.size(), 4));
  append_u32(record, table.shape.suffix_lengths.size());
  append_u32(record, place(table.shape.suffix_lengths.data(), 2 * table.shape.suffix_lengths.size(), 4));
  append_u64(record, table.shape.block4_bits);
  append_u32(record, table.shape.block6_bits.size());
  append_u32(record, place(table.shape.block6_bits.data(), table.shape.block6_bits.size(), 4));
  append_u32(record, slots);
  append_u32(record, place(table_slots.data(), kSlotBytes * table_slots.size(), 16));
  append_u32(record, postings.size());
  append_u32(record, place(postings.data(), 4 * postings.size(), 4));
  append_u32(record, table.always.size());
  append_u32(record, place(table.always.data(), 4 * table.always.size(), 4));
}

// A map of names: slots of offsets (0: empty), each to {u16 key, u32 value}. Of two equal keys the first one holds.
std::uint32_t ImageBuilder::layout_map(const std::vector<Pair>& pairs, std::uint32_t& slots) {
  slots = slots_for(pairs.size());
  std::vector<std::uint32_t> table(slots);
  for (const Pair& pair : pairs) {
    if (pair.key.size() > 0xffff) continue;
    std::uint64_t at = name_hash(pair.key) & (slots - 1);
    while (table[at] != 0) at = (at + 1) & (slots - 1);
    table[at] = static_cast<std::uint32_t>(bytes_.size());
    CodeWriter record;
    record.text(pair.key);
    record.u32(static_cast<std::uint32_t>(pair.value.size()));
    bytes_ += record.bytes();
    bytes_ += pair.value;
  }
  align(4);
  const auto at = static_cast<std::uint32_t>(bytes_.size());
  bytes_.append(reinterpret_cast<const char*>(table.data()), 4 * table.size());
  return at;
}

Result<std::string> ImageBuilder::finish(std::uint64_t generation, std::int64_t built_microseconds) {
  if (bytes_.empty()) bytes_.resize(kHeaderBytes);
  std::string header(kMagic, sizeof kMagic);
  append_u32(header, kImageVersion);
  append_u32(header, kHeaderBytes);
  append_u64(header, 0);  // size, below
  append_u64(header, generation);
  append_u64(header, static_cast<std::uint64_t>(built_microseconds));

  std::string records;
  for (const std::string& file : files_) {
    append_u32(records, bytes_.size());
    append_u32(records, file.size());
    bytes_ += file;
  }
  align(4);
  append_u32(header, files_.size());
  append_u32(header, bytes_.size());
  bytes_ += records;

  records.clear();
  std::sort(tables_.begin(), tables_.end(), [](const TableParts& a, const TableParts& b) { return compare_ignoring_case(a.name, b.name) < 0; });
  for (TableParts& table : tables_) {
    const std::size_t start = records.size();
    layout_index(table, records);
    records.resize(start + kTableBytes);
    if (bytes_.size() > kMaxImageBytes) break;
  }
  align(16);
  append_u32(header, tables_.size());
  append_u32(header, bytes_.size());
  bytes_ += records;

  for (const std::vector<Pair>* pairs : {&general_, &aliases_}) {
    std::uint32_t slots = 0;
    const std::uint32_t at = bytes_.size() > kMaxImageBytes ? 0 : layout_map(*pairs, slots);
    append_u32(header, slots);
    append_u32(header, at);
  }
  if (bytes_.size() > kMaxImageBytes) return Error{Kind::permanent, "tables of " + std::to_string(bytes_.size()) + " bytes: the limit is 4 GiB"};
  const std::uint64_t size = bytes_.size();
  std::memcpy(header.data() + 16, &size, sizeof size);
  std::copy(header.begin(), header.end(), bytes_.begin());
  return std::move(bytes_);
}

std::uint32_t Image::u32(std::uint64_t at) const {
  std::uint32_t value = 0;
  if (const std::string_view bytes = raw(at, sizeof value); !bytes.empty()) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::uint64_t Image::u64(std::uint64_t at) const {
  std::uint64_t value = 0;
  if (const std::string_view bytes = raw(at, sizeof value); !bytes.empty()) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

Result<std::shared_ptr<const Image>> Image::own(std::string bytes) {
  const auto image = std::make_shared<Image>(Private());
  image->owned_ = std::move(bytes);
  image->bytes_ = image->owned_;
  if (auto opened = image->open(); !opened) return opened.error();
  return std::shared_ptr<const Image>(image);
}

Result<std::shared_ptr<const Image>> Image::map(base::SharedMemory memory) {
  const auto image = std::make_shared<Image>(Private());
  image->memory_ = std::move(memory);
  image->bytes_ = {reinterpret_cast<const char*>(image->memory_.data()), image->memory_.size()};
  if (auto opened = image->open(); !opened) return opened.error();
  return std::shared_ptr<const Image>(image);
}

Result<void> Image::open() {
  const auto corrupt = [](const char* what) { return Error{Kind::corrupt, std::string("tables image: ") + what}; };
  if (bytes_.size() < kHeaderBytes || std::memcmp(bytes_.data(), kMagic, sizeof kMagic) != 0) return corrupt("not one");
  if (u32(8) != kImageVersion) return Error{Kind::invalid, "tables image: another version"};
  if (u32(12) != kHeaderBytes || u64(16) != bytes_.size()) return corrupt("length is wrong");
  const std::uint64_t count = u32(48), at = u32(52);
  if (raw(at, count * kTableBytes).size() != count * kTableBytes) return corrupt("list of tables runs past the end");
  for (std::uint64_t number = 0; number < count; ++number) {
    const std::uint64_t record = at + number * kTableBytes;
    const auto field = [&](unsigned index) { return u32(record + std::uint64_t{4} * index); };
    Table table;
    const auto within = [&](std::uint64_t place, std::uint64_t bytes) { return raw(place, bytes).size() == bytes; };
    table.name = raw(field(0), field(1));
    table.line = field(2);
    table.file = field(3);
    table.entries = field(4);
    table.offsets_at = field(5);
    table.shape.kinds = field(6);
    const std::uint32_t prefixes = field(7), suffixes = field(9), blocks = field(13);
    table.shape.block4_bits = u64(record + 44);
    table.slots = field(15);
    table.slots_at = field(16);
    table.postings = field(17);
    table.postings_at = field(18);
    table.always = field(19);
    table.always_at = field(20);
    if (table.name.empty() || !within(table.offsets_at, std::uint64_t{4} * table.entries) || prefixes > 4096 || suffixes > 4096 || blocks > 256 ||
        !within(field(8), std::uint64_t{2} * prefixes) || !within(field(10), std::uint64_t{2} * suffixes) || !within(field(14), blocks) ||
        !within(table.slots_at, std::uint64_t{kSlotBytes} * table.slots) || (table.slots != 0 && !std::has_single_bit(table.slots)) ||
        !within(table.postings_at, std::uint64_t{4} * table.postings) || !within(table.always_at, std::uint64_t{4} * table.always))
      return corrupt("a table runs past the end");
    const auto lengths = [&](std::uint32_t place, std::uint32_t how_many, std::vector<std::uint16_t>& out) {
      for (std::uint32_t i = 0; i < how_many; ++i) {
        const std::string_view two = raw(std::uint64_t{place} + 2 * std::uint64_t{i}, 2);
        std::uint16_t value = 0;
        std::memcpy(&value, two.data(), sizeof value);
        if (!out.empty() && value <= out.back()) return false;
        out.push_back(value);
      }
      return true;
    };
    if (!lengths(field(8), prefixes, table.shape.prefix_lengths) || !lengths(field(10), suffixes, table.shape.suffix_lengths))
      return corrupt("key lengths are not in order");
    for (const char c : raw(field(14), blocks)) table.shape.block6_bits.push_back(static_cast<std::uint8_t>(c));
    tables_.push_back(std::move(table));
  }
  return {};
}

const Image::Table* Image::find(std::string_view name) const {
  const auto place = std::lower_bound(tables_.begin(), tables_.end(), name,
                                      [](const Table& table, std::string_view wanted) { return compare_ignoring_case(table.name, wanted) < 0; });
  return place != tables_.end() && base::equal_ignoring_case(place->name, name) ? &*place : nullptr;
}

std::string_view Image::file(std::uint32_t number) const {
  if (number >= u32(40)) return {};
  const std::uint64_t at = std::uint64_t{u32(44)} + 8 * std::uint64_t{number};
  return raw(u32(at), u32(at + 4));
}

std::optional<EntryRecord> Image::entry(const Table& table, std::uint32_t number) const {
  if (number >= table.entries) return std::nullopt;
  const std::uint64_t at = posting(table.offsets_at, number);
  if (at >= bytes_.size()) return std::nullopt;
  return decode_entry(bytes_.substr(at));
}

Image::Postings Image::under(const Table& table, std::uint64_t hash) const {
  if (table.slots == 0) return {};
  const std::uint64_t mask = table.slots - 1;
  // An intact table has empty slots; a damaged one must not be searched for ever.
  for (std::uint64_t tried = 0, slot = hash & mask; tried < table.slots; ++tried, slot = (slot + 1) & mask) {
    const std::uint64_t at = table.slots_at + kSlotBytes * slot;
    const std::uint32_t count = u32(at + 12);
    if (count == 0) return {};
    if (u64(at) != hash) continue;
    const std::uint32_t start = u32(at + 8);
    if (start > table.postings || count > table.postings - start) return {};
    return {table.postings_at + 4 * start, count};
  }
  return {};
}

std::optional<std::string_view> Image::look_up(std::uint64_t map_at, std::string_view key) const {
  const std::uint32_t slots = u32(map_at), slots_at = u32(map_at + 4);
  if (slots == 0 || !std::has_single_bit(slots)) return std::nullopt;
  for (std::uint64_t tried = 0, slot = name_hash(key) & (slots - 1); tried < slots; ++tried, slot = (slot + 1) & (slots - 1)) {
    const std::uint64_t at = u32(std::uint64_t{slots_at} + 4 * slot);
    if (at == 0 || at >= bytes_.size()) return std::nullopt;
    CodeReader in(bytes_.substr(at));
    const std::string_view name = in.text();
    const std::uint32_t length = in.u32();
    const std::string_view value = in.raw(length);
    if (!in.good()) return std::nullopt;
    if (base::equal_ignoring_case(name, key)) return value;
  }
  return std::nullopt;
}

}  // namespace postern::mapping
