// SPDX-License-Identifier: Apache-2.0
#include "policy/table_answer.h"

#include "base/text.h"

#include <algorithm>

namespace postern::policy {
namespace {

// Of a probe that is too long, so much is shown.
constexpr std::size_t kShownBytes = 512;

Verdict verdict_of(const TableAnswer& answer, const std::string& table, const std::string& probe, std::uint64_t generation) {
  Verdict verdict;
  verdict.answer = answer.refused()             ? Verdict::Answer::deny
                   : answer.result.restricted   ? Verdict::Answer::restrict
                                                : Verdict::Answer::allow;
  verdict.table = table;
  verdict.probe = probe;
  verdict.file = answer.result.file;
  verdict.line = answer.result.line;
  verdict.generation = generation;
  verdict.text = answer.result.text;
  return verdict;
}

}  // namespace

bool lasts(const mapping::Mapped& mapped, const net::AddressList& clients) {
  if (mapped.by_chance) return false;
  return std::all_of(mapped.answers.begin(), mapped.answers.end(), [&](const mapping::Answered& one) {
    const mapping::Question& question = one.question;
    if (question.kind != mapping::Question::Kind::call_out || question.name != "postern" || question.routine != "client") return false;
    const auto address = net::Address::parse(question.argument);
    return !address || !clients.asks_names(*address);
  });
}

Verdict closed_without_tables() {
  Verdict closed;
  closed.answer = Verdict::Answer::deny;
  closed.table = "tables.db";
  return closed;
}

net::Awaitable<TableAnswer> ask_access_table(const Access& access, std::string table, std::string probe, mapping::Flags flags,
                                             QuestionFacts facts, Notes& notes, bool refusal_holds) {
  TableAnswer answer;
  mapping::Mapped mapped;
  const bool too_long = probe.size() > mapping::kMaxProbeBytes;
  if (!too_long) {
    mapped = co_await ask_table(access.tables(), table, probe, flags, access.questions(), facts, explanation_of(access.observer()) != nullptr);
    if (access.observer() != nullptr) access.observer()->asked(table, flags, probe, mapped, access.tables().generation());
  }
  mapped.step_limit_exceeded |= too_long;
  answer.result = mapping::read_access(table, mapped);
  answer.over_limit = mapped.step_limit_exceeded;
  answer.lasts = !answer.over_limit && (!mapped.matched || mapped.output != probe) && lasts(mapped, access.site().clients);
  if (too_long) probe.resize(kShownBytes);
  answer.verdict = verdict_of(answer, table, probe, access.tables().generation());

  const auto text = [&](const std::optional<std::string>& said) {
    if (!said) return;
    base::Fields fields = rule_fields(answer.verdict);
    fields.emplace_back("text", *said);
    notes.push_back({base::Severity::notice, "access-note", std::move(fields), true});
  };
  text(answer.result.log_applied);
  if (answer.refused() && refusal_holds) text(answer.result.log_refused);
  if (answer.over_limit) {
    base::Fields fields = rule_fields(answer.verdict);
    fields.emplace_back("limit", too_long ? "probe" : "steps");
    notes.push_back({base::Severity::warning, "access-limit", std::move(fields)});
  }
  co_return answer;
}

net::Awaitable<void> give_way(std::size_t count) {
  if (count % 100 != 0) co_return;
  const auto executor = co_await net::asio::this_coro::executor;
  co_await net::asio::post(executor, net::use_awaitable);
}

}  // namespace postern::policy
