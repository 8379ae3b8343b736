// SPDX-License-Identifier: Apache-2.0
#include "tools/outside_answers.h"

#include "net/run_coroutine.h"
#include "policy/dns_questions.h"
#include "policy/sequences.h"
#include "policy/site_daemons.h"
#include "policy/urls.h"
#include "tools/ctl_ask.h"

namespace postern::tools {
namespace {

using mapping::Question;
using policy::QuestionFacts;
using Text = std::optional<std::string>;

// The tool has nothing else to do meanwhile.
net::Awaitable<Text> ask_daemon(std::string path, std::string argument) {
  net::asio::io_context io(1);
  policy::SiteDaemons daemons(io);
  Text answer;
  net::asio::co_spawn(io, daemons.ask(std::move(path), std::move(argument)), [&](const std::exception_ptr& error, Text text) {
    if (!error) answer = std::move(text);
  });
  io.run();
  co_return answer;
}

// The number that a session would get next.
net::Awaitable<Text> sequence(const Context& context, Question question) {
  const auto number = policy::upcoming_in_sequence(context.base_directory(), question.name);
  if (!number) co_return std::nullopt;
  co_return policy::sequence_text(*number, question.radix, question.width, question.modulus);
}

}  // namespace

const char* const kAskDetails = "  --ask              ask the DNS, the directory, site daemons, URLs, counters and sequences too; nothing is changed\n";

OutsideAnswers::OutsideAnswers(const Context& context, bool ask)
    : context_(context), resolver_(context), directory_(context), questions_(ask ? "not known to this tool" : "not asked (needs the running server)") {
  if (!ask) return;
  policy::add_dns_questions(questions_, resolver_);
  for (const char* const routine : {"throttle", "throttle_p"})
    questions_.add(routine, [this](const Question& question, const QuestionFacts&) { return throttle(question.argument); });
  questions_.add_daemons([](const Question& question, const QuestionFacts&) { return ask_daemon(question.routine, question.argument); });
  questions_.add(Question::Kind::url, [this](const Question& question, const QuestionFacts&) { return url(question.argument); });
  questions_.add(Question::Kind::sequence, [this](const Question& question, const QuestionFacts&) { return sequence(context_, question); });
  questions_.add(Question::Kind::attribute, [this](const Question& question, const QuestionFacts&) { return attribute(question.name, question.routine); });
}

net::Awaitable<Text> OutsideAnswers::throttle(std::string argument) {
  const std::size_t comma = std::min(argument.find(','), argument.size());
  const std::string table = argument.substr(0, comma), key = argument.substr(std::min(comma + 1, argument.size()));
  const auto answer = tools::ask(context_, boost::json::object{{"command", "throttle"}, {"action", "show"}, {"table", table}, {"key", key}});
  bool exceeded = false;
  if (answer) each(*answer, "keys", [&](const boost::json::object& known) { exceeded = exceeded || truth(known, "exceeded"); });
  // Success means "too often" (access-control.md 8.1).
  if (exceeded) co_return std::string();
  co_return std::nullopt;
}

net::Awaitable<Text> OutsideAnswers::url(std::string url) {
  const std::string scheme = policy::url_scheme(url);
  Result<std::string> found = Error{Kind::invalid, "not asked"};
  if (scheme == "data") {
    found = policy::text_of_data_url(url);
  } else if (scheme == "file") {
    const auto path = policy::path_of_file_url(url);
    if (path) found = policy::first_line_of(*path);
  } else if (scheme == "ldap") {
    auto text = directory_.ldap_url(url);
    if (text) co_return std::move(*text);
  }
  if (!found) co_return std::nullopt;
  co_return std::move(*found);
}

net::Awaitable<Text> OutsideAnswers::attribute(std::string domain, std::string attribute) {
  const auto known = co_await directory_.domain(std::move(domain));
  if (!known || *known == nullptr) co_return std::nullopt;
  if (const std::string* const value = directory::attribute_of(**known, attribute)) co_return *value;
  auto text = directory_.entry_attribute(**known, attribute);
  if (!text) co_return std::nullopt;
  co_return std::move(*text);
}

}  // namespace postern::tools
