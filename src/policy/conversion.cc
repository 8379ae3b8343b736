// SPDX-License-Identifier: Apache-2.0
#include "policy/conversion.h"

#include "base/text.h"

namespace postern::policy {

net::Awaitable<bool> goes_through_conversion(const Access& access, std::string source_channel, std::string destination_channel, mail::Recipient::Conversion known) {
  constexpr const char* kTable = "CONVERSIONS";
  if (!access.site().converts || known == mail::Recipient::Conversion::done) co_return false;
  if (known == mail::Recipient::Conversion::wanted) co_return true;
  if (!access.tables().has(kTable)) co_return false;
  const std::string probe = "IN-CHAN=" + source_channel + ";OUT-CHAN=" + destination_channel + ";CONVERT";
  const QuestionFacts facts;
  const mapping::Mapped mapped = co_await ask_table(access.tables(), kTable, probe, {}, access.questions(), facts);
  if (!mapped.step_limit_exceeded) co_return mapped.matched && base::equal_ignoring_case(base::trim(mapped.output), "yes");
  base::log_event(base::Severity::warning, "access-limit", {{"table", kTable}, {"probe", probe}, {"limit", "steps"}});
  co_return true;
}

}  // namespace postern::policy
