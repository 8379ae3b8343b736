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
constexpr std::size_t kTableBytes = 128;
constexpr std::size_t kSlotBytes = 8;
constexpr std::uint64_t kMaxImageBytes = 0xffff'ff00u;
// A key that nothing stands under passes the filter once in about so many times; at 1,000,000 keys it has 1 MiB, which stays in a
// processor's own cache where the slots do not.
constexpr std::uint64_t kFilterBitsAKey = 8;
// Entries that stand alone under their keys lie in the order of the hashes, so many of them, on average, between two places that are
// noted: with 4 bytes for a place these stay in a processor's own cache, and what is read of the rest is a piece of one page.
constexpr std::uint64_t kEntriesAPlace = 4;
// More lengths of one kind than a pattern has bytes can't be.
constexpr std::uint32_t kMaxLengths = 512;

std::uint64_t filter_bit(std::uint64_t hash, std::uint64_t bits) { return hash >> 16 & (bits - 1); }

void append_u32(std::string& out, std::uint64_t value) {
  const auto narrow = static_cast<std::uint32_t>(value);
  out.append(reinterpret_cast<const char*>(&narrow), sizeof narrow);
}

void append_u64(std::string& out, std::uint64_t value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); }

// Slots of an open table for so many keys: a power of two, at most three quarters full.
std::uint32_t slots_for(std::size_t keys) { return keys == 0 ? 0 : static_cast<std::uint32_t>(std::bit_ceil(keys + keys / 3 + 1)); }

// Slots are a power of two. The tag is the lower half of the hash.
std::uint64_t slot_of_hash(std::uint64_t hash, std::uint32_t slots) { return hash >> 32 & (slots - std::uint64_t{1}); }

// Of the entries under one place, what is fetched before it is read.
constexpr std::uint64_t kExpectedBytes = 320;

// In an entry record, beside the kind of its key.
constexpr unsigned kAloneBit = 0x80;

int compare_ignoring_case(std::string_view a, std::string_view b) {
  const std::size_t common = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < common; ++i) {
    const auto x = static_cast<unsigned char>(base::ascii_lower(a[i])), y = static_cast<unsigned char>(base::ascii_lower(b[i]));
    if (x != y) return x < y ? -1 : 1;
  }
  return a.size() == b.size() ? 0 : a.size() < b.size() ? -1 : 1;
}

}  // namespace

void encode_entry(const EntryRecord& entry, std::string& out) {
  CodeWriter record;
  record.u32(entry.number);
  record.u32(entry.line);
  record.u16(entry.file);
  record.u8(static_cast<std::uint8_t>(static_cast<unsigned>(entry.key.kind) | (entry.alone ? kAloneBit : 0)));
  record.u16(entry.key.parameter);
  record.u64(entry.key.hash);
  record.u32(entry.signature);
  record.u32(entry.expansion);
  record.text(entry.pattern);
  out += record.bytes();
}

std::optional<EntryRecord> take_entry(std::string_view& run) {
  CodeReader in(run);
  EntryRecord entry;
  entry.number = in.u32();
  entry.line = in.u32();
  entry.file = in.u16();
  const std::uint8_t first = in.u8(), kind = first & (kAloneBit - 1);
  entry.alone = (first & kAloneBit) != 0;
  entry.key.parameter = in.u16();
  entry.key.hash = in.u64();
  entry.signature = in.u32();
  entry.expansion = in.u32();
  entry.pattern = in.text();
  if (!in.good() || kind >= kKeyKinds) return std::nullopt;
  entry.key.kind = static_cast<KeyKind>(kind);
  run.remove_prefix(in.position());
  return entry;
}

void ImageBuilder::expect(std::uint64_t bytes) { bytes_.reserve(std::min(bytes, kMaxImageBytes)); }

void ImageBuilder::add_file(std::string_view path) { files_.emplace_back(path); }

void ImageBuilder::add_table(std::string_view name, std::uint32_t line, std::uint16_t file) {
  tables_.push_back({std::string(name), line, file, 0, 0, {}, {}, {}, 0, {}});
}

bool ImageBuilder::add_template(std::string_view code) {
  if (code.size() > 0xffff || bytes_.size() > kMaxImageBytes) return false;
  if (bytes_.empty()) bytes_.resize(kHeaderBytes);
  const auto length = static_cast<std::uint16_t>(code.size());
  templates_.push_back(place(&length, sizeof length, 2));
  bytes_ += code;
  return true;
}

