// SPDX-License-Identifier: Apache-2.0
#include "roles/verdicts.h"

#include "base/kill_point.h"
#include "base/log.h"
#include "base/text.h"
#include "delivery/filter_settings.h"
#include "delivery/verdict.h"
#include "net/await_callback.h"
#include "policy/channels.h"
#include "smtp/refusal.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace postern::roles {
namespace {

namespace asio = net::asio;
using net::Awaitable;

constexpr std::size_t kMostKnown = 20000;

// Contains "reject" (and so "ereject"), "refuse" or "include", in whatever case. Without these there is no way to refuse: they must be required
// by their names, in which backslashes mean nothing.
bool names_refusal(std::string_view script) {
  std::string without;
  if (script.find('\\') != std::string_view::npos) {
    without = script;
    std::erase(without, '\\');
    script = without;
  }
  constexpr std::array<std::string_view, 3> kWords = {"reject", "refuse", "include"};
  return std::any_of(kWords.begin(), kWords.end(), [&](std::string_view word) {
    const auto same = [](char in_script, char in_word) { return base::ascii_lower(in_script) == in_word; };
    return std::search(script.begin(), script.end(), word.begin(), word.end(), same) != script.end();
  });
}

// Waits until the descriptor is ready, or the time is over: then false.
Awaitable<bool> wait_for(std::shared_ptr<asio::posix::stream_descriptor> descriptor, asio::posix::stream_descriptor::wait_type what, std::chrono::steady_clock::time_point until) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_at(until);
  timer.async_wait([descriptor](const boost::system::error_code& error) {
    if (!error) descriptor->cancel();
  });
  boost::system::error_code error;
  co_await descriptor->async_wait(what, asio::redirect_error(net::use_awaitable, error));
  timer.cancel();
  co_return !error;
}

}  // namespace

Result<std::unique_ptr<Verdicts>> Verdicts::open(asio::io_context& io, service::Start& start, Submitter& submitter, directory::Client& directory,
                                                 const directory::Generations& generations) {
  base::Descriptor questions = start.take("verdicts-write");
  if (!questions) return Error{Kind::invalid, "no socket for verdicts was handed over"};
  auto marker = spool::VerdictMarker::open(base::system_files(), submitter.spool_directory());
  if (!marker) return marker.error();
  return std::unique_ptr<Verdicts>(new Verdicts(io, submitter, directory, generations, std::move(*marker), std::move(questions)));
}

Awaitable<bool> Verdicts::may_refuse(sieve::Level level, const std::string& source, std::string account) {
  if (!names_refusal(source)) co_return false;
  std::vector<sieve::LevelScript> scripts;
  delivery::ScriptOf script_of = [this](std::string name, std::string script) { return directory_.script_of(std::move(name), std::move(script)); };
  auto added = co_await delivery::add_script(programs_, scripts, level, std::string(), source, std::move(account), std::move(script_of));
  if (!added) co_return true;
  // One that does not compile decides nothing.
  co_return std::any_of(scripts.begin(), scripts.end(), [](const sieve::LevelScript& script) { return script.program && sieve::facts(*script.program).can_reject; });
}

Awaitable<void> Verdicts::look_at(std::shared_ptr<const conf::Configuration> configuration) {
  if (scripts_.configuration == configuration) co_return;
  Scripts scripts;
  scripts.configuration = configuration;
  programs_.set_options(delivery::compile_options(*configuration));
  known_.clear();  // what they include may have changed
  std::vector<conf::Mistake> checked_already;
  const auto channels = policy::Channels::parse(configuration->channels, checked_already);
  std::vector<std::pair<std::string, bool*>> files{{"before.filter", &scripts.server_before}, {"system.filter", &scripts.server}};
  for (const auto& [name, channel] : channels.all()) {
    files.emplace_back(channel.source_filter, &scripts.of_source[name]);
    files.emplace_back(channel.destination_filter, &scripts.of_destination[name]);
  }
  for (const auto& file : files) {
    if (file.first.empty()) continue;
    const std::string source = conf::filter_text(*configuration, conf::filter_path(*configuration, file.first));
    // Which of the levels above the users it is makes no difference here.
    *file.second = co_await may_refuse(sieve::Level::server, source, std::string());
  }
  scripts_ = std::move(scripts);
}

Awaitable<bool> Verdicts::account_may_refuse(std::string name) {
  const std::uint64_t generation = generations_.directory();
  const auto configuration = scripts_.configuration;
  auto account = co_await directory_.account(name);
  auto domain = co_await directory_.domain(name.substr(name.rfind('@') + 1));
  bool may = false;
  if (account && *account != nullptr) may = co_await may_refuse(sieve::Level::user, (*account)->filter, name);
  if (!may && domain && *domain != nullptr) may = co_await may_refuse(sieve::Level::domain, (*domain)->filter, std::string());
  // An answer that crossed a change is not kept.
  if (account && domain && generation == known_generation_ && configuration == scripts_.configuration) known_.emplace(std::move(name), may);
  co_return may;
}

