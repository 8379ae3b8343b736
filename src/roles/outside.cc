// SPDX-License-Identifier: Apache-2.0
#include "roles/outside.h"

#include "base/log.h"
#include "base/text.h"
#include "policy/dns_questions.h"
#include "policy/sequences.h"
#include "policy/urls.h"

namespace postern::roles {
namespace {

using mapping::Question;
using policy::QuestionFacts;

// For files: how many questions may wait, and how long one does.
constexpr unsigned kFileThreads = 1;
constexpr std::size_t kFileQueue = 256;
constexpr std::chrono::seconds kFileTime(5);

// The resolver child's own time limit speaks first: it knows whether there is an answer.
net::ResolverClientSettings resolver_settings(const conf::Configuration& configuration) {
  net::ResolverClientSettings settings;
  settings.time_limit = configuration.resolver.time_limit + std::chrono::seconds(1);
  settings.questions = configuration.resolver.questions_per_process;
  return settings;
}

// "TABLE,KEY": the key may have commas in it.
std::pair<std::string, std::string> table_and_key(const std::string& argument) {
  const auto comma = std::min(argument.find(','), argument.size());
  return {argument.substr(0, comma), argument.substr(std::min(comma + 1, argument.size()))};
}

}  // namespace

Outside::Outside(net::asio::io_context& io, const service::Start& start, int base, directory::Client& directory)
    : directory_(directory), resolver_(io, base, resolver_settings(*start.configuration)), daemons_(io), files_(io, kFileThreads, kFileQueue) {
  if (auto memory = start.map("throttles", true)) {
    auto throttles = gate::Throttles::attach(std::move(*memory));
    if (throttles) throttles_.emplace(std::move(*throttles));
    else base::log_event(base::Severity::error, "throttles-not-taken", {{"reason", throttles.error().what}});
  }
  policy::add_dns_questions(questions_, resolver_);
  add_throttle("throttle", false);
  add_throttle("throttle_p", true);
  questions_.add_daemons([this](const Question& question, const QuestionFacts&) { return daemons_.ask(question.routine, question.argument); });
  questions_.add(Question::Kind::sequence, [this, base](const Question& question, const QuestionFacts&) {
    return patient("sequence-failed", question.name, [base, question]() -> Result<std::string> {
      const auto number = policy::next_in_sequence(base, question.name);
      if (!number) return number.error();
      return policy::sequence_text(*number, question.radix, question.width, question.modulus);
    });
  });
  questions_.add(Question::Kind::url, [this](const Question& question, const QuestionFacts&) { return url(question.argument); });
  questions_.add(Question::Kind::attribute,
                 [this](const Question& question, const QuestionFacts&) { return attribute(question.name, question.routine); });
}

void Outside::add_throttle(const char* routine, bool penalize) {
  questions_.add(routine, [this, penalize](const Question& question, const QuestionFacts&) -> net::Awaitable<Text> {
    const auto [table, key] = table_and_key(question.argument);
    std::optional<bool> exceeded;
    if (throttles_) exceeded = throttles_->count(table, key, penalize, base::steady_now());
    if (!exceeded) complaints_.say("throttle-unknown", table, "there is no such table in throttle of postern.conf");
    // Success means "too often" (access-control.md 8.1).
    if (exceeded.value_or(false)) co_return std::string();
    co_return std::nullopt;
  });
}

net::Awaitable<Outside::Text> Outside::patient(const char* event, std::string what, std::function<Result<std::string>()> work) {
  // Written by the thread, read only when it is done.
  const auto reason = std::make_shared<std::string>();
  std::function<Text()> task = [reason, work = std::move(work)]() -> Text {
    auto text = work();
    if (text) return std::move(*text);
    *reason = text.error().what;
    return std::nullopt;
  };
  const auto ended = co_await files_.run(std::move(task), kFileTime);
  if (ended.text) co_return std::move(*ended.text);
  switch (ended.outcome) {
    case net::BlockingWork::Outcome::done: complaints_.say(event, what, *reason); break;
    case net::BlockingWork::Outcome::too_late: complaints_.say(event, what, "no answer within " + std::to_string(kFileTime.count()) + " s"); break;
    case net::BlockingWork::Outcome::queue_full: complaints_.say(event, what, "too many wait for files already"); break;
  }
  co_return std::nullopt;
}

net::Awaitable<Outside::Text> Outside::url(std::string url) {
  const std::string scheme = policy::url_scheme(url);
  Result<std::string> found = Error{Kind::invalid, "expected a data:, file: or ldap: URL"};
  if (scheme == "data") {
    found = policy::text_of_data_url(url);
  } else if (scheme == "file") {
    const auto path = policy::path_of_file_url(url);
    if (path) {
      std::function<Result<std::string>()> work = [path = *path] { return policy::first_line_of(path); };
      co_return co_await patient("url-failed", url, std::move(work));
    }
    found = path.error();
  }
  if (scheme == "ldap") {
    auto text = co_await directory_.ldap_url(url);
    if (text) co_return std::move(*text);
    found = text.error();
  }
  if (found) co_return std::move(*found);
  complaints_.say("url-failed", url, found.error().what);
  co_return std::nullopt;
}

net::Awaitable<Outside::Text> Outside::attribute(std::string domain, std::string attribute) {
  auto value = co_await directory_.domain_attribute(std::move(domain), attribute);
  if (value) co_return std::move(*value);
  complaints_.say("attribute-failed", attribute, value.error().what);
  co_return std::nullopt;
}

}  // namespace postern::roles
