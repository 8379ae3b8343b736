// SPDX-License-Identifier: Apache-2.0
// duplicate (RFC 7352). The memory is the host's; what is new goes into it when the message has been delivered (Outcome::remember).
#include "base/text.h"
#include "sieve/archive.h"
#include "sieve/compiler.h"
#include "sieve/digest.h"
#include "sieve/interpreter.h"

#include <algorithm>

namespace postern::sieve {

namespace {

class Duplicate : public Step {
 public:
  Text handle;
  std::optional<Text> header, unique_id;
  std::optional<std::uint64_t> seconds;
  bool last = false;

  bool perform(Run& run) const override {
    std::string id;
    if (unique_id) {
      id = unique_id->value(run);
    } else {
      std::vector<std::size_t> fields;
      run.message().find(header ? header->value(run) : "Message-ID", fields);
      if (fields.empty()) return false;   // RFC 7352 section 3: without the field it is no duplicate
      id = std::string(run.message().value(fields.front()));
    }
    if (!run.spend(16)) return false;
    const auto most = static_cast<std::uint64_t>(run.limits().duplicate_most.count());
    const std::chrono::seconds period = seconds ? std::chrono::seconds(std::min(*seconds, most)) : std::min(run.limits().duplicate_default, run.limits().duplicate_most);
    if (period.count() == 0) return false;
    const std::string text_handle = handle.value(run);
    const std::string key = digest({text_handle, header ? std::string_view("header") : unique_id ? "uniqueid" : "message-id", id});
    // A test of the same id earlier in this run is no delivery of it.
    auto& remember = run.outcome().remember;
    const auto earlier = std::find_if(remember.begin(), remember.end(), [&](const Remembered& one) { return one.key == key; });
    const bool known = run.host().is_duplicate(key);
    if (earlier != remember.end()) earlier->period = period;
    else if (!known || last) remember.push_back({key, period});
    return known;
  }
  void carry(Archive& archive) override { archive(handle, header, unique_id, seconds, last); }
};

std::unique_ptr<Step> compile_duplicate(Compiler& compiler, const Arguments& arguments) {
  auto step = std::make_unique<Duplicate>();
  if (const Argument* handle = arguments.parameter("handle")) step->handle = compiler.text(handle->strings.front());
  if (const Argument* header = arguments.parameter("header")) {
    step->header = compiler.text(header->strings.front());
    if (step->header->is_constant() && !mail::is_field_name(step->header->constant()))
      compiler.error(header->place, "\"" + base::printable(step->header->constant(), 80) + "\" can't be the name of a header field");
  }
  if (const Argument* id = arguments.parameter("uniqueid")) step->unique_id = compiler.text(id->strings.front());
  if (const Argument* seconds = arguments.parameter("seconds")) step->seconds = seconds->number;
  step->last = arguments.has("last");
  return step;
}

}  // namespace

const Extension& duplicate_extension() {
  using Parameter = TagDefinition::Parameter;
  static const Extension extension = {"duplicate", "RFC 7352", "test whether a message was delivered before", false, {},
      {{"duplicate", {}, kNoTags, false, step<Duplicate>(compile_duplicate)}},
      {{Parameter::string, "duplicate", "handle"}, {Parameter::string, "duplicate", "header", "id"}, {Parameter::string, "duplicate", "uniqueid", "id"},
       {Parameter::number, "duplicate", "seconds"}, {Parameter::none, "duplicate", "last"}}, kRemembers};
  return extension;
}

}  // namespace postern::sieve