Awaitable<bool> Verdicts::may_be_refused(std::shared_ptr<const conf::Configuration> configuration, const mail::Envelope& envelope) {
  if (configuration->delivery.verdict_time.count() == 0 || envelope.held || envelope.jettisoned) co_return false;
  {
    co_await look_at(configuration);
    const Scripts& scripts = scripts_;
    const auto named = [](const auto& of, const std::string& channel) {
      const auto found = of.find(channel);
      return found != of.end() && found->second;
    };
    if (scripts.server || scripts.server_before || named(scripts.of_source, envelope.source_channel)) co_return true;
    for (const mail::Recipient& recipient : envelope.recipients)
      if (named(scripts.of_destination, recipient.destination_channel)) co_return true;
  }
  if (const std::uint64_t generation = generations_.directory(); generation != known_generation_ || known_.size() > kMostKnown) {
    known_.clear();
    known_generation_ = generation;
  }
  for (const mail::Recipient& recipient : envelope.recipients) {
    if (recipient.account.empty()) continue;
    if (const auto known = known_.find(recipient.account); known != known_.end()) {
      if (known->second) co_return true;
      continue;
    }
    const bool may = co_await account_may_refuse(recipient.account);
    if (may) co_return true;
  }
  co_return false;
}

Awaitable<std::vector<mail::Refusal>> Verdicts::ask(spool::Position position, std::chrono::milliseconds limit) {
  using Wait = asio::posix::stream_descriptor;
  const auto until = std::chrono::steady_clock::now() + limit;
  const auto unanswered = [&](const std::string& reason) {
    base::log_event(base::Severity::warning, "verdict-missing", {{"record", spool::to_string(position)}, {"reason", reason}});
    return std::vector<mail::Refusal>();
  };
  auto ends = base::socket_pair(SOCK_SEQPACKET);
  if (!ends) co_return unanswered(ends.error().what);
  if (auto set = base::set_nonblocking(ends->first.get(), true); !set) co_return unanswered(set.error().what);
  auto answer = std::make_shared<Wait>(io_, ends->first.release());
  const std::string question = spool::encode_notice(std::span(&position, 1));
  // Full only when very many ask at once: each question is small, and whoever delivers reads them between two batches.
  for (auto sent = base::send_with_descriptors(questions_.native_handle(), question, {ends->second.get()}); !sent;
       sent = base::send_with_descriptors(questions_.native_handle(), question, {ends->second.get()})) {
    constexpr std::chrono::milliseconds kTryAgain{20};
    if (std::chrono::steady_clock::now() + kTryAgain >= until) co_return unanswered(sent.error().what);
    asio::steady_timer timer(io_, kTryAgain);
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(net::use_awaitable, ignored));
  }
  ends->second.reset();
  const bool ready = co_await wait_for(answer, Wait::wait_read, until);
  if (!ready) co_return unanswered("time limit");
  std::string bytes(delivery::kMostAnswerBytes, '\0');
  const ssize_t got = ::recv(answer->native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (got <= 0) co_return unanswered("the delivery process has ended");
  auto refusals = delivery::decode_verdict(std::string_view(bytes).substr(0, static_cast<std::size_t>(got)));
  if (!refusals) co_return unanswered("not an answer");
  co_return std::move(*refusals);
}

Awaitable<Result<smtp::Committed>> Verdicts::decide(spool::Position position, mail::Envelope envelope, bool each_answered, std::chrono::milliseconds limit) {
  POSTERN_KILL_POINT("pending-appended");
  std::vector<mail::Refusal> refusals = co_await ask(position, limit);
  refusals = smtp::answerable(envelope, std::move(refusals), each_answered);
  POSTERN_KILL_POINT("verdict-known");
  smtp::Committed committed;
  std::vector<std::uint32_t> numbers;
  for (mail::Refusal& refusal : refusals) {
    numbers.push_back(refusal.recipient);
    committed.refused.push_back({envelope.recipients[refusal.recipient].original, std::move(refusal.text)});
  }
  if (numbers.size() == envelope.recipients.size()) {
    committed.taken = false;
    marker_->drop(position);
    co_return committed;
  }
  std::function<void(std::function<void(Result<void>)>)> start = [this, &position, &numbers](std::function<void(Result<void>)> done) {
    marker_->accept(position, std::move(numbers), std::move(done));
  };
  auto noted = co_await net::await_callback<Result<void>>(std::move(start));
  if (!noted) co_return noted.error();
  auto announced = co_await submitter_.conclude(position);
  if (!announced) co_return announced.error();
  co_return committed;
}

}  // namespace postern::roles
