// SPDX-License-Identifier: Apache-2.0
#include "policy/questions.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include <exception>

namespace postern::policy {
namespace {

using mapping::Question;
using Answer = net::Awaitable<std::optional<std::string>>;

// Names come from tables, not from the network; but a table may put a probe's text into one.
constexpr std::size_t kNamesLogged = 100;

Answer client(net::Resolver* resolver, net::AddressList clients, std::string argument) {
  const auto address = net::Address::parse(argument);
  if (!address) co_return std::nullopt;
  const bool listed = co_await net::is_on_list(resolver, std::move(clients), *address);
  if (listed) co_return std::string();
  co_return std::nullopt;
}

Answer certificate(const Question& question, const QuestionFacts& facts) {
  if (facts.certificate.empty()) co_return std::nullopt;
  if (question.argument.empty()) co_return facts.certificate;
  if (base::equal_ignoring_case(question.argument, facts.certificate)) co_return std::string();
  co_return std::nullopt;
}

// What a question is called in the log.
std::string name_of(const Question& question) {
  switch (question.kind) {
    case Question::Kind::call_out: return question.name + ":" + question.routine;
    case Question::Kind::url: return "url";
    case Question::Kind::sequence: return "sequence";
    case Question::Kind::attribute: return "attribute";
  }
  return {};
}

}  // namespace

Questions::Questions(std::string unknown) : unknown_(std::move(unknown)) {
  add("client", [this](const Question& question, const QuestionFacts& facts) {
    return client(resolver_, facts.clients == nullptr ? net::AddressList() : *facts.clients, question.argument);
  });
  add("certificate", certificate);
}

void Questions::add(std::string routine, Handler handler) { routines_[std::move(routine)] = std::move(handler); }
void Questions::add_daemons(Handler handler) { daemons_ = std::move(handler); }
void Questions::add(Question::Kind kind, Handler handler) { kinds_[kind] = std::move(handler); }

std::set<std::string> Questions::routines() const {
  std::set<std::string> names;
  for (const auto& [name, handler] : routines_) names.insert(name);
  return names;
}

const Questions::Handler* Questions::find(const Question& question) const {
  if (question.kind != Question::Kind::call_out) {
    const auto found = kinds_.find(question.kind);
    return found == kinds_.end() ? nullptr : &found->second;
  }
  if (question.name == "socket") return daemons_ ? &daemons_ : nullptr;
  if (question.name != "postern") return nullptr;
  const auto found = routines_.find(question.routine);
  return found == routines_.end() ? nullptr : &found->second;
}

void Questions::log_once(const char* event, const Question& question, const std::string& reason) {
  const std::string name = name_of(question);
  if (logged_.size() >= kNamesLogged || !logged_.insert(event + name).second) return;
  base::Fields fields{{"question", base::printable(name, 128)}};
  if (!reason.empty()) fields.push_back({"reason", reason});
  base::log_event(base::Severity::warning, event, fields);
}

net::Awaitable<std::optional<std::string>> Questions::answer(Question question, QuestionFacts facts) {
  const Handler* const handler = find(question);
  if (handler == nullptr) {
    log_once("call-out-unknown", question, {});
    co_return std::nullopt;
  }
  std::string reason;
  try {
    std::optional<std::string> text = co_await (*handler)(question, facts);
    co_return text;
  } catch (const std::exception& error) {
    reason = error.what();
  }
  log_once("call-out-failed", question, reason);
  co_return std::nullopt;
}

net::Awaitable<mapping::Mapped> ask_table(const mapping::Tables& tables, std::string table, std::string probe, mapping::Flags flags,
                                          Questions& questions, const QuestionFacts& facts, bool trace) {
  mapping::Evaluation evaluation(tables, table, std::move(probe), flags, trace);
  std::chrono::nanoseconds waited(0);
  while (evaluation.run() == mapping::Evaluation::State::asks) {
    if (waited >= kQuestionsTime) {
      evaluation.answer(std::nullopt, "the answers to this probe took too long");
      continue;
    }
    const bool known = questions.knows(evaluation.question());
    const auto began = base::steady_now();
    std::optional<std::string> text = co_await questions.answer(evaluation.question(), facts);
    waited += base::steady_now() - began;
    evaluation.answer(std::move(text), known ? "nothing found outside" : std::string_view(questions.unknown()));
  }
  co_return evaluation.take_result();
}

}  // namespace postern::policy
