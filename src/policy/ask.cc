// SPDX-License-Identifier: Apache-2.0
#include "policy/ask.h"

#include "base/log.h"
#include "base/text.h"

namespace postern::policy {
namespace {

std::optional<std::string> answer_to(const mapping::Question& question, const net::AddressList& clients, const std::string& certificate) {
  const bool ours = question.kind == mapping::Question::Kind::call_out && question.name == "postern";
  if (ours && question.routine == "client") {
    const auto address = net::Address::parse(question.argument);
    if (address && clients.contains(*address)) return std::string();
    return std::nullopt;
  }
  if (ours && question.routine == "certificate") {
    if (certificate.empty()) return std::nullopt;
    if (question.argument.empty()) return certificate;
    if (base::equal_ignoring_case(question.argument, certificate)) return std::string();
    return std::nullopt;
  }
  base::log_event(base::Severity::warning, "call-out-unknown", {{"name", question.name}, {"routine", question.routine}});
  return std::nullopt;
}

}  // namespace

net::Awaitable<mapping::Mapped> ask_table(const mapping::Tables& tables, std::string table, std::string probe, mapping::Flags flags,
                                          const net::AddressList& clients, std::string certificate) {
  mapping::Evaluation evaluation(tables, table, std::move(probe), flags);
  while (evaluation.run() == mapping::Evaluation::State::asks) evaluation.answer(answer_to(evaluation.question(), clients, certificate));
  co_return evaluation.take_result();
}

}  // namespace postern::policy