bool ImageBuilder::add_entries(std::size_t table, std::string_view records) {
  if (table >= tables_.size()) return false;
  TableParts& parts = tables_[table];
  while (!records.empty()) {
    const auto entry = take_entry(records);
    if (!entry || entry->expansion >= templates_.size()) return false;
    if (bytes_.size() > kMaxImageBytes) return true;  // finish() refuses it
    align(4);
    const auto at = static_cast<std::uint32_t>(bytes_.size());
    const std::uint64_t hash = entry->key.hash;
    const auto length = static_cast<std::uint16_t>(entry->pattern.size());
    const std::uint32_t numbers[] = {Image::tag_of(hash), entry->number, entry->line, templates_[entry->expansion]};
    const std::uint16_t halves[] = {entry->file, length};
    static_assert(sizeof numbers + sizeof halves == Image::kEntryHeadBytes);
    bytes_.append(reinterpret_cast<const char*>(numbers), sizeof numbers);
    bytes_.append(reinterpret_cast<const char*>(halves), sizeof halves);
    bytes_ += entry->pattern;
    if (parts.entries++ == 0) parts.entries_at = at;
    if (entry->key.kind != KeyKind::none) parts.shape.add(entry->key);
    if (entry->alone) {
      if (entry->key.kind == KeyKind::none || (!parts.alone.empty() && hash < parts.alone.back().hash)) return false;
      parts.alone.push_back({hash, at});
      parts.end = static_cast<std::uint32_t>(bytes_.size());
      continue;
    }
    std::vector<Item>& items = entry->key.kind == KeyKind::none ? parts.always : parts.shared;
    if (!parts.alone.empty() || (!items.empty() && entry->number <= items.back().number)) return false;
    items.push_back({hash, entry->number, at, entry->signature});
  }
  return true;
}

void ImageBuilder::add_general(std::string_view key, std::string_view value) { general_.push_back({std::string(key), std::string(value)}); }

void ImageBuilder::add_alias(std::string_view name, std::string_view targets) { aliases_.push_back({std::string(name), std::string(targets)}); }

void ImageBuilder::align(std::size_t to) { bytes_.resize((bytes_.size() + to - 1) / to * to); }

std::uint32_t ImageBuilder::place(const void* data, std::size_t size, std::size_t alignment) {
  align(alignment);
  const auto at = static_cast<std::uint32_t>(bytes_.size());
  bytes_.append(static_cast<const char*>(data), size);
  return at;
}

