// SPDX-License-Identifier: Apache-2.0
// envelope (RFC 5228 section 5.4), with two parts of our own: "auth", the authenticated sender, and "orig_to", the recipient as the
// client gave it.
#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/address_part.h"
#include "sieve/compiler.h"
#include "sieve/interpreter.h"

#include <array>

namespace postern::sieve {

namespace {

constexpr std::array<std::string_view, 4> kParts = {"from", "to", "auth", "orig_to"};

bool is_part(std::string_view name) {
  for (const std::string_view part : kParts)
    if (base::equal_ignoring_case(part, name)) return true;
  return false;
}

// The address, nothing if there is none.
std::optional<std::string_view> address(const EnvelopeView& envelope, std::string_view part) {
  if (base::equal_ignoring_case(part, "from")) return envelope.from_valid ? std::optional(envelope.from) : std::nullopt;
  if (base::equal_ignoring_case(part, "to")) return envelope.to_valid ? std::optional(envelope.to) : std::nullopt;
  if (base::equal_ignoring_case(part, "auth")) return envelope.authenticated.empty() ? std::nullopt : std::optional(envelope.authenticated);
  if (!envelope.original_to_valid) return std::nullopt;
  return envelope.original_to.empty() ? envelope.to : envelope.original_to;
}

class EnvelopeTest : public Step {
 public:
  std::vector<Text> parts;
  AddressPart part = AddressPart::all;
  Matcher matcher;
  bool perform(Run& run) const override {
    std::string part_scratch, scratch;
    std::size_t count = 0;
    for (const Text& text : parts) {
      const std::string_view name = text.value(run, part_scratch);
      if (!text.is_constant() && !is_part(name)) {
        run.fail("unknown envelope part \"" + base::printable(name, 80) + "\"");
        return false;
      }
      const auto found = address(run.envelope(), name);
      if (!found) continue;
      const auto value = envelope_part(*found, part, run.host().sub_address_delimiters(), scratch);
      if (!value) continue;
      if (!found->empty()) ++count;       // RFC 5231 section 6: the null reverse-path counts as nothing
      if (matcher.type == MatchType::count) continue;
      if (matcher.matches(run, *value)) return true;
      if (run.failed()) return false;
    }
    return matcher.type == MatchType::count && matcher.matches_count(run, count);
  }
  void carry(Archive& archive) override {
    archive(parts, matcher);
    archive.choice(part, AddressPart::detail);
  }
};

std::unique_ptr<Step> compile_envelope(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<EnvelopeTest>();
  step->parts = compiler.texts(arguments.at(0));
  for (std::size_t i = 0; i < step->parts.size(); ++i)
    if (step->parts[i].is_constant() && !is_part(step->parts[i].constant()))
      compiler.error(arguments.at(0).strings[i].place, "unknown envelope part \"" + base::printable(step->parts[i].constant(), 80) + "\"; expected from, to, auth or orig_to");
  step->part = address_part_of(arguments);
  step->matcher = compiler.matcher(arguments, arguments.at(1));
  return step;
}

}  // namespace

const Extension& envelope_extension() {
  static const Extension extension = {"envelope", "RFC 5228", "test the sender and recipient of the envelope", false, {},
                                      {{"envelope", {Form::strings, Form::strings}, kMatch | kAddressPart, false, step<EnvelopeTest>(compile_envelope)}}, {}};
  return extension;
}

}  // namespace postern::sieve
