// SPDX-License-Identifier: Apache-2.0
#include "roles/smtp.h"

#include "base/log.h"
#include "directory/client.h"
#include "gate/activity.h"
#include "mail/encode.h"
#include "mail/message_id.h"
#include "queue/manager.h"
#include "roles/milters.h"
#include "roles/not_started.h"
#include "roles/outside.h"
#include "roles/rules_in_force.h"
#include "roles/sender_checks.h"
#include "roles/service_watch.h"
#include "roles/submitter.h"
#include "roles/verdicts.h"
#include "service/stream_service.h"
#include "smtp/session.h"

#include <algorithm>
#include <cmath>

namespace postern::roles {
namespace {

class LargeFile final : public smtp::LargeText {
 public:
  explicit LargeFile(spool::LargeMessage file) : file_(std::move(file)) {}
  Result<void> append(std::string_view bytes) override { return file_.append(bytes); }
  [[nodiscard]] std::uint64_t size_bytes() const override { return file_.size_bytes(); }
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, std::span<char> into) const override { return file_.read(offset, into); }
  spool::LargeMessage take() { return std::move(file_); }

 private:
  spool::LargeMessage file_;
};

// Names that are looked at to say how many messages wait for a domain (ETRN): a few milliseconds.
constexpr std::size_t kMostCounted = 5000;

// What sessions need, as this process has it.
class ProcessServices final : public smtp::Services {
 public:
  ProcessServices(RulesInForce& rules, Submitter& submitter, const spool::SharedState& outgoing, gate::Throttles* throttles, Verdicts& verdicts,
                  net::Resolver& resolver, Milters& milters, std::optional<gate::Activity> activity, unsigned child)
      : rules_(rules), submitter_(submitter), outgoing_(outgoing), throttles_(throttles), verdicts_(verdicts), sender_checks_(resolver),
        milters_(milters), activity_(std::move(activity)), child_(child) {}

  milter::Opener* milters() override { return &milters_; }