// Appends the index of a table to the image, and the table's description to `record`.
void ImageBuilder::layout_index(TableParts& table, std::string& record) {
  struct Slot {
    std::uint32_t tag = 0, list = 0;  // while it is built: how many entries
  };
  static_assert(sizeof(Slot) == kSlotBytes);
  // Shared keys: slots, of an open table, with lists.
  const std::uint32_t slots = slots_for(table.shared.size());
  std::vector<Slot> table_slots(slots);
  std::vector<std::uint32_t> slot_of;
  slot_of.reserve(table.shared.size());
  std::uint64_t keys = table.alone.size();
  for (const Item& item : table.shared) {
    const std::uint32_t tag = Image::tag_of(item.hash);
    std::uint64_t at = slot_of_hash(item.hash, slots);
    while (table_slots[at].list != 0 && table_slots[at].tag != tag) at = (at + 1) & (slots - 1);
    if (table_slots[at].list == 0) ++keys;
    table_slots[at].tag = tag;
    ++table_slots[at].list;
    slot_of.push_back(static_cast<std::uint32_t>(at));
  }
  std::vector<std::uint32_t> lists;
  constexpr std::size_t kItemNumbers = Image::kListItemBytes / 4;
  const auto append_item = [&](std::size_t at, const Item& item) {
    lists[at] = item.number;
    lists[at + 1] = item.at;
    lists[at + 2] = item.signature;
  };
  align(8);
  const std::uint64_t filter_bits = keys == 0 ? 0 : std::max<std::uint64_t>(64, std::bit_ceil(kFilterBitsAKey * keys));
  const std::uint64_t filter_at = bytes_.size(), slots_at = filter_at + filter_bits / 8, lists_at = slots_at + kSlotBytes * table_slots.size();
  // Of a list the count comes first. While it is filled the count is how many are there.
  for (Slot& slot : table_slots) {
    const std::uint32_t count = slot.list;
    if (count == 0) continue;
    slot.list = static_cast<std::uint32_t>(lists_at + 4 * lists.size());
    lists.resize(lists.size() + 1 + kItemNumbers * count);
  }
  std::vector<std::uint64_t> filter(filter_bits / 64);
  const auto note = [&](std::uint64_t hash) {
    const std::uint64_t bit = filter_bit(hash, filter_bits);
    filter[bit / 64] |= std::uint64_t{1} << bit % 64;
  };
  for (std::size_t i = 0; i < table.shared.size(); ++i) {
    note(table.shared[i].hash);
    const std::size_t list = (table_slots[slot_of[i]].list - lists_at) / 4;
    append_item(list + 1 + kItemNumbers * lists[list]++, table.shared[i]);
  }
  for (const Alone& one : table.alone) note(one.hash);
  place(filter.data(), 8 * filter.size(), 8);
  place(table_slots.data(), kSlotBytes * table_slots.size(), 8);
  place(lists.data(), 4 * lists.size(), 4);
  lists.assign(1 + kItemNumbers * table.always.size(), 0);
  for (const Item& item : table.always) append_item(1 + kItemNumbers * lists[0]++, item);
  const std::uint32_t always = table.always.empty() ? 0 : place(lists.data(), 4 * lists.size(), 4);
  // Keys that stand for one entry: where the entries begin whose hashes begin with these bits.
  const unsigned places_bits = table.alone.empty() ? 0 : static_cast<unsigned>(std::max<std::size_t>(1, std::bit_width(table.alone.size() / kEntriesAPlace)));
  std::vector<std::uint32_t> places;
  if (places_bits != 0) {
    places.reserve((std::size_t{1} << places_bits) + 1);
    for (const Alone& one : table.alone)
      while (places.size() <= one.hash >> (64 - places_bits)) places.push_back(one.at);
    places.resize((std::size_t{1} << places_bits) + 1, table.end);
  }
  const std::uint32_t places_at = place(places.data(), 4 * places.size(), 4);

  append_u32(record, place(table.name.data(), table.name.size(), 1));
  append_u32(record, table.name.size());
  append_u32(record, table.line);
  append_u32(record, table.file);
  append_u32(record, table.entries);
  append_u32(record, table.shape.kinds);
  append_u64(record, table.shape.block4_bits);
  append_u32(record, table.shape.prefix_lengths.size());
  append_u32(record, place(table.shape.prefix_lengths.data(), 2 * table.shape.prefix_lengths.size(), 4));
  append_u32(record, table.shape.suffix_lengths.size());
  append_u32(record, place(table.shape.suffix_lengths.data(), 2 * table.shape.suffix_lengths.size(), 4));
  append_u32(record, table.shape.block6_bits.size());
  append_u32(record, place(table.shape.block6_bits.data(), table.shape.block6_bits.size(), 4));
  append_u32(record, table.shape.windows);
  append_u32(record, slots);
  append_u32(record, slots_at);
  append_u32(record, filter_bits);
  append_u32(record, filter_at);
  append_u32(record, always);
  append_u32(record, table.entries_at);
  append_u32(record, places_bits);
  append_u32(record, places_at);
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
    table.shape.kinds = field(5);
    table.shape.block4_bits = u64(record + 24);
    const std::uint32_t prefixes = field(8), suffixes = field(10), blocks = field(12);
    table.shape.windows = field(14);
    table.slots = field(15);
    table.slots_at = field(16);
    table.filter_bits = field(17);
    table.filter_at = field(18);
    table.always = field(19);
    table.entries_at = field(20);
    table.places_bits = field(21);
    table.places_at = field(22);
    const auto fits = [](std::uint32_t slots) { return slots == 0 || std::has_single_bit(slots); };
    if (table.name.empty() || prefixes > kMaxLengths || suffixes > kMaxLengths || blocks > kMaxLengths || !within(field(9), std::uint64_t{2} * prefixes) ||
        !within(field(11), std::uint64_t{2} * suffixes) || !within(field(13), blocks) || !fits(table.slots) || !fits(table.filter_bits) ||
        (table.slots != 0 && table.filter_bits < 64) ||
        (table.places_bits != 0 && table.filter_bits < 64) || table.places_bits > 32 || (table.filter_bits != 0 && table.filter_bits < 64) ||
        (table.places_bits != 0 && !within(table.places_at, 4 * ((std::uint64_t{1} << table.places_bits) + 1))) ||
        !within(table.slots_at, std::uint64_t{kSlotBytes} * table.slots) ||
        !within(table.filter_at, table.filter_bits / 8) || (table.shape.block4_bits >> 33) != 0)
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
    if (!lengths(field(9), prefixes, table.shape.prefix_lengths) || !lengths(field(11), suffixes, table.shape.suffix_lengths))
      return corrupt("key lengths are not in order");
    for (const char c : raw(field(13), blocks)) table.shape.block6_bits.push_back(static_cast<std::uint8_t>(c));
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

std::optional<Image::Entry> Image::entry(Place place) const {
  if (bytes_.size() < kEntryHeadBytes || place > bytes_.size() - kEntryHeadBytes) return std::nullopt;
  Entry entry;
  entry.number = u32(std::uint64_t{place} + 4);
  entry.line = u32(std::uint64_t{place} + 8);
  const std::uint32_t expansion_at = u32(std::uint64_t{place} + 12);
  entry.file = number<std::uint16_t>(std::uint64_t{place} + 16);
  const std::uint64_t start = std::uint64_t{place} + kEntryHeadBytes;
  const std::uint16_t length = number<std::uint16_t>(start - 2);
  if (length > bytes_.size() - start) return std::nullopt;
  entry.pattern = bytes_.substr(start, length);
  entry.expansion = raw(std::uint64_t{expansion_at} + 2, number<std::uint16_t>(expansion_at));
  return entry;
}

std::vector<Image::Place> Image::places(const Table& table) const {
  std::vector<Candidate> all;
  std::uint64_t at = table.entries_at;
  for (std::uint32_t i = 0; i < table.entries; ++i) {
    const auto found = entry(static_cast<Place>(at));
    if (!found) break;
    all.push_back({found->number, static_cast<Place>(at)});
    at = (at + kEntryHeadBytes + found->pattern.size() + 3) & ~std::uint64_t{3};
    if (at > bytes_.size()) break;
  }
  std::sort(all.begin(), all.end());
  std::vector<Place> places;
  for (const Candidate& one : all) places.push_back(one.place);
  return places;
}

bool Image::may_have(const Table& table, std::uint64_t hash) const {
  if (table.filter_bits == 0) return false;
  const std::uint64_t bit = filter_bit(hash, table.filter_bits);
  return (static_cast<unsigned char>(bytes_[table.filter_at + bit / 8]) >> bit % 8 & 1) != 0;
}

void Image::expect(const Table& table, std::uint64_t hash) const {
  if (table.places_bits != 0) __builtin_prefetch(bytes_.data() + table.places_at + 4 * (hash >> (64 - table.places_bits)));
  if (table.slots != 0) __builtin_prefetch(bytes_.data() + table.slots_at + kSlotBytes * slot_of_hash(hash, table.slots));
}

void Image::expect_entries(const Table& table, std::uint64_t hash) const {
  if (table.places_bits == 0) return;
  const std::uint64_t slot = hash >> (64 - table.places_bits);
  std::uint64_t at = u32(table.places_at + 4 * slot);
  const std::uint64_t end = std::min<std::uint64_t>(u32(table.places_at + 4 * slot + 4), at + kExpectedBytes);
  for (; at < end; at += 64) __builtin_prefetch(bytes_.data() + at);
}

Image::List Image::shared_under(const Table& table, std::uint64_t hash) const {
  if (table.slots == 0) return {};
  const std::uint32_t tag = tag_of(hash);
  // An intact table has empty slots; a damaged one must not be searched for ever.
  for (std::uint64_t tried = 0, slot = slot_of_hash(hash, table.slots); tried < table.slots; ++tried, slot = (slot + 1) & (table.slots - 1)) {
    const std::uint64_t at = table.slots_at + kSlotBytes * slot;
    const std::uint32_t found = u32(at + 4);
    if (found == 0) return {};
    if (u32(at) == tag) return list(found);
  }
  return {};
}

Image::List Image::list(std::uint32_t at) const {
  const std::uint32_t count = u32(at);
  const std::uint64_t bytes = kListItemBytes * std::uint64_t{count};
  if (raw(std::uint64_t{at} + 4, bytes).size() != bytes) return {};
  return {at + 4, count};
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
