// SPDX-License-Identifier: Apache-2.0
#include "delivery/deliverer.h"

#include "base/crc32c.h"
#include "base/kill_point.h"
#include "base/log.h"
#include "base/text.h"
#include "mail/message.h"
#include "mail/message_id.h"

#include <malloc.h>

#include <algorithm>
#include <array>

namespace postern::delivery {
namespace {

using base::Severity;
using mail::Recipient;
using net::Awaitable;

constexpr std::uint64_t kTrimBytes = 8 * 1024 * 1024;

// Where mail goes that was accepted for an account which is no more: a permanent fault of ours must not hide behind retries
// (hardening.md 1). It is a folder of postmaster's.
constexpr std::string_view kUndeliverableFolder = "Undeliverable";

// Recipients on this channel wait until the administrator lets their mail go (access-control.md 3.1).
constexpr std::string_view kHoldChannel = "hold";
// Stands for the number of an action where a message that was on hold goes on.
constexpr std::size_t kLetGo = 1U << 20;

// Names the recipients whose filters have already sent a message on, so that a circle of redirects ends.
constexpr std::string_view kRedirectedField = "X-Postern-Redirected";

// The id of a message that is made of this one: the same at every replay.
std::string new_id_for(const mail::Envelope& envelope, const Recipient& recipient, std::size_t action) {
  return mail::derived_message_id(envelope.id, base::crc32c(recipient.address), static_cast<unsigned>(action));
}

}  // namespace

std::string maildir_flags(const std::vector<std::string>& flags) {
  static constexpr std::pair<std::string_view, char> kLetters[] = {
      {"\\Draft", 'D'}, {"\\Flagged", 'F'}, {"\\Answered", 'R'}, {"\\Seen", 'S'}, {"\\Deleted", 'T'}};
  std::string letters;
  for (const auto& system_flag : kLetters)
    if (std::any_of(flags.begin(), flags.end(), [&](const std::string& flag) { return base::equal_ignoring_case(flag, system_flag.first); }))
      letters += system_flag.second;
  return letters;
}

std::vector<std::string_view> without_return_path(std::string_view message) {
  std::vector<std::string_view> pieces;
  std::size_t kept_from = 0, at = 0;
  bool dropping = false;
  while (at < message.size()) {
    const std::size_t end = std::min(message.find('\n', at), message.size() - 1) + 1;
    const std::string_view line = message.substr(at, end - at);
    if (line == "\r\n" || line == "\n") break;
    const bool folded = line.front() == ' ' || line.front() == '\t';
    const bool drop = folded ? dropping : base::starts_with_ignoring_case(line, "return-path:");
    if (drop && !dropping) pieces.push_back(message.substr(kept_from, at - kept_from));
    if (!drop && dropping) kept_from = at;
    dropping = drop;
    at = end;
  }
  if (dropping) kept_from = at;
  pieces.push_back(message.substr(kept_from));
  return pieces;
}

struct Deliverer::Job {
  spool::Position position;
  std::uint32_t deaths = 0;  // children that died while they worked on this record alone
  std::optional<spool::Record> record;
  std::optional<store::Text> text;
  std::unique_ptr<mail::MessageView> view;
  bool suspicious = false;
  bool left_traces = false;  // a file of it stands in a mailbox, promised or not, or a redirected copy in the journal
  std::size_t files = 0, recipients_filed = 0;
  bool unfinished = false;  // leave the record as it is: another attempt must come
  std::vector<std::size_t> put_off;  // recipients for deferred/
  std::vector<std::size_t> held;     // recipients for held/
  std::string held_by;
  std::vector<base::Fields> delivered;  // to be logged once it is true
};

struct Deliverer::RecipientOutcome {
  bool put_off = false;
  std::string reason;
  bool held = false;  // by `reason`
};

Deliverer::Deliverer(DelivererParts parts, DelivererSettings settings) : parts_(std::move(parts)), filtering_(parts_.store, parts_.directory) {
  set_settings(std::move(settings));
}

Deliverer::~Deliverer() = default;

void Deliverer::set_settings(DelivererSettings settings) {
  settings_ = std::move(settings);
  filtering_.set_settings(settings_.filters);
}

Awaitable<std::size_t> Deliverer::work(std::vector<spool::Position> positions, std::size_t most) {
  const std::vector<spool::Claim> claims = parts_.state.claim(positions, settings_.child, most);
  std::vector<spool::Position> granted;
  for (std::size_t i = 0; i < claims.size(); ++i)
    if (claims[i].granted) granted.push_back(positions[i]);
  // Asked under the claim: whoever had it before may have finished meanwhile.
  std::vector<spool::Position> unfinished = granted;
  parts_.reader.drop_finished(unfinished);
  if (unfinished.size() < granted.size()) {
    std::vector<spool::Position> finished;
    auto next = unfinished.begin();
    for (const spool::Position& position : granted) {
      if (next != unfinished.end() && *next == position) ++next;
      else finished.push_back(position);
    }
    parts_.state.release(finished, settings_.child);
  }
  std::vector<Job> together, alone;
  auto next = unfinished.begin();
  for (std::size_t i = 0; i < claims.size() && next != unfinished.end(); ++i) {
    if (!claims[i].granted || *next != positions[i]) continue;
    ++next;
    Job job;
    job.position = positions[i];
    job.deaths = claims[i].attempts;
    job.suspicious = claims[i].must_be_alone;
    (claims[i].must_be_alone ? alone : together).push_back(std::move(job));
  }
  if (!together.empty()) co_await work_on(std::move(together));
  for (Job& job : alone) {
    parts_.state.work_alone(job.position, settings_.child);
    std::vector<Job> one;
    one.push_back(std::move(job));
    co_await work_on(std::move(one));
  }
  co_return claims.size();
}

Awaitable<void> Deliverer::work_on(std::vector<Job> jobs) {
  auto next = jobs.begin();
  while (next != jobs.end()) {
    std::vector<Job> group;
    store::Batch batch = parts_.store.begin_batch();
    std::chrono::microseconds script_time{0};
    std::uint64_t bytes = 0;
    for (; next != jobs.end() && script_time < settings_.batch_script_time && bytes < settings_.batch_bytes; ++next) {
      co_await deliver(*next, batch, script_time);
      if (next->record) bytes += next->record->message().size();
      group.push_back(std::move(*next));
    }
    ++counters_.batches;
    POSTERN_KILL_POINT("before-store-sync");
    auto stored = batch.commit();
    POSTERN_KILL_POINT("after-store-sync");
    if (!stored) base::log_event(Severity::error, "delivery-not-stored", {{"reason", stored.error().what}, {"messages", group.size()}});
    conclude(group, stored.has_value());
    // Large messages came and went: what they took goes back to the system, not to a free list.
    group.clear();
    if (bytes >= kTrimBytes) ::malloc_trim(0);
  }
}

void Deliverer::conclude(std::vector<Job>& jobs, bool stored) {
  std::vector<spool::Position> finished;
  std::vector<const Job*> done;
  for (Job& job : jobs) {
    if (!stored || job.unfinished || (!job.held.empty() && !hold(job)) || (!job.put_off.empty() && !put_off(job))) {
      // Files that were not promised, and redirected copies, may be there all the same: whoever comes next must look.
      if (job.left_traces) parts_.state.note_death();
      parts_.state.put_back(job.position, settings_.child);
      ++counters_.put_back;
      continue;
    }
    finished.push_back(job.position);
    done.push_back(&job);
    for (const base::Fields& fields : job.delivered) base::log_event(Severity::info, "delivered", fields);
  }
  finished.insert(finished.end(), unmarked_.begin(), unmarked_.end());
  const std::size_t already_given = unmarked_.size();
  unmarked_.clear();
  if (finished.empty()) return;
  const std::span<const spool::Position> fresh(finished.data(), finished.size() - already_given);
  if (auto marked = parts_.reader.mark_finished(fresh); !marked) {
    base::log_event(Severity::error, "delivery-not-marked", {{"reason", marked.error().what}, {"messages", finished.size()}});
    unmarked_ = std::move(finished);
    return;
  }
  parts_.state.release(finished, settings_.child);
  parts_.state.add_finished(finished.size());
  for (const Job* const job : done)
    if (job->recipients_filed > 0) parts_.state.add_delivered(job->record->message().size(), job->recipients_filed);
  counters_.messages += finished.size();
}

bool Deliverer::put_off(Job& job) {
  mail::Envelope envelope = job.record->envelope;
  std::vector<Recipient> left;
  for (const std::size_t index : job.put_off) left.push_back(std::move(envelope.recipients[index]));
  envelope.recipients = std::move(left);
  const auto doubled = settings_.retry_first * (std::int64_t{1} << std::min<std::uint32_t>(envelope.attempts, 20));
  const base::WallTime next = base::wall_now() + std::min<std::chrono::seconds>(doubled, settings_.retry_most);
  ++envelope.attempts;
  auto put = parts_.deferred.put(envelope, job.record->message(), next, job.suspicious);
  if (!put) {
    base::log_event(Severity::error, "deferred-not-written", {{"id", envelope.id}, {"reason", put.error().what}});
    return false;
  }
  ++counters_.deferred;
  base::log_event(Severity::notice, "deferred",
                  {{"id", envelope.id}, {"recipients", envelope.recipients.size()}, {"attempts", envelope.attempts}, {"next", base::iso8601(next)}});
  return true;
}

bool Deliverer::hold(Job& job) {
  mail::Envelope envelope = job.record->envelope;
  std::vector<Recipient> left;
  for (const std::size_t index : job.held) left.push_back(std::move(envelope.recipients[index]));
  envelope.recipients = std::move(left);
  envelope.held = true;
  envelope.held_by = job.held_by;
  if (auto put = parts_.held.put(envelope, job.record->message(), job.suspicious); !put) {
    base::log_event(Severity::error, "held-not-written", {{"id", envelope.id}, {"reason", put.error().what}});
    return false;
  }
  job.left_traces = true;
  ++counters_.held;
  base::log_event(Severity::notice, "held", {{"id", envelope.id}, {"recipients", envelope.recipients.size()}, {"by", job.held_by}});
  return true;
}

Awaitable<void> Deliverer::deliver(Job& job, store::Batch& batch, std::chrono::microseconds& script_time) {
  auto record = parts_.reader.read(job.position);
  if (!record) {
    // Gone: it was finished. Corrupt: the scan sets it aside. Anything else: later.
    if (record.error().kind != Kind::not_found)
      base::log_event(Severity::error, "record-not-read", {{"record", spool::to_string(job.position)}, {"reason", record.error().what}});
    job.unfinished = true;
    co_return;
  }
  job.record.emplace(std::move(*record));
  const mail::Envelope& envelope = job.record->envelope;
  job.suspicious = job.suspicious || job.deaths > 0 || envelope.attempts > 0 || parts_.state.suspicious(envelope.received);

  if (envelope.jettisoned) {
    ++counters_.discarded;
    base::log_event(Severity::info, "discarded", {{"id", envelope.id}, {"by", "jettison"}});
    co_return;
  }
  if (envelope.held) {
    for (std::size_t index = 0; index < envelope.recipients.size(); ++index) job.held.push_back(index);
    job.held_by = envelope.held_by;
    co_return;
  }
  if (job.deaths >= settings_.attempts_alone)
    base::log_event(Severity::warning, "filters-skipped", {{"id", envelope.id}, {"deaths", job.deaths}});
  for (std::size_t index = 0; index < envelope.recipients.size(); ++index) {
    const std::size_t files_before = job.files;
    RecipientOutcome outcome = co_await deliver_to(job, index, batch, script_time);
    if (job.files > files_before) ++job.recipients_filed;
    ++counters_.recipients;
    if (outcome.held) {
      job.held.push_back(index);
      job.held_by = outcome.reason;
    }
    if (!outcome.put_off) continue;
    job.put_off.push_back(index);
    base::log_event(Severity::warning, "delivery-put-off",
                    {{"id", envelope.id}, {"recipient", envelope.recipients[index].address}, {"reason", outcome.reason}});
  }
  // A recipient's files may be many bytes; what scripts looked at is not needed any more.
  job.view.reset();
  job.text.reset();
}

Result<void> Deliverer::file(Job& job, const Recipient& recipient, const directory::Account& account, const std::string& folder,
                             const std::vector<std::string>& flags, bool create, store::Batch& batch) {
  const mail::Envelope& envelope = job.record->envelope;
  if (!job.text) {
    std::vector<std::string_view> pieces;
    const std::string return_path = "Return-Path: <" + envelope.reverse_path + ">\r\n";
    pieces.push_back(return_path);
    std::string added;
    for (const std::string& field : envelope.added_header_fields) added += base::printable(field, 2048) + "\r\n";
    pieces.push_back(added);
    for (const std::string_view piece : without_return_path(job.record->message())) pieces.push_back(piece);
    job.text.emplace(pieces);
  }
  store::NewMessage message;
  message.account_directory = account.mailbox_directory;
  message.folder = folder == "INBOX" ? "" : folder;
  message.create_folder = create;
  message.message_id = envelope.id;
  message.recipient_key = recipient.address;
  message.flags = maildir_flags(flags);
  message.received = envelope.received;
  message.suspicious = job.suspicious;
  auto added = batch.add(message, *job.text);
  if (!added) return added.error();
  job.left_traces = true;
  ++job.files;
  ++counters_.filed;
  if (base::log_enabled(Severity::info))
    job.delivered.push_back({{"id", envelope.id},
                             {"from", envelope.reverse_path},
                             {"recipient", recipient.address},
                             {"mailbox", account.name},
                             {"folder", folder},
                             {"bytes", job.text->crlf_bytes()},
                             {"again", *added == store::Outcome::already_there ? "yes" : "no"}});
  return {};
}

Awaitable<Deliverer::RecipientOutcome> Deliverer::deliver_to(Job& job, std::size_t index, store::Batch& batch,
                                                             std::chrono::microseconds& script_time) {
  const mail::Envelope& envelope = job.record->envelope;
  const Recipient& recipient = envelope.recipients[index];
  if (recipient.destination_channel == "bitbucket") {
    base::log_event(Severity::info, "discarded", {{"id", envelope.id}, {"recipient", recipient.address}, {"by", "bitbucket"}});
    co_return RecipientOutcome{};
  }
  if (recipient.destination_channel == kHoldChannel) {
    if (envelope.released) co_return co_await let_go(job, index);
    co_return RecipientOutcome{false, "channel hold", true};
  }
  if (recipient.account.empty()) co_return RecipientOutcome{true, "nothing here serves channel " + recipient.destination_channel};
  auto account = co_await parts_.directory.account(recipient.account);
  if (!account) co_return RecipientOutcome{true, account.error().what};
  if (*account == nullptr) {
    // RFC 5321 section 4.5.1: mail to postmaster is taken always. Without an account of that name it waits in the mailbox that the
    // account gets when somebody makes it.
    const std::string postmaster = "postmaster@" + recipient.account.substr(recipient.account.rfind('@') + 1);
    const bool gone = recipient.account != postmaster;
    auto owner = gone ? co_await parts_.directory.account(postmaster) : account;
    if (!owner) co_return RecipientOutcome{true, owner.error().what};
    if (*owner == nullptr) {
      auto unclaimed = std::make_shared<directory::Account>();
      unclaimed->name = postmaster;
      unclaimed->mailbox_directory = directory::mailbox_directory_for(postmaster);
      *owner = std::move(unclaimed);
      base::log_event(Severity::warning, "postmaster-without-account", {{"id", envelope.id}, {"account", postmaster}, {"mailbox", (*owner)->mailbox_directory}});
    }
    if (gone) {
      base::log_event(Severity::error, "account-gone", {{"id", envelope.id}, {"recipient", recipient.address}, {"kept_for", postmaster}});
      auto kept = file(job, recipient, **owner, std::string(kUndeliverableFolder), {}, true, batch);
      if (!kept) co_return RecipientOutcome{true, kept.error().what};
      co_return RecipientOutcome{};
    }
    *account = *owner;
  }

  const FilterSubject subject{envelope, recipient, *account};
  std::vector<sieve::LevelScript> scripts;
  if (job.deaths < settings_.attempts_alone) {
    auto found = co_await filtering_.scripts(subject);
    if (!found) co_return RecipientOutcome{true, found.error().what};
    scripts = std::move(*found);
  }
  sieve::Decision decision;
  if (scripts.empty()) {
    decision.actions.push_back({.implicit = true});
  } else {
    if (!job.view) job.view = std::make_unique<mail::MessageView>(job.record->message());
    decision = filtering_.decide(scripts, *job.view, subject);
    script_time += decision.cpu_used;
  }
  // $V is a discard of the lowest authority: whoever decided explicitly has his way, and after an error, or without the filters, nobody
  // knows whether somebody would have.
  const bool discarded_by_table = envelope.discarded && !decision.decided_by && !decision.jettisoned && decision.errors.empty() &&
                                  job.deaths < settings_.attempts_alone;
  if (discarded_by_table) std::erase_if(decision.actions, [](const sieve::Action& action) { return action.implicit; });
  for (const sieve::LevelError& error : decision.errors) {
    ++counters_.filter_errors;
    base::log_event(Severity::warning, "filter-error",
                    {{"id", envelope.id}, {"recipient", recipient.address}, {"level", sieve::to_string(error.level)}, {"script", error.script},
                     {"line", error.line}, {"column", error.column}, {"reason", error.text}});
  }
  if (!scripts.empty() && base::log_enabled(Severity::info)) {
    std::string actions;
    for (const sieve::Action& action : decision.actions) actions += (actions.empty() ? "" : ", ") + sieve::to_string(action);
    base::log_event(Severity::info, "filtered",
                    {{"id", envelope.id}, {"recipient", recipient.address},
                     {"decided_by", decision.decided_by ? sieve::to_string(*decision.decided_by) : "nobody"}, {"actions", actions}});
  }

  bool in_mailbox = false;   // a failure behind it can't lose the message
  bool failed = false;
  bool forwarded_or_stored = false;
  std::vector<std::string> folders;  // a message is filed in one folder once
  using ActionKind = sieve::Action::Kind;
  // Mailboxes first: a recipient that must wait for one has not sent anything on yet, and does so once.
  std::vector<std::size_t> order;
  for (const bool redirects : {false, true})
    for (std::size_t number = 0; number < decision.actions.size(); ++number)
      if ((decision.actions[number].kind == ActionKind::redirect) == redirects) order.push_back(number);
  for (const std::size_t number : order) {
    if (failed) break;
    const sieve::Action& action = decision.actions[number];
    if (action.kind == ActionKind::discard || action.kind == ActionKind::jettison) continue;
    Result<void> done;
    if (action.kind == ActionKind::redirect) {
      done = co_await redirect(job, index, number, action.target);
      if (done) ++counters_.redirected;
    } else {
      const std::string folder = action.kind == ActionKind::keep ? "INBOX" : action.target;
      if (std::find(folders.begin(), folders.end(), folder) != folders.end()) continue;
      done = file(job, recipient, **account, folder, action.flags, action.create || settings_.create_folders, batch);
      if (done) {
        folders.push_back(folder);
        in_mailbox = true;
      }
    }
    if (done) {
      forwarded_or_stored = true;
      continue;
    }
    failed = true;
    ++counters_.filter_errors;
    base::log_event(Severity::warning, "action-failed",
                    {{"id", envelope.id}, {"recipient", recipient.address}, {"action", sieve::to_string(action)}, {"reason", done.error().what}});
  }
  if (failed && !in_mailbox) {
    auto kept = file(job, recipient, **account, "INBOX", {}, true, batch);
    if (!kept) co_return RecipientOutcome{true, kept.error().what};
    co_return RecipientOutcome{};
  }
  if (!forwarded_or_stored && !failed) {
    ++counters_.discarded;
    base::log_event(Severity::info, "discarded",
                    {{"id", envelope.id}, {"recipient", recipient.address},
                     {"by", decision.jettisoned ? "jettison" : discarded_by_table ? "access-table" : "discard"},
                     {"level", decision.decided_by ? sieve::to_string(*decision.decided_by) : "nobody"}});
  }
  co_return RecipientOutcome{};
}

Awaitable<Result<void>> Deliverer::redirect(Job& job, std::size_t index, std::size_t action, std::string target) {
  const mail::Envelope& envelope = job.record->envelope;
  const Recipient& recipient = envelope.recipients[index];
  if (!job.view) job.view = std::make_unique<mail::MessageView>(job.record->message());
  std::vector<std::size_t> fields;
  job.view->find("Received", fields);
  if (fields.size() > settings_.received_fields) co_return Error{Kind::permanent, "the message has been on its way too long"};
  fields.clear();
  job.view->find(kRedirectedField, fields);
  for (const std::size_t field : fields)
    if (base::equal_ignoring_case(job.view->value(field), recipient.address))
      co_return Error{Kind::permanent, "the message has been redirected by this address before"};

  auto recipients = co_await parts_.resolve(target);
  if (!recipients) co_return recipients.error();
  const std::string new_id = new_id_for(envelope, recipient, action);
  mail::Envelope next = envelope;
  next.recipients = std::move(*recipients);
  next.conversion_tags.clear();
  // Whoever sends it on has decided; what a table said of it no longer counts.
  next.discarded = next.released = false;
  auto sent = co_await send_on(job, index, action, std::move(next), std::string(kRedirectedField) + ": " + recipient.address + "\r\n");
  if (!sent) co_return sent.error();
  base::log_event(Severity::info, "redirected", {{"id", envelope.id}, {"recipient", recipient.address}, {"to", target}, {"new_id", new_id}});
  co_return Result<void>();
}

Awaitable<Result<void>> Deliverer::send_on(Job& job, std::size_t index, std::size_t action, mail::Envelope next, std::string fields) {
  const mail::Envelope& envelope = job.record->envelope;
  next.id = new_id_for(envelope, envelope.recipients[index], action);
  next.added_header_fields.clear();
  // The same generated message may have been sent on and delivered before a crash: its store must look for it.
  next.attempts = job.suspicious ? std::max<std::uint32_t>(1, envelope.attempts) : 0;
  for (const std::string& field : envelope.added_header_fields) fields += base::printable(field, 2048) + "\r\n";
  fields += job.record->message();
  auto submitted = co_await parts_.submit(next, std::move(fields));
  if (!submitted) co_return submitted.error();
  job.left_traces = true;
  co_return Result<void>();
}

Awaitable<Deliverer::RecipientOutcome> Deliverer::let_go(Job& job, std::size_t index) {
  const mail::Envelope& envelope = job.record->envelope;
  const Recipient& recipient = envelope.recipients[index];
  const auto held_again = [&](const std::string& reason) {
    base::log_event(Severity::warning, "held-again", {{"id", envelope.id}, {"recipient", recipient.address}, {"reason", reason}});
    return RecipientOutcome{false, reason, true};
  };
  auto recipients = co_await parts_.resolve(recipient.original);
  if (!recipients) {
    if (recipients.error().kind == Kind::temporary) co_return RecipientOutcome{true, recipients.error().what};
    co_return held_again(recipients.error().what);
  }
  for (Recipient& found : *recipients) {
    if (found.destination_channel == kHoldChannel) co_return held_again("the address still belongs to channel hold");
    found.conversion_tags = recipient.conversion_tags;
  }
  mail::Envelope next = envelope;
  next.recipients = std::move(*recipients);
  auto sent = co_await send_on(job, index, kLetGo, std::move(next), {});
  if (!sent) co_return RecipientOutcome{true, sent.error().what};
  base::log_event(Severity::info, "let-go", {{"id", envelope.id}, {"recipient", recipient.address}, {"new_id", new_id_for(envelope, recipient, kLetGo)}});
  co_return RecipientOutcome{};
}

}  // namespace postern::delivery
