// SPDX-License-Identifier: Apache-2.0
#include "rehearsal/probe.h"

#include "mapping/code.h"
#include "mapping/effect.h"

#include <algorithm>

namespace postern::rehearsal {
namespace {

constexpr std::uint8_t kByChance = 1;

// An identity: table (1), bits (1), flags (1 + n), text (2 + n), then the answers to the end.
void encode(mapping::CodeWriter& out, const mapping::Answered& answer) {
  const mapping::Question& question = answer.question;
  out.u8(static_cast<std::uint8_t>(question.kind));
  out.text(question.name);
  out.text(question.routine);
  out.text(question.argument);
  out.u32(question.radix);
  out.u32(question.width);
  out.u64(question.modulus);
  out.u8(answer.text ? 1 : 0);
  out.text(answer.text.value_or(std::string()));
}

std::size_t size_of(const mapping::Answered& answer) {
  const mapping::Question& question = answer.question;
  return 26 + question.name.size() + question.routine.size() + question.argument.size() + (answer.text ? answer.text->size() : 0);
}

}  // namespace

std::string identity_of(std::string_view table, mapping::Flags input, std::string_view text, const mapping::Mapped& result) {
  const auto number = mapping::asked_table(table);
  if (!number || text.size() > mapping::kMaxProbeBytes) return {};
  std::size_t bytes = 0;
  for (const auto& answer : result.answers) bytes += size_of(answer);
  if (bytes > kMaxAnswerBytes) return {};
  const std::string letters = input.letters();
  mapping::CodeWriter out;
  out.u8(static_cast<std::uint8_t>(*number));
  out.u8(result.by_chance ? kByChance : 0);
  out.u8(static_cast<std::uint8_t>(std::min<std::size_t>(letters.size(), 255)));
  out.raw(std::string_view(letters).substr(0, 255));
  out.text(text);
  for (const auto& answer : result.answers) encode(out, answer);
  return out.take();
}

std::optional<Parts> parts_of(std::string_view identity) {
  mapping::CodeReader in(identity);
  const std::size_t table = in.u8();
  in.u8();
  in.raw(in.u8());
  const std::size_t head = in.position();
  Parts parts;
  parts.text = in.text();
  if (!in.good() || table >= mapping::kAskedTables.size() || parts.text.size() > mapping::kMaxProbeBytes) return std::nullopt;
  parts.head = identity.substr(0, head);
  parts.answers = identity.substr(in.position());
  return parts;
}

std::string identity_from(const Parts& parts) {
  mapping::CodeWriter out;
  out.raw(parts.head);
  out.text(parts.text);
  out.raw(parts.answers);
  return out.take();
}

std::optional<Probe> probe_of(std::string_view identity) {
  const auto parts = parts_of(identity);
  if (!parts) return std::nullopt;
  Probe probe;
  mapping::CodeReader head(parts->head);
  probe.table = head.u8();
  probe.by_chance = (head.u8() & kByChance) != 0;
  probe.input = mapping::Flags(head.raw(head.u8()));
  probe.text = parts->text;
  mapping::CodeReader in(parts->answers);
  while (!in.at_end()) {
    mapping::Answered answer;
    mapping::Question& question = answer.question;
    const std::uint8_t kind = in.u8();
    if (kind > static_cast<std::uint8_t>(mapping::Question::Kind::attribute)) return std::nullopt;
    question.kind = static_cast<mapping::Question::Kind>(kind);
    question.name = in.text();
    question.routine = in.text();
    question.argument = in.text();
    question.radix = in.u32();
    question.width = in.u32();
    question.modulus = in.u64();
    const bool found = in.u8() != 0;
    const std::string_view text = in.text();
    if (!in.good()) return std::nullopt;
    if (found) answer.text = std::string(text);
    probe.answers.push_back(std::move(answer));
  }
  return probe;
}

}  // namespace postern::rehearsal