  std::shared_ptr<const conf::Configuration> configuration() override { return rules_.configuration(); }
  policy::Access access() override { return rules_.access(); }
  Result<void> check_backlog() override {
    const std::uint64_t waiting = backlog();
    const unsigned most = rules_.configuration()->spool.backlog_messages;
    if (waiting > most)
      return Error{Kind::temporary, std::to_string(waiting) + " messages wait for delivery, spool.backlog_messages is " + std::to_string(most)};
    return {};
  }
  std::chrono::milliseconds backlog_delay() override {
    const conf::Spool& spool = rules_.configuration()->spool;
    return spool::wait_for_delivery(backlog(), {spool.slow_down_messages, spool.backlog_messages, spool.slow_down_time});
  }
  Result<void> check_room() override { return submitter_.room(); }
  Result<Pending> try_now(const std::string& domain, std::chrono::seconds interval) override {
    if (!deferred_) {
      auto deferred = spool::Deferred::open(base::system_files(), submitter_.spool_directory());
      if (!deferred) return deferred.error();
      deferred_.emplace(std::move(*deferred));
    }
    const std::uint32_t destination = spool::destination_key(domain);
    // Before the queue takes them away.
    const auto waiting = deferred_->count(destination, kMostCounted);
    auto given = deferred_->give_order(queue::order_name(destination), interval);
    if (!given) return given.error();
    return waiting ? Pending{waiting->messages, waiting->all} : Pending{};
  }
  void message_refused(std::string_view status) override {
    if (!activity_) return;
    activity_->add(gate::ActivityCount::refused_messages);
    if (status == "5.4.6") activity_->add(gate::ActivityCount::loops_in);
  }
  std::string new_message_id() override { return mail::new_message_id(child_); }
  std::shared_ptr<void> message_begins() override { return submitter_.message_begins(); }
  net::Awaitable<Result<smtp::Committed>> commit(mail::Envelope envelope, std::string message, bool each_answered) override {
    const std::size_t bytes = message.size(), recipients = envelope.recipients.size();
    const auto configuration = rules_.configuration();
    const bool asked = co_await verdicts_.may_be_refused(configuration, envelope);
    if (!asked) {
      auto committed = co_await submitter_.submit(std::move(envelope), std::move(message));
      co_return counted(std::move(committed), bytes, recipients);
    }
    auto pending = co_await submitter_.append_pending(envelope, std::move(message));
    if (!pending) co_return pending.error();
    auto decided = co_await verdicts_.decide(*pending, std::move(envelope), each_answered, configuration->delivery.verdict_time);
    co_return counted(std::move(decided), bytes, recipients);
  }
  Result<std::unique_ptr<smtp::LargeText>> begin_large(const std::string& message_id) override {
    auto file = spool::LargeMessage::create(base::system_files(), submitter_.spool_directory(), message_id);
    if (!file) return file.error();
    return std::unique_ptr<smtp::LargeText>(std::make_unique<LargeFile>(std::move(*file)));
  }
  net::Awaitable<Result<smtp::Committed>> commit_large(mail::Envelope envelope, std::unique_ptr<smtp::LargeText> text, bool each_answered) override {
    // Every LargeText of this process was made above.
    spool::LargeMessage file = static_cast<LargeFile&>(*text).take();
    const std::uint64_t bytes = file.size_bytes();
    const std::size_t recipients = envelope.recipients.size();
    const auto configuration = rules_.configuration();
    const bool asked = co_await verdicts_.may_be_refused(configuration, envelope);
    if (!asked) {
      auto committed = co_await submitter_.submit_large(std::move(envelope), std::move(file));
      co_return counted(std::move(committed), bytes, recipients);
    }
    auto pending = co_await submitter_.append_pending_large(envelope, std::move(file));
    if (!pending) co_return pending.error();
    auto decided = co_await verdicts_.decide(*pending, std::move(envelope), each_answered, configuration->delivery.verdict_time);
    co_return counted(std::move(decided), bytes, recipients);
  }
  bool checks(const policy::SessionFacts& session) override { return SenderChecks::applies(*rules_.configuration(), session); }
  net::Awaitable<smtp::CheckResult> check(smtp::MessageUnderCheck message) override {
    co_return co_await sender_checks_.check(rules_.configuration(), message);
  }
  smtp::Counted count(std::string_view table, const std::string& account) override {
    smtp::Counted counted;
    if (throttles_ == nullptr) return counted;
    const auto now = base::steady_now();
    counted.exceeded = throttles_->count(table, account, false, now).value_or(false);
    if (!counted.exceeded) return counted;
    if (const auto key = throttles_->key(table, account, now)) {
      counted.count = static_cast<std::uint64_t>(std::ceil(key->level));
      counted.free_in = key->free_in;
    }
    return counted;
  }
  net::Awaitable<void> tell(std::vector<std::string> addresses, std::string subject, std::string text) override {
    mail::Envelope envelope;
    envelope.id = new_message_id();
    envelope.received = base::wall_now();
    envelope.source_channel = "process";
    std::string to;
    for (const std::string& address : addresses) {
      auto found = co_await policy::resolve(rules_.access(), address);
      if (!found) {
        base::log_event(base::Severity::warning, "notice-dropped", {{"id", envelope.id}, {"to", address}, {"reason", found.error().what}});
        continue;
      }
      for (mail::Recipient& recipient : *found) {
        const bool known = std::any_of(envelope.recipients.begin(), envelope.recipients.end(), [&](const mail::Recipient& other) { return other.address == recipient.address; });
        recipient.notify_success = recipient.notify_failure = recipient.notify_delay = false;
        if (!known) envelope.recipients.push_back(std::move(recipient));
      }
      (to += to.empty() ? "" : ", ") += address;
    }
    if (envelope.recipients.empty()) co_return;
    const std::string host = rules_.configuration()->host_name;
    // RFC 3834 section 5: nobody's program answers it.
    std::string message = mail::folded_field("From", "postmaster@" + host) + mail::folded_field("To", to) + mail::folded_field("Subject", subject);
    message += "Date: " + base::rfc5322_date(envelope.received) + "\r\nMessage-ID: <" + envelope.id + "@" + host + ">\r\n";
    message += "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + text;
    const std::string id = envelope.id;
    const auto committed = co_await submitter_.submit(std::move(envelope), std::move(message));
    if (!committed) base::log_event(base::Severity::warning, "notice-dropped", {{"id", id}, {"to", to}, {"reason", committed.error().what}});
    else base::log_event(base::Severity::info, "notice-sent", {{"id", ""}, {"to", to}, {"new_id", id}});
  }

