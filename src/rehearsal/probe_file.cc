// SPDX-License-Identifier: Apache-2.0
#include "rehearsal/probe_file.h"

#include "base/crc32c.h"
#include "mapping/code.h"
#include "rehearsal/probe.h"

#include <algorithm>
#include <array>
#include <optional>

namespace postern::rehearsal {
namespace {

constexpr std::string_view kMagic = "Postern probes\n";
constexpr std::uint32_t kBlockMark = 0x6b'6c'62'70;  // "pblk"
// The texts of so many probes before are looked at for a common beginning: those of one message follow each other.
constexpr std::size_t kLookBack = 4;
constexpr std::size_t kBlockHead = 12;
constexpr std::int64_t kMicrosecondsPerMillisecond = 1000;

std::size_t common_prefix(std::string_view one, std::string_view other) {
  const std::size_t most = std::min(one.size(), other.size());
  return static_cast<std::size_t>(std::mismatch(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(most), other.begin()).first - one.begin());
}

// The texts of the last probes, newest last.
class Before {
 public:
  // The text of the `back`-th one before, 1 being the last; empty if there is none.
  [[nodiscard]] const std::string& text(std::size_t back) const { return texts_[(next_ + kLookBack - back) % kLookBack]; }
  void add(std::string_view text) {
    texts_[next_] = text;
    next_ = (next_ + 1) % kLookBack;
  }

 private:
  std::array<std::string, kLookBack> texts_;
  std::size_t next_ = 0;
};

}  // namespace

std::string probe_file_header() {
  mapping::CodeWriter out;
  out.raw(kMagic);
  out.u32(kProbeFileVersion);
  return out.take();
}

std::string encode_block(const std::vector<Counted>& probes, std::uint64_t generation) {
  std::int64_t first = probes.empty() ? 0 : probes.front().last_microseconds;
  for (const Counted& probe : probes) first = std::min(first, probe.last_microseconds);
  mapping::CodeWriter body;
  body.u64(generation);
  body.u64(static_cast<std::uint64_t>(first));
  Before before;
  for (const Counted& probe : probes) {
    const auto parts = parts_of(probe.identity);
    if (!parts) continue;
    std::size_t back = 0, shared = 0;
    for (std::size_t i = 1; i <= kLookBack; ++i)
      if (const std::size_t length = common_prefix(parts->text, before.text(i)); length > shared) {
        shared = length;
        back = i;
      }
    body.u32(probe.count);
    body.u32(static_cast<std::uint32_t>(std::min<std::int64_t>((probe.last_microseconds - first) / kMicrosecondsPerMillisecond, UINT32_MAX)));
    body.raw(parts->head);
    body.u8(static_cast<std::uint8_t>(back));
    body.u16(static_cast<std::uint16_t>(shared));
    body.text(parts->text.substr(shared));
    body.text(parts->answers);
    before.add(parts->text);
  }
  mapping::CodeWriter out;
  out.u32(kBlockMark);
  out.u32(static_cast<std::uint32_t>(body.bytes().size()));
  out.u32(base::crc32c(body.bytes()));
  out.raw(body.bytes());
  return out.take();
}

FileRead read_probe_file(std::string_view bytes, const std::function<void(const Counted&, std::uint64_t generation)>& take) {
  FileRead read;
  const auto stop = [&](std::size_t at, const char* why) {
    read.trouble = std::string(why) + " at byte " + std::to_string(at);
    return read;
  };
  mapping::CodeReader in(bytes);
  if (in.raw(kMagic.size()) != kMagic) return stop(0, bytes.size() < kMagic.size() ? "cut short" : "no file of probes");
  if (const std::uint32_t version = in.u32(); version != kProbeFileVersion)
    return stop(kMagic.size(), in.good() ? "another version of the format" : "cut short");
  while (!in.at_end()) {
    const std::size_t at = in.position();
    if (bytes.size() - at < kBlockHead) return stop(at, "cut short");
    const std::uint32_t mark = in.u32(), length = in.u32(), sum = in.u32();
    if (mark != kBlockMark || length > kMaxBlockBytes) return stop(at, "damaged");
    if (bytes.size() - in.position() < length) return stop(at, "cut short");
    const std::string_view body = in.raw(length);
    if (base::crc32c(body) != sum) return stop(at, "damaged");

    mapping::CodeReader block(body);
    const std::uint64_t generation = block.u64();
    const auto first = static_cast<std::int64_t>(block.u64());
    Before before;
    while (!block.at_end()) {
      Counted probe;
      probe.count = block.u32();
      const std::uint32_t later = block.u32();
      Parts parts;
      const std::size_t head = block.position();
      block.raw(2);
      block.raw(block.u8());
      parts.head = body.substr(head, block.position() - head);
      const std::size_t back = block.u8(), shared = block.u16();
      const std::string_view rest = block.text();
      parts.answers = block.text();
      if (!block.good() || back > kLookBack || (back == 0) != (shared == 0)) return stop(at, "damaged");
      std::string text;
      if (back != 0) {
        if (shared > before.text(back).size()) return stop(at, "damaged");
        text = before.text(back).substr(0, shared);
      }
      text += rest;
      parts.text = text;
      const std::string identity = identity_from(parts);
      if (!parts_of(identity)) return stop(at, "damaged");
      probe.identity = identity;
      // Unsigned: a time out of this world wraps, and is no more than a wrong time.
      probe.last_microseconds = static_cast<std::int64_t>(static_cast<std::uint64_t>(first) + std::uint64_t{later} * kMicrosecondsPerMillisecond);
      take(probe, generation);
      before.add(text);
    }
    ++read.blocks;
  }
  return read;
}

}  // namespace postern::rehearsal
