// SPDX-License-Identifier: Apache-2.0
#include "delivery/job.h"

#include "base/clock.h"
#include "base/kill_point.h"
#include "base/log.h"
#include "base/text.h"
#include "delivery/filter_host.h"
#include "mail/address.h"
#include "mail/message.h"
#include "mail/message_id.h"
#include "policy/channels.h"

#include <malloc.h>

#include <algorithm>
#include <array>

namespace postern::delivery {
namespace {

using base::Severity;
using mail::Recipient;
using net::Awaitable;

// Messages for other hosts in a batch: if their records are recycled before somebody looks, they are sent twice after a crash before they are marked.
constexpr std::size_t kOutgoingAtOnce = 64;
constexpr std::uint64_t kTrimBytes = 8 * 1024 * 1024;

// Where mail goes that was accepted for an account which is no more: a permanent fault of ours must not hide behind retries
// (hardening.md 1). It is a folder of postmaster's.
constexpr std::string_view kUndeliverableFolder = "Undeliverable";

// Recipients on this channel wait until the administrator lets their mail go (access-control.md 3.1).
constexpr std::string_view kHoldChannel = "hold";
// Stands for the number of an action where a message goes on to a group's members.
constexpr std::size_t kList = 1U << 19;
// Stands for the number of an action where a message that was on hold goes on.
constexpr std::size_t kLetGo = 1U << 20;
// Where it has been processed, and by which channel.
constexpr std::pair<std::string_view, std::size_t> kProcessed[] = {{"process", 1U << 25}, {"reprocess", 1U << 26}, {"defragment", 1U << 27}};
// And where a filter changed a message that leaves by its channel.
constexpr std::size_t kChanged = 1U << 23;
// For so long a memory is waited for that another process writes to, looked at so often; one write takes milliseconds.
constexpr std::chrono::milliseconds kMemoryTime{1000}, kMemoryPause{2};
// Of messages that could not be finished, so much of what was made of them is remembered.
constexpr std::size_t kMostSent = 200'000;

// What is left of it for some of its recipients.
mail::Envelope envelope_for(const std::vector<std::size_t>& recipients, mail::Envelope envelope) {
  std::vector<mail::Recipient> left;
  for (const std::size_t index : recipients) left.push_back(std::move(envelope.recipients[index]));
  envelope.recipients = std::move(left);
  return envelope;
}

}  // namespace

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

Deliverer::Deliverer(DelivererParts parts, DelivererSettings settings) : parts_(std::move(parts)), filtering_(parts_.store, parts_.directory, parts_.script_of) {
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
  parts_.reader.expect(unfinished);
  std::vector<Job> together, alone;
  together.reserve(unfinished.size());
  auto next = unfinished.begin();
  for (std::size_t i = 0; i < claims.size() && next != unfinished.end(); ++i) {
    if (!claims[i].granted || *next != positions[i]) continue;
    ++next;
    Job job;
    job.position = positions[i];
    job.deaths = claims[i].attempts;
    job.suspicious = claims[i].must_be_alone;
    job.mime = settings_.filters.mime;
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
    group.reserve(static_cast<std::size_t>(jobs.end() - next));
    store::Batch batch = parts_.store.begin_batch();
    std::chrono::microseconds script_time{0};
    std::uint64_t bytes = 0;
    std::size_t outgoing = 0;
    for (; next != jobs.end() && script_time < settings_.batch_script_time && bytes < settings_.batch_bytes && outgoing < kOutgoingAtOnce; ++next) {
      co_await deliver(*next, batch, script_time);
      outgoing += next->outgoing.size();
      if (next->record) bytes += next->record->message().size();
      group.push_back(std::move(*next));
    }
    ++counters_.batches;
    POSTERN_KILL_POINT("before-store-sync");
    auto stored = batch.commit();
    POSTERN_KILL_POINT("after-store-sync");
    if (!stored) base::log_event(Severity::error, "delivery-not-stored", {{"reason", stored.error().what}, {"messages", group.size()}});
    if (stored) co_await hand_on(group);
    // Files that were counted may be gone again.
    if (!stored)
      for (const std::string& directory : charged_) [[maybe_unused]] const auto forgotten = store::forget_usage(parts_.store.files(), parts_.store.mail_directory(), directory);
    charged_.clear();
    if (stored) co_await tell_success(group);
    co_await conclude(group, stored.has_value());
    filtering_.forget_seen();
    // Large messages came and went: what they took goes back to the system, not to a free list.
    group.clear();
    if (bytes >= kTrimBytes) ::malloc_trim(0);
  }
}

void Deliverer::add_outgoing(Job& job, std::size_t index, const sieve::MessageVersion* version, std::vector<std::string> tags, const std::string& mail_host) {
  const mail::Envelope& envelope = job.record->envelope;
  const Recipient& recipient = envelope.recipients[index];
  if (!parts_.send_out || (mail_host.empty() && !policy::is_sent_on(recipient.destination_channel))) {
    job.put_off.push_back(index);
    base::log_event(Severity::warning, "delivery-put-off",
                    {{"id", envelope.id}, {"recipient", recipient.address}, {"reason", "nothing here serves channel " + recipient.destination_channel}});
    return;
  }
  std::string changed = version != nullptr ? version->text() : std::string();
  // Two texts are two messages: what waits is told apart by its id.
  const auto same = [&](const Outgoing& one) { return version == nullptr ? one.first.id == envelope.id : one.first.id != envelope.id && one.second == changed; };
  auto place = std::find_if(job.outgoing.begin(), job.outgoing.end(), same);
  if (place == job.outgoing.end()) {
    job.changed_bytes += changed.size();
    place = job.outgoing.insert(place, {envelope, version != nullptr ? std::move(changed) : std::string(job.record->message())});
    place->first.recipients.clear();
    if (version != nullptr) place->first.id = new_id_for(envelope, recipient, kChanged);
  }
  Recipient& kept = place->first.recipients.emplace_back(recipient);
  kept.conversion_tags = std::move(tags);
  kept.next_host = mail_host;
  // There nobody knows that the address was taken apart here.
  if (!mail_host.empty()) kept.address = account_with_detail(recipient, settings_.filters.recipient_delimiter);
}

void Deliverer::leave_out_handed_on(Job& job) {
  if (!job.replayed || !parts_.handed_on_before) return;
  for (auto& [envelope, text] : job.outgoing) {
    const std::size_t known = std::erase_if(envelope.recipients, [&, &next = envelope](const Recipient& recipient) {
      return parts_.handed_on_before(next, recipient);
    });
    if (known > 0)
      base::log_event(Severity::notice, "handed-on",
                      {{"id", job.record->envelope.id}, {"new_id", envelope.id}, {"recipients", known}, {"earlier", "yes"}});
  }
  std::erase_if(job.outgoing, [](const Outgoing& outgoing) { return outgoing.first.recipients.empty(); });
}

// One sync for all of them. After a crash before they are marked, whoever comes next finds their records there.
Awaitable<void> Deliverer::hand_on(std::span<Job> jobs) {
  std::vector<Outgoing> messages;
  std::vector<Job*> senders;
  std::vector<std::vector<std::string>> made;  // by each of them, as in sent_
  for (Job& job : jobs) {
    if (job.unfinished) continue;
    leave_out_handed_on(job);
    for (Outgoing& outgoing : job.outgoing) {
      std::vector<std::string>& theirs = made.emplace_back();
      std::erase_if(outgoing.first.recipients, [&](const Recipient& recipient) {
        std::string one = outgoing.first.id + " " + std::to_string(outgoing.first.attempts) + " " + recipient.address;
        const bool earlier = sent_.contains(one);
        (earlier ? job.sent : theirs).push_back(std::move(one));
        return earlier;
      });
      if (outgoing.first.recipients.empty()) {
        made.pop_back();
        continue;
      }
      if (base::log_enabled(Severity::info))
        base::log_event(Severity::info, "handed-on",
                        {{"id", job.record->envelope.id}, {"new_id", outgoing.first.id}, {"recipients", outgoing.first.recipients.size()}});
      messages.push_back(std::move(outgoing));
      senders.push_back(&job);
    }
    job.outgoing.clear();
    job.changed_bytes = 0;
  }
  if (messages.empty()) co_return;
  const std::vector<Result<void>> sent = co_await parts_.send_out(std::move(messages));
  for (std::size_t i = 0; i < senders.size(); ++i) {
    if (sent[i]) {
      senders[i]->sent.insert(senders[i]->sent.end(), made[i].begin(), made[i].end());
      senders[i]->left_traces = true;
      continue;
    }
    senders[i]->unfinished = true;
    base::log_event(Severity::error, "not-handed-on", {{"id", senders[i]->record->envelope.id}, {"reason", sent[i].error().what}});
  }
}

// RFC 3461 section 5.2.7.3: where the address that the client gave stands for several, its sender hears that, and nothing more of each of them.
void Deliverer::note_expansions(Job& job) {
  std::map<std::string, std::vector<Recipient*>> by_original;
  for (Recipient& recipient : job.record->envelope.recipients)
    if (recipient.notify_success && !recipient.original.empty()) by_original[base::lower(recipient.original)].push_back(&recipient);
  for (const auto& [original, recipients] : by_original) {
    if (recipients.size() < 2) continue;
    job.expanded.push_back(*recipients.front());
    job.expanded.back().address = recipients.front()->original;
    for (Recipient* const recipient : recipients) {
      recipient->notify_success = false;
      // Who wanted to hear of nothing else wants to hear nothing now.
      recipient->notify_never = !recipient->notify_failure && !recipient->notify_delay;
    }
  }
}

// A crash behind it makes the same notice once more, under the same id.
Awaitable<void> Deliverer::tell_success(std::vector<Job>& jobs) {
  for (Job& job : jobs) {
    if ((job.to_tell.empty() && job.expanded.empty()) || job.unfinished || !parts_.tell) continue;
    std::vector<mail::RecipientStatus> delivered;
    for (const Recipient& recipient : job.expanded)
      delivered.push_back({recipient, mail::DeliveryAction::expanded, {"2.1.5", "the address stands for several", "", base::wall_now()}, {}});
    for (const std::size_t index : job.to_tell) {
      delivered.push_back({job.record->envelope.recipients[index], mail::DeliveryAction::delivered, {"2.1.5", "delivered to the mailbox", "", base::wall_now()}, {}});
      // RFC 3461 section 5.2.7.3: for its sender a message to a list ends there, and who its members are is not his business.
      if (job.lists.empty() || delivered.back().recipient.list_owner.empty()) continue;
      delivered.back().recipient.address = delivered.back().recipient.original;
      delivered.back().outcome.diagnostic = "handed to the members of the list";
    }
    auto told = co_await parts_.tell(job.record->envelope, job.record->message(), std::move(delivered));
    if (told) continue;
    job.unfinished = true;
    base::log_event(Severity::warning, "notice-not-sent", {{"id", job.record->envelope.id}, {"reason", told.error().what}});
  }
}

Awaitable<void> Deliverer::conclude(std::vector<Job>& jobs, bool stored) {
  std::vector<spool::Position> finished;
  std::vector<const Job*> done;
  for (Job& job : jobs) {
    if (!stored || job.unfinished || (!job.held.empty() && !hold(job)) || (!job.to_convert.empty() && !put_to_conversion(job)) || (!job.to_defragment.empty() && !put_to_defragment(job)) || (!job.discarded.empty() && !keep_discarded(job)) ||
        (!job.put_off.empty() && !put_off(job))) {
      // Files that were not promised, and redirected copies, may be there all the same: whoever comes next must look.
      if (job.left_traces) parts_.state.note_death();
      if (sent_.size() + job.sent.size() > kMostSent) sent_.clear();
      sent_.insert(job.sent.begin(), job.sent.end());
      parts_.state.put_back(job.position, settings_.child);
      ++counters_.put_back;
      continue;
    }
    co_await remember(job);
    for (const std::string& made : job.sent) sent_.erase(made);
    finished.push_back(job.position);
    done.push_back(&job);
    for (const base::Fields& fields : job.delivered) base::log_event(Severity::info, "delivered", fields);
  }
  finished.insert(finished.end(), unmarked_.begin(), unmarked_.end());
  const std::size_t already_given = unmarked_.size();
  unmarked_.clear();
  if (finished.empty()) co_return;
  const std::span<const spool::Position> fresh(finished.data(), finished.size() - already_given);
  if (auto marked = parts_.reader.mark_finished(fresh); !marked) {
    base::log_event(Severity::error, "delivery-not-marked", {{"reason", marked.error().what}, {"messages", finished.size()}});
    unmarked_ = std::move(finished);
    co_return;
  }
  parts_.state.release(finished, settings_.child);
  parts_.state.add_finished(finished.size());
  for (const Job* const job : done)
    if (job->recipients_filed > 0) parts_.state.add_delivered(job->record->message().size(), job->recipients_filed);
  counters_.messages += finished.size();
  if (std::any_of(done.begin(), done.end(), [](const Job* job) { return !job->to_defragment.empty(); })) parts_.defragmenter->arrived();
}

// Whoever died then may have put the message aside already, for this record.
std::optional<base::WallTime> Deliverer::earlier_death(const Job& job) const {
  return job.replayed ? std::optional(parts_.state.last_death()) : std::nullopt;
}

bool Deliverer::put_off(Job& job) {
  mail::Envelope envelope = envelope_for(job.put_off, job.record->envelope);
  const base::WallTime now = base::wall_now();
  // Until its sender lets it go (RFC 4865) nothing has been tried.
  if (!envelope.hold_until || *envelope.hold_until <= now) ++envelope.attempts;
  const base::WallTime next = queue::next_attempt(envelope, now, settings_.retry);
  auto put = parts_.deferred.put(envelope, job.record->message(), next, earlier_death(job));
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
  mail::Envelope envelope = envelope_for(job.held, job.record->envelope);
  envelope.held = true;
  envelope.held_by = job.held_by;
  if (auto put = parts_.held.put(envelope, job.record->message(), earlier_death(job)); !put) {
    base::log_event(Severity::error, "held-not-written", {{"id", envelope.id}, {"reason", put.error().what}});
    return false;
  }
  job.left_traces = true;
  ++counters_.held;
  base::log_event(Severity::notice, "held", {{"id", envelope.id}, {"recipients", envelope.recipients.size()}, {"by", job.held_by}});
  return true;
}

bool Deliverer::put_to_conversion(Job& job) {
  mail::Envelope envelope = envelope_for(job.to_convert, job.record->envelope);
  // At once, and it has an attempt there however long it has waited elsewhere.
  if (auto put = parts_.conversion->put(envelope, job.record->message(), base::WallTime{}, earlier_death(job)); !put) {
    base::log_event(Severity::error, "deferred-not-written", {{"id", envelope.id}, {"reason", put.error().what}});
    return false;
  }
  job.left_traces = true;
  base::log_event(Severity::info, "to-conversion", {{"id", envelope.id}, {"recipients", envelope.recipients.size()}});
  return true;
}

bool Deliverer::put_to_defragment(Job& job) {
  mail::Envelope envelope = envelope_for(job.to_defragment, job.record->envelope);
  const std::size_t recipients = envelope.recipients.size();
  const std::string id = envelope.id;
  if (auto put = parts_.defragmenter->put(std::move(envelope), *job.piece, job.position, job.record->message(), earlier_death(job)); !put) {
    base::log_event(Severity::error, "deferred-not-written", {{"id", id}, {"reason", put.error().what}});
    return false;
  }
  job.left_traces = true;
  base::log_event(Severity::info, "to-defragment", {{"id", id}, {"recipients", recipients}, {"number", job.piece->number}, {"total", job.piece->total}});
  return true;
}

bool Deliverer::keep_discarded(Job& job) {
  mail::Envelope envelope = envelope_for(job.discarded, job.record->envelope);
  envelope.held_by = job.discarded_by;
  if (auto put = parts_.discarded->put(envelope, job.record->message(), base::wall_now() + job.keep_discarded, earlier_death(job)); !put) {
    base::log_event(Severity::error, "discarded-not-written", {{"id", envelope.id}, {"reason", put.error().what}});
    return false;
  }
  job.left_traces = true;
  return true;
}

// What is not remembered may come twice; nothing is lost.
Awaitable<void> Deliverer::remember(const Job& job) {
  for (const auto& [directory, entries] : job.remember) {
    const auto noted = co_await note(directory, entries, false);
    if (!noted)
      base::log_event(Severity::warning, "not-remembered", {{"id", job.record->envelope.id}, {"mailbox", directory}, {"reason", noted.error().what}});
  }
}

Awaitable<Result<void>> Deliverer::note(std::string directory, std::vector<store::AccountMemory::Entry> entries, bool durable) {
  store::AccountMemory memory = memory_of(parts_.store, directory, settings_.filters);
  const auto until = base::steady_now() + kMemoryTime;
  net::asio::steady_timer pause(co_await net::asio::this_coro::executor);
  for (;;) {
    auto noted = memory.remember(entries, base::wall_now(), durable);
    if (noted || noted.error().kind != Kind::denied) co_return noted;
    if (base::steady_now() >= until) co_return Error{Kind::temporary, "another process keeps the memory locked"};
    pause.expires_after(kMemoryPause);
    boost::system::error_code ignored;
    co_await pause.async_wait(net::asio::redirect_error(net::use_awaitable, ignored));
  }
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
  job.replayed = job.suspicious || job.deaths > 0 || parts_.state.suspicious(envelope.received);
  job.suspicious = job.replayed || envelope.attempts > 0;

  // Not answered yet; nobody should have announced it.
  if (job.record->pending) {
    job.unfinished = true;
    co_return;
  }
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
  if (envelope.hold_until && *envelope.hold_until > base::wall_now()) {
    for (std::size_t index = 0; index < envelope.recipients.size(); ++index) job.put_off.push_back(index);
    co_return;
  }
  note_expansions(job);
  if (job.deaths >= settings_.attempts_alone)
    base::log_event(Severity::warning, "filters-skipped", {{"id", envelope.id}, {"deaths", job.deaths}});
  for (std::size_t index = 0; index < envelope.recipients.size(); ++index) {
    const std::size_t files_before = job.files;
    RecipientOutcome outcome = co_await deliver_to(job, index, batch, script_time);
    if (job.files > files_before) {
      ++job.recipients_filed;
      if (envelope.recipients[index].notify_success && !outcome.put_off) job.to_tell.push_back(index);
    }
    ++counters_.recipients;
    if (outcome.expanded && envelope.recipients[index].notify_success) job.expanded.push_back(envelope.recipients[index]);
    if (outcome.held) {
      job.held.push_back(index);
      job.held_by = outcome.reason;
    }
    // Many recipients, each with another text of a large message, are not held in memory all at once: whoever comes next after a crash
    // finds what was handed on already.
    if (job.changed_bytes >= settings_.batch_bytes) {
      co_await hand_on(std::span(&job, 1));
      if (job.unfinished) break;
    }
    if (!outcome.put_off) continue;
    job.put_off.push_back(index);
    job.record->envelope.recipients[index].last_failure = {outcome.status, outcome.reason, "", base::wall_now()};
    base::log_event(Severity::warning, "delivery-put-off",
                    {{"id", envelope.id}, {"recipient", envelope.recipients[index].address}, {"reason", outcome.reason}});
  }
  // A recipient's files may be many bytes; what scripts looked at is not needed any more.
  job.view.reset();
  job.text.reset();
  job.changed_text.reset();
  job.changed_from.clear();
}

// Whose mailbox the recipient's mail goes to; null: it has been taken care of.
Awaitable<Result<std::shared_ptr<const directory::Account>>> Deliverer::owner_of(Job& job, std::size_t index, store::Batch& batch) {
  const mail::Envelope& envelope = job.record->envelope;
  const Recipient& recipient = envelope.recipients[index];
  auto account = co_await parts_.directory.account(recipient.account);
  if (!account || *account != nullptr) co_return account;
  // RFC 5321 section 4.5.1: mail to postmaster is taken always. Without an account of that name it waits in the mailbox that the
  // account gets when somebody makes it.
  const std::string postmaster = "postmaster@" + recipient.account.substr(recipient.account.rfind('@') + 1);
  const bool gone = recipient.account != postmaster;
  if (gone) {
    account = co_await parts_.directory.account(postmaster);
    if (!account) co_return account;
  }
  if (*account == nullptr) {
    auto unclaimed = std::make_shared<directory::Account>();
    unclaimed->name = postmaster;
    unclaimed->mailbox_directory = directory::mailbox_directory_for(postmaster);
    *account = std::move(unclaimed);
    base::log_event(Severity::warning, "postmaster-without-account", {{"id", envelope.id}, {"account", postmaster}, {"mailbox", (*account)->mailbox_directory}});
  }
  if (!gone) co_return account;
  base::log_event(Severity::error, "account-gone", {{"id", envelope.id}, {"recipient", recipient.address}, {"kept_for", postmaster}});
  auto kept = file(job, recipient, **account, {std::string(kUndeliverableFolder), {}, true}, stored_text(job, nullptr), batch);
  if (!kept) co_return kept.error();
  co_return std::shared_ptr<const directory::Account>();
}

Awaitable<Deliverer::RecipientOutcome> Deliverer::deliver_to(Job& job, std::size_t index, store::Batch& batch,
                                                             std::chrono::microseconds& script_time) {
  const mail::Envelope& envelope = job.record->envelope;
  const Recipient& recipient = envelope.recipients[index];
  // Before all else: the message to the members takes those along who are on hold.
  if (!recipient.list_owner.empty() && !envelope.reverse_path.empty()) co_return co_await send_to_list(job, index);
  if (recipient.destination_channel == "bitbucket") {
    base::log_event(Severity::info, "discarded", {{"id", envelope.id}, {"recipient", recipient.address}, {"by", "bitbucket"}});
    co_return RecipientOutcome{};
  }
  if (recipient.destination_channel == kHoldChannel) {
    if (envelope.released) co_return co_await let_go(job, index);
    co_return RecipientOutcome{false, "channel hold", true};
  }
  if (parts_.defragmenter != nullptr && !envelope.defragmented && parts_.defragments && parts_.defragments(recipient.destination_channel)) {
    if (!std::exchange(job.piece_known, true)) job.piece = parts_.defragmenter->piece(envelope, job.record->message());
    if (job.piece) {
      job.to_defragment.push_back(index);
      co_return RecipientOutcome{};
    }
  }
  if (policy::is_deferred(recipient.destination_channel)) co_return co_await process(job, index);
  if (parts_.conversion != nullptr && !envelope.restored) {
    const bool converts = co_await parts_.converts(envelope, recipient);
    if (converts) {
      job.to_convert.push_back(index);
      co_return RecipientOutcome{};
    }
  }
  std::shared_ptr<const directory::Account> account;  // stays empty if the message leaves by its channel
  if (!recipient.account.empty()) {
    auto owner = co_await owner_of(job, index, batch);
    if (!owner) co_return RecipientOutcome{true, owner.error().what};
    if (*owner == nullptr) co_return RecipientOutcome{};
    account = std::move(*owner);
    if (directory::is_elsewhere(*account, base::lower(settings_.filters.host_name))) {
      send_to_mail_host(job, index, *account);
      co_return RecipientOutcome{};
    }
  }
  const FilterSubject subject(envelope, recipient, account, settings_.filters.recipient_delimiter);
  std::vector<sieve::LevelScript> scripts;
  if (job.deaths < settings_.attempts_alone && !envelope.restored) {
    auto found = co_await filtering_.scripts(subject);
    if (!found) co_return RecipientOutcome{true, found.error().what};
    scripts = std::move(*found);
  }
  sieve::Decision decision;
  if (scripts.empty()) {
    decision.actions.push_back({.implicit = true});
  } else {
    decision = filtering_.decide(scripts, job.message(), subject);
    script_time += decision.cpu_used;
  }
  // $V is a discard of the lowest authority: whoever decided explicitly has his way, and after an error, or without the filters, nobody
  // knows whether somebody would have.
  const bool discarded_by_table = envelope.discarded && !decision.decided_by && !decision.jettisoned && decision.errors.empty() &&
                                  job.deaths < settings_.attempts_alone && !envelope.restored;
  if (discarded_by_table) std::erase_if(decision.actions, [](const sieve::Action& action) { return action.implicit; });
  for (const sieve::LevelError& error : decision.errors) {
    ++counters_.filter_errors;
    base::Fields fields{{"id", envelope.id}, {"recipient", recipient.address}, {"level", sieve::to_string(error.level)}, {"script", error.script}};
    if (!error.rule.name.empty()) fields.emplace_back("rule", error.rule.name);
    fields.insert(fields.end(), {{"line", error.rule.name.empty() ? error.line : error.rule.line}, {"column", error.column}, {"reason", error.text}});
    base::log_event(Severity::warning, "filter-error", fields);
  }
  if (!scripts.empty() && base::log_enabled(Severity::info)) {
    std::string actions;
    for (const sieve::Action& action : decision.actions) {
      const std::string place = sieve::shown_place(action);
      actions += (actions.empty() ? "" : ", ") + sieve::to_string(action) + (place.empty() ? "" : " (" + place + ")");
    }
    base::log_event(Severity::info, "filtered",
                    {{"id", envelope.id}, {"recipient", recipient.address},
                     {"decided_by", decision.decided_by ? sieve::to_string(*decision.decided_by) : "nobody"}, {"actions", actions}});
  }

  charges_.clear();
  auto outcome = co_await carry_out(job, index, account, decision, discarded_by_table, batch);
  co_await note_quota(job, index, account);
  co_await tell_owners(job, index, account, decision.errors);
  co_return outcome;
}

void Deliverer::send_to_mail_host(Job& job, std::size_t index, const directory::Account& account) {
  add_outgoing(job, index, nullptr, job.record->envelope.recipients[index].conversion_tags, account.mail_host);
}

Awaitable<Deliverer::RecipientOutcome> Deliverer::send_to_list(Job& job, std::size_t index) {
  const mail::Envelope& envelope = job.record->envelope;
  const Recipient& recipient = envelope.recipients[index];
  if (const auto sent = job.lists.find(recipient.list_owner); sent != job.lists.end()) co_return sent->second;
  mail::Envelope next = envelope;
  next.reverse_path = recipient.list_owner;
  std::erase_if(next.recipients, [&](const Recipient& one) { return one.list_owner != recipient.list_owner; });
  // RFC 3461 section 5.2.7.3: what the sender asked for ends with the list.
  next.envelope_id.clear();
  next.ret = mail::Return::unspecified;
  next.deliver_by.reset();
  for (Recipient& one : next.recipients) {
    one.list_owner.clear();
    one.notify_given = one.notify_never = one.notify_success = one.notify_delay = false;
    one.notify_failure = true;
    one.orcpt.clear();
    one.orcpt_type.clear();
    one.last_failure = {};
  }
  const std::size_t members = next.recipients.size();
  auto sent = co_await send_on(job, index, kList, std::move(next), {});
  RecipientOutcome outcome;
  if (!sent) {
    outcome.put_off = true;
    outcome.reason = sent.error().what;
  } else {
    base::log_event(Severity::info, "sent-to-list",
                    {{"id", envelope.id}, {"owner", recipient.list_owner}, {"members", members}, {"new_id", new_id_for(envelope, recipient, kList)}});
    if (recipient.notify_success) job.to_tell.push_back(index);
  }
  job.lists.emplace(recipient.list_owner, outcome);
  co_return outcome;
}

Awaitable<Deliverer::RecipientOutcome> Deliverer::process(Job& job, std::size_t index) {
  const mail::Envelope& envelope = job.record->envelope;
  const std::string channel = envelope.recipients[index].destination_channel;
  if (const auto done = job.processed.find(channel); done != job.processed.end()) co_return done->second[index];
  if (!parts_.process) co_return RecipientOutcome{true, "nothing here serves channel " + channel};
  std::map<std::size_t, RecipientOutcome>& outcomes = job.processed[channel];
  mail::Envelope next = envelope;
  next.recipients.clear();
  policy::Effects effects;
  std::optional<std::size_t> first;
  std::vector<std::pair<std::size_t, policy::Reply>> refused;
  for (std::size_t i = 0; i < envelope.recipients.size(); ++i) {
    const Recipient& recipient = envelope.recipients[i];
    // Members of a list get a message of their own, which comes here in its turn.
    if (recipient.destination_channel != channel || (!recipient.list_owner.empty() && !envelope.reverse_path.empty())) continue;
    policy::RecipientDecision decision = co_await parts_.process(envelope, recipient);
    RecipientOutcome& outcome = outcomes[i];
    if (!decision.accepted && decision.reply.code < 500) {
      outcome = RecipientOutcome{true, decision.reply.text};
      if (decision.reply.status.starts_with("4.")) outcome.status = decision.reply.status;
    } else if (!decision.accepted) {
      refused.emplace_back(i, std::move(decision.reply));
    } else {
      effects.add(decision.effects);
      if (!first) first = i;
      for (Recipient& found : decision.recipients)
        if (std::none_of(next.recipients.begin(), next.recipients.end(), [&](const Recipient& known) {
              return known.address == found.address && known.detail == found.detail && known.destination_channel == found.destination_channel;
            }))
          next.recipients.push_back(std::move(found));
    }
  }
  const auto put_off = [&](const std::string& why) {
    for (auto& [i, outcome] : outcomes) outcome = RecipientOutcome{true, why};
  };
  if (!next.recipients.empty()) {
    if (policy::is_visible(channel)) next.source_channel = channel;
    if (effects.held) {
      next.held = true;
      next.held_by = effects.held_by;
    }
    next.discarded = next.discarded || effects.discarded;
    next.jettisoned = next.jettisoned || effects.jettisoned;
    next.spam_adjustments.insert(next.spam_adjustments.end(), effects.spam_adjustments.begin(), effects.spam_adjustments.end());
    std::string fields;
    for (const std::string& field : effects.header_fields) fields += base::printable(field, 2048) + "\r\n";
    const std::size_t recipients = next.recipients.size();
    const std::size_t action = std::find_if(std::begin(kProcessed), std::end(kProcessed), [&](const auto& one) { return one.first == channel; })->second;
    auto sent = co_await send_on(job, *first, action, std::move(next), std::move(fields));
    if (!sent) {
      put_off(sent.error().what);
      co_return outcomes[index];
    }
    base::log_event(Severity::info, "processed", {{"id", envelope.id}, {"channel", channel}, {"recipients", recipients}, {"new_id", new_id_for(envelope, envelope.recipients[*first], action)}});
  }
  if (!refused.empty()) {
    std::vector<std::size_t> numbers;
    for (const auto& [i, reply] : refused) numbers.push_back(i);
    auto told = co_await tell_refused(job, std::move(refused));
    if (!told)
      for (const std::size_t i : numbers) outcomes[i] = RecipientOutcome{true, told.error().what};
  }
  co_return outcomes[index];
}

// A crash behind it makes the same notice once more, under the same id.
Awaitable<Result<void>> Deliverer::tell_refused(Job& job, std::vector<std::pair<std::size_t, policy::Reply>> refused) {
  const mail::Envelope& envelope = job.record->envelope;
  std::vector<mail::RecipientStatus> failed;
  for (auto& [index, reply] : refused) {
    const Recipient& recipient = envelope.recipients[index];
    base::log_event(Severity::notice, "processing-refused",
                    {{"id", envelope.id}, {"recipient", recipient.address}, {"channel", recipient.destination_channel}, {"reply", reply.code}, {"status", reply.status}, {"text", reply.text}});
    failed.push_back({recipient, mail::DeliveryAction::failed, {reply.status, base::printable(reply.text), "", base::wall_now()}, {}});
  }
  if (!parts_.tell) co_return Error{Kind::temporary, "nobody tells the sender"};
  co_return co_await parts_.tell(envelope, job.record->message(), std::move(failed));
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
    if (recipient.conversion != Recipient::Conversion::unasked) found.conversion = recipient.conversion;
    follow_notify(found, recipient, true);
  }
  mail::Envelope next = envelope;
  next.recipients = std::move(*recipients);
  auto sent = co_await send_on(job, index, kLetGo, std::move(next), {});
  if (!sent) co_return RecipientOutcome{true, sent.error().what};
  base::log_event(Severity::info, "let-go", {{"id", envelope.id}, {"recipient", recipient.address}, {"new_id", new_id_for(envelope, recipient, kLetGo)}});
  co_return RecipientOutcome{};
}

}  // namespace postern::delivery