 private:
  Result<smtp::Committed> counted(Result<void> committed, std::uint64_t bytes, std::size_t recipients) {
    if (!committed) return committed.error();
    return counted(Result<smtp::Committed>(smtp::Committed()), bytes, recipients);
  }
  Result<smtp::Committed> counted(Result<smtp::Committed> committed, std::uint64_t bytes, std::size_t recipients) {
    if (committed && committed->taken) submitter_.state().add_received(bytes, recipients - std::min(recipients, committed->refused.size()));
    return committed;
  }

  // Of both journals, and of the conversion channel: what is delivered faster than it can be sent on, or looked at, would only wait elsewhere.
  [[nodiscard]] std::uint64_t backlog() const { return submitter_.state().backlog() + submitter_.state().converting() + outgoing_.backlog(); }

  RulesInForce& rules_;
  Submitter& submitter_;
  const spool::SharedState& outgoing_;
  gate::Throttles* throttles_;
  Verdicts& verdicts_;
  SenderChecks sender_checks_;
  Milters& milters_;
  std::optional<gate::Activity> activity_;  // for who watches the server
  std::optional<spool::Deferred> deferred_;  // for orders to the queue, once there was one
  unsigned child_;
};

net::Awaitable<void> serve(net::SocketStream& stream, service::SessionContext& context, ProcessServices& services, Milters& milters) {
  auto info = session_info<smtp::SessionInfo>(context);
  info.module = context.module;
  info.initial_channel = policy::initial_channel(context.module, *context.row);
  info.debug_level = context.debug_level;
  for (const conf::Milter* const milter : conf::milters_of(*context.configuration, *context.listener, *context.row)) info.milters.push_back(*milter);
  const Milters::Use use(info.milters.empty() ? nullptr : &milters);
  ServiceWatch watch(context);
  co_await smtp::run_session(stream, services, std::move(info), watch);
}

}  // namespace

int run_smtp(service::Start& start) {
  net::asio::io_context io(1);
  auto generations = directory::Generations::map(start.take("generations"));
  if (!generations) return not_started("smtp", generations.error());
  auto submitter = Submitter::open(start);
  if (!submitter) return not_started("smtp", submitter.error());
  auto outgoing = map_journal_state(start, Journal::outgoing, false);
  if (!outgoing) return not_started("smtp", outgoing.error());
  auto prepared = (*submitter)->prepare();
  if (!prepared) return not_started("smtp", prepared.error());
  directory::Client directory(io, start.get("base"), *generations);
  auto verdicts = Verdicts::open(io, start, **submitter, directory, *generations);
  if (!verdicts) return not_started("smtp", verdicts.error());
  service::ControlLink link(io, start);
  Outside outside(io, start, start.get("base"), directory);
  TableObserver observer(io, start, outside.questions(), TableObserver::Share::network);
  RulesInForce rules(start, link, directory, outside.questions(), &observer);
  Milters milters(io);
  std::optional<gate::Activity> activity;
  if (auto memory = start.map("activity", true))
    if (auto attached = gate::Activity::attach(std::move(*memory))) activity.emplace(std::move(*attached));
  ProcessServices services(rules, **submitter, *outgoing, outside.throttles(), **verdicts, outside.resolver(), milters, std::move(activity), start.number);
  service::StreamService service(
      io, start, link,
      [&](net::SocketStream& stream, service::SessionContext& context) { return serve(stream, context, services, milters); }, rules.port_access(),
      &outside.resolver());
  auto begun = service.begin();
  if (!begun) return not_started("smtp", begun.error());
  io.run();
  (*submitter)->finish();
  return 0;
}

}  // namespace postern::roles
