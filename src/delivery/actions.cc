// SPDX-License-Identifier: Apache-2.0
// Carries out what the filters of a recipient decided.
//
// Mailboxes come first, then what is sent: a recipient that must wait for a mailbox has not sent anything yet. When an action fails, the
// rest is dropped and the message is kept, unless it stands in a mailbox of his (hardening.md 2).
#include "base/crc32c.h"
#include "base/log.h"
#include "base/text.h"
#include "delivery/filter_host.h"
#include "delivery/job.h"
#include "mail/message_id.h"
#include "sieve/digest.h"

#include <algorithm>
#include <array>

namespace postern::delivery {
namespace {

using base::Severity;
using mail::Recipient;
using net::Awaitable;
using ActionKind = sieve::Action::Kind;
using Memory = store::AccountMemory;

// Names the recipients whose filters have already sent a message on, so that a circle of redirects ends. The second one is what builds before this wrote.
constexpr std::string_view kDeliveredTo = "Delivered-To", kRedirectedBefore = "X-Postern-Redirected";
// Source channel of what is made here (access-control.md 3.1).
constexpr std::string_view kOwnChannel = "process";
// Stand for the number of an action, in the ids of what is no action's own message: copies (:fcc), and mail about scripts that fail.
constexpr std::size_t kFileCopy = 1U << 21, kOwnerNotice = 1U << 22;
// And for mail about a mailbox that is nearly full, which comes at most once in this time.
constexpr std::size_t kQuotaWarning = 1U << 18;
constexpr std::chrono::hours kQuotaNotice{24};
// A mailbox without room for a message of this size is full.
constexpr std::uint64_t kOrdinaryBytes = 64 * 1024;
// A message is not redirected to the same address twice within this time.
constexpr std::chrono::hours kRedirectTime{12};

// What comes first when actions are carried out.
unsigned phase(ActionKind kind) {
  switch (kind) {
    case ActionKind::keep:
    case ActionKind::fileinto:
    case ActionKind::hold: return 0;
    case ActionKind::redirect: return 1;
    case ActionKind::capture: return 2;
    case ActionKind::reject:
    case ActionKind::ereject:
    case ActionKind::refuse: return 3;
    case ActionKind::vacation: return 4;
    case ActionKind::notify: return 5;
    case ActionKind::discard:
    case ActionKind::jettison: break;
  }
  return 6;
}
constexpr unsigned kPhases = 6;

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string postmaster_of(std::string_view address) { return "postmaster@" + std::string(address.substr(address.rfind('@') + 1)); }

}  // namespace

std::string new_id_for(const mail::Envelope& envelope, const Recipient& recipient, std::size_t action) {
  return mail::derived_message_id(envelope.id, base::crc32c(recipient.address), static_cast<unsigned>(action));
}

std::string maildir_flags(const std::vector<std::string>& flags) {
  static constexpr std::pair<std::string_view, char> kLetters[] = {
      {"\\Draft", 'D'}, {"\\Flagged", 'F'}, {"\\Answered", 'R'}, {"\\Seen", 'S'}, {"\\Deleted", 'T'}};
  std::string letters;
  for (const auto& system_flag : kLetters)
    if (std::any_of(flags.begin(), flags.end(), [&](const std::string& flag) { return base::equal_ignoring_case(flag, system_flag.first); }))
      letters += system_flag.second;
  return letters;
}

std::vector<std::string> keywords_among(const std::vector<std::string>& flags) {
  std::vector<std::string> keywords;
  std::copy_if(flags.begin(), flags.end(), std::back_inserter(keywords), [](const std::string& flag) { return !flag.starts_with('\\'); });
  return keywords;
}

void follow_notify(Recipient& next, const Recipient& recipient, bool only) {
  next.orcpt = recipient.orcpt;
  next.orcpt_type = recipient.orcpt_type;
  next.notify_given = recipient.notify_given;
  next.notify_success = recipient.notify_success && only;
  next.notify_failure = recipient.notify_failure;
  next.notify_delay = recipient.notify_delay;
  next.notify_never = recipient.notify_given && !next.notify_success && !next.notify_failure && !next.notify_delay;
}

struct Deliverer::Progress {
  std::size_t index = 0;                              // of the recipient
  std::shared_ptr<const directory::Account> account;  // empty: no mailbox here
  const sieve::Decision& decision;
  bool in_mailbox = false;   // a failure behind it can't lose the message
  bool sent_on = false;      // redirected, or on its way by its channel
  bool leaves = false;       // the latter
  bool expanded = false;     // redirected, and not just to one address
  bool refused = false;      // rejected: it need not be stored
  bool suppressed = false;   // a redirect was not made: it stores nothing
  std::vector<std::string> folders = {};   // a message is filed in one folder once
  std::vector<std::string> notified = {};  // and nobody is notified twice
};

Awaitable<Deliverer::RecipientOutcome> Deliverer::carry_out(Job& job, std::size_t index, std::shared_ptr<const directory::Account> account,
                                                            const sieve::Decision& decision, bool discarded_by_table, store::Batch& batch) {
  const mail::Envelope& envelope = job.record->envelope;
  const Recipient& recipient = envelope.recipients[index];
  const auto& actions = decision.actions;
  const auto held = std::find_if(actions.begin(), actions.end(), [](const sieve::Action& action) { return action.kind == ActionKind::hold; });
  // Everything else waits with it: when the administrator lets the message go, its filters are asked again.
  if (held != actions.end() && !envelope.released)
    co_return RecipientOutcome{false, "filter, level " + std::string(decision.decided_by ? sieve::to_string(*decision.decided_by) : "unknown") + ", line " + std::to_string(held->line), true};

  Progress progress{index, account, decision};
  bool failed = false;
  std::vector<std::size_t> order;
  for (unsigned wanted = 0; wanted < kPhases; ++wanted)
    for (std::size_t number = 0; number < actions.size(); ++number)
      if (phase(actions[number].kind) == wanted) order.push_back(number);
  for (const std::size_t number : order) {
    const sieve::Action& action = actions[number];
    auto done = co_await perform(job, progress, number, action, batch);
    if (done) continue;
    failed = true;
    ++counters_.filter_errors;
    base::log_event(Severity::warning, "action-failed",
                    {{"id", envelope.id}, {"recipient", recipient.address}, {"action", sieve::to_string(action)}, {"reason", done.error().what}});
    break;
  }
  const bool stored = progress.in_mailbox || progress.sent_on;
  RecipientOutcome outcome;
  outcome.expanded = progress.expanded && !progress.in_mailbox && !progress.leaves;
  if ((failed && !progress.in_mailbox) || (progress.suppressed && !stored)) {
    auto kept = progress.leaves ? Result<void>() : keep(job, progress, {}, batch);
    const auto charge = account ? charges_.find(account->name) : charges_.end();
    if (!kept) co_return RecipientOutcome{.put_off = true, .reason = kept.error().what, .status = charge != charges_.end() && charge->second.full ? "4.2.2" : "4.3.0"};
    co_return RecipientOutcome{};
  }
  if (account && !failed) {
    auto& memory = job.remember[account->mailbox_directory];
    const base::WallTime now = base::wall_now();
    for (const sieve::Remembered& one : decision.remember) memory.push_back({Memory::Kind::duplicate, one.key, now, now + one.period, envelope.id});
  }
  if (stored || failed || progress.refused) co_return outcome;
  ++counters_.discarded;
  base::log_event(Severity::info, "discarded",
                  {{"id", envelope.id}, {"recipient", recipient.address},
                   {"by", decision.jettisoned ? "jettison" : discarded_by_table ? "access-table" : "discard"},
                   {"level", decision.decided_by ? sieve::to_string(*decision.decided_by) : "nobody"}});
  if (!discarded_by_table && parts_.discarded != nullptr && (decision.jettisoned ? settings_.keep_jettisoned : settings_.keep_discarded)) {
    job.discarded.push_back(index);
    job.discarded_by = std::string(decision.jettisoned ? "jettison" : "discard") + ", filter of level " + std::string(decision.decided_by ? sieve::to_string(*decision.decided_by) : "nobody");
    job.keep_discarded = *(decision.jettisoned ? settings_.keep_jettisoned : settings_.keep_discarded);
  }
  co_return RecipientOutcome{};
}

Awaitable<Result<void>> Deliverer::perform(Job& job, Progress& progress, std::size_t number, const sieve::Action& action, store::Batch& batch) {
  const mail::Envelope& envelope = job.record->envelope;
  const Recipient& recipient = envelope.recipients[progress.index];
  const FilterSubject subject(envelope, recipient, progress.account, settings_.filters.recipient_delimiter);
  switch (action.kind) {
    case ActionKind::keep:
    case ActionKind::hold:  // let go by the administrator
      co_return keep(job, progress, action, batch);
    case ActionKind::fileinto: {
      if (!progress.account) co_return Error{Kind::permanent, "the recipient has no mailbox here"};
      if (std::find(progress.folders.begin(), progress.folders.end(), action.target) != progress.folders.end()) co_return Result<void>();
      auto filed = file(job, recipient, *progress.account, {action.target, action.flags, action.create || settings_.create_folders, {}, action.special_use}, stored_text(job, action.message.get()), batch);
      if (!filed) co_return filed.error();
      progress.folders.push_back(action.target);
      progress.in_mailbox = true;
      co_return Result<void>();
    }
    case ActionKind::redirect: co_return co_await redirect(job, progress, number, action);
    case ActionKind::capture: {
      const std::string text = action.message ? action.message->text() : std::string(job.record->message());
      sieve::GeneratedMail copy = sieve::captured_copy(action.target, text, envelope_view(subject), reply_settings(progress), moment(job, progress.index, number));
      auto sent = co_await send(job, progress.index, number, std::move(copy), "capture");
      if (!sent) co_return sent.error();
      co_return Result<void>();
    }
    case ActionKind::reject:
    case ActionKind::ereject:
    case ActionKind::refuse: {
      sieve::GeneratedMail notice = sieve::rejection_notice(action, job.message(), envelope_view(subject), reply_settings(progress), moment(job, progress.index, number));
      auto sent = co_await send(job, progress.index, number, std::move(notice), std::string(sieve::to_string(action.kind)));
      if (!sent) co_return sent.error();
      // Nobody may be told, or nobody can be: to drop the message then would lose it without a word (hardening.md 2).
      if (!*sent) co_return keep(job, progress, {}, batch);
      progress.refused = true;
      base::log_event(Severity::info, "rejected", {{"id", envelope.id}, {"recipient", recipient.address}, {"by", sieve::to_string(action.kind)},
                                                   {"level", progress.decision.decided_by ? sieve::to_string(*progress.decision.decided_by) : "nobody"}});
      co_return Result<void>();
    }
    case ActionKind::vacation: co_return co_await answer(job, progress, number, *action.vacation, batch);
    case ActionKind::notify: co_return co_await notify(job, progress, number, *action.notification, batch);
    case ActionKind::discard:
    case ActionKind::jettison: break;
  }
  co_return Result<void>();
}

Result<void> Deliverer::keep(Job& job, Progress& progress, const sieve::Action& action, store::Batch& batch) {
  const Recipient& recipient = job.record->envelope.recipients[progress.index];
  if (!progress.account) {
    std::vector<std::string> tags = progress.decision.conversion_tags;
    if (!progress.decision.conversion_tags_set) tags.insert(tags.begin(), recipient.conversion_tags.begin(), recipient.conversion_tags.end());
    add_outgoing(job, progress.index, action.message.get(), std::move(tags));
    progress.sent_on = progress.leaves = true;
    return {};
  }
  if (std::find(progress.folders.begin(), progress.folders.end(), "INBOX") != progress.folders.end()) return {};
  auto filed = file(job, recipient, *progress.account, {"INBOX", action.flags, true}, stored_text(job, action.message.get()), batch);
  if (!filed) return filed;
  progress.folders.emplace_back("INBOX");
  progress.in_mailbox = true;
  return {};
}

const store::Text& Deliverer::stored_text(Job& job, const sieve::MessageVersion* version) {
  const mail::Envelope& envelope = job.record->envelope;
  const auto make = [&](std::string_view message) {
    std::vector<std::string_view> pieces;
    const std::string return_path = "Return-Path: <" + envelope.reverse_path + ">\r\n";
    pieces.push_back(return_path);
    std::string added;
    for (const std::string& field : envelope.added_header_fields) added += base::printable(field, 2048) + "\r\n";
    pieces.push_back(added);
    for (const std::string_view piece : without_return_path(message)) pieces.push_back(piece);
    return store::Text(pieces);
  };
  if (version == nullptr) {
    if (!job.text) job.text.emplace(make(job.record->message()));
    return *job.text;
  }
  // Recipients whose filters make the same of it share one file.
  std::string changed = version->text();
  if (!job.changed_text || job.changed_from != changed) {
    job.changed_text.emplace(make(changed));
    job.changed_from = std::move(changed);
  }
  return *job.changed_text;
}

Result<void> Deliverer::file(Job& job, const Recipient& recipient, const directory::Account& account, const Filing& filing, const store::Text& text, store::Batch& batch) {
  const mail::Envelope& envelope = job.record->envelope;
  store::NewMessage message;
  message.account_directory = account.mailbox_directory;
  message.folder = filing.folder == "INBOX" ? "" : filing.folder;
  message.create_folder = filing.create;
  message.message_id = filing.id.empty() ? envelope.id : filing.id;
  message.recipient_key = recipient.address;
  message.flags = maildir_flags(filing.flags);
  message.keywords = keywords_among(filing.flags);
  message.received = envelope.received;
  message.suspicious = job.suspicious;
  bool made = false;
  if (!filing.special_use.empty()) {
    const auto exists = parts_.store.folder_exists(account.mailbox_directory, message.folder);
    made = exists && !*exists;
  }
  auto added = account.quota_bytes == 0 && account.quota_messages == 0 ? batch.add(message, text) : add_within_quota(job, account, std::move(message), text, batch);
  if (!added) return added.error();
  if (made) give_use(account, filing.folder == "INBOX" ? "" : filing.folder, filing.special_use);
  job.left_traces = true;
  // A copy of a reply is not the message.
  if (filing.id.empty()) ++job.files;
  ++counters_.filed;
  if (base::log_enabled(Severity::info))
    job.delivered.push_back({{"id", filing.id.empty() ? envelope.id : filing.id},
                             {"from", envelope.reverse_path},
                             {"recipient", recipient.address},
                             {"mailbox", account.name},
                             {"folder", filing.folder},
                             {"bytes", text.crlf_bytes()},
                             {"again", *added == store::Outcome::already_there ? "yes" : "no"}});
  return {};
}

Result<store::Outcome> Deliverer::add_within_quota(Job& job, const directory::Account& account, store::NewMessage message, const store::Text& text, store::Batch& batch) {
  const std::uint64_t bytes = text.stored().size();
  store::MailboxQuota quota(parts_.store.files(), parts_.store.mail_directory(), account.mailbox_directory, {account.quota_bytes, account.quota_messages},
                            settings_.quota_recheck);
  // Whoever tried before may have died between the sum and the file: what is there tells.
  auto room = quota.take(bytes, job.suspicious && !charged_.contains(account.mailbox_directory));
  if (!room) return room.error();
  Charge& charge = charges_[account.name];
  charge.used = room->used;
  if (!room->fits) {
    // What stands there already needs no room.
    message.only_if_there = job.suspicious;
    auto there = message.only_if_there ? batch.add(message, text) : Result<store::Outcome>(Error{Kind::denied, ""});
    if (there || there.error().kind != Kind::denied) return there;
    charge.full = true;
    return Error{Kind::denied, "the mailbox is full: " + std::to_string(room->used.bytes) + " bytes in " + std::to_string(room->used.messages) + " messages, and " +
                                   std::to_string(bytes) + " bytes more are beyond its quota"};
  }
  charged_.insert(account.mailbox_directory);
  auto added = batch.add(message, text);
  if (!added || *added == store::Outcome::already_there)
    if (auto given = quota.give_back(*room, bytes); !given)
      [[maybe_unused]] const auto forgotten = store::forget_usage(parts_.store.files(), parts_.store.mail_directory(), account.mailbox_directory);
  return added;
}

Awaitable<void> Deliverer::note_quota(Job& job, std::size_t index, std::shared_ptr<const directory::Account> account) {
  const auto found = account ? charges_.find(account->name) : charges_.end();
  if (found == charges_.end()) co_return;
  const Charge charge = found->second;
  const mail::Envelope& envelope = job.record->envelope;
  const base::WallTime now = base::wall_now();
  // A single large message that does not fit says nothing of the next one.
  const bool full = charge.full && ((account->quota_messages != 0 && charge.used.messages >= account->quota_messages) ||
                                    (account->quota_bytes != 0 && charge.used.bytes + kOrdinaryBytes > account->quota_bytes));
  if (full != (account->full_until > now)) {
    const base::WallTime until = full ? now + settings_.quota_recheck : base::WallTime{};
    const auto noted = co_await parts_.directory.note_quota(account->name, until);
    if (!noted) base::log_event(Severity::warning, "quota-not-noted", {{"account", account->name}, {"reason", noted.error().what}});
    else if (full) base::log_event(Severity::notice, "mailbox-full", {{"account", account->name}, {"bytes", charge.used.bytes}, {"messages", charge.used.messages}});
  }
  const unsigned percent = settings_.quota_warning_percent;
  const auto reached = [&](std::uint64_t used, std::uint64_t quota) { return quota != 0 && static_cast<double>(used) * 100 >= static_cast<double>(quota) * percent; };
  if (percent == 0 || !(charge.full || reached(charge.used.bytes, account->quota_bytes) || reached(charge.used.messages, account->quota_messages))) co_return;
  const auto memory = memory_of(parts_.store, account->mailbox_directory, settings_.filters);
  const std::string key = sieve::digest({"quota"});
  auto earlier = memory.find(Memory::Kind::quota, key, now);
  if (!earlier || *earlier) co_return;
  // This mail comes into the same mailbox: remembered first, it causes no second one.
  std::vector<Memory::Entry> entries{{Memory::Kind::quota, key, now, now + kQuotaNotice, envelope.id}};
  const auto remembered = co_await note(account->mailbox_directory, std::move(entries));
  if (!remembered) {
    base::log_event(Severity::warning, "owner-not-told", {{"id", envelope.id}, {"owner", account->name}, {"reason", remembered.error().what}});
    co_return;
  }
  std::string body = "Your mailbox " + account->name + " is nearly full, or full:\r\n\r\n";
  if (account->quota_bytes != 0) body += "  " + std::to_string(charge.used.bytes) + " of " + std::to_string(account->quota_bytes) + " bytes\r\n";
  if (account->quota_messages != 0) body += "  " + std::to_string(charge.used.messages) + " of " + std::to_string(account->quota_messages) + " messages\r\n";
  body += "\r\nWhat does not fit waits, and goes back to its sender if there is no room for it in time. Please remove what\r\n"
          "you do not need any more, from all folders. You are told at most once a day.\r\n";
  static const sieve::Decision nothing;
  const Progress progress{index, account, nothing};
  sieve::GeneratedMail mail = sieve::owner_notice(account->name, "Your mailbox is nearly full", body, reply_settings(progress), moment(job, index, kQuotaWarning));
  auto sent = co_await send(job, index, kQuotaWarning, std::move(mail), "quota");
  if (!sent) base::log_event(Severity::warning, "owner-not-told", {{"id", envelope.id}, {"owner", account->name}, {"reason", sent.error().what}});
}

// RFC 8579 section 4.1: a use that can't be given stops nothing.
void Deliverer::give_use(const directory::Account& account, const std::string& folder, const std::string& use) {
  const int mail = parts_.store.mail_directory();
  auto facts = store::read_folder_facts(mail, account.mailbox_directory, folder);
  Result<void> written = facts ? Result<void>() : Result<void>(facts.error());
  if (facts) {
    facts->uses.push_back(use);
    if (facts->id.empty()) facts->id = store::new_folder_id();
    written = store::write_folder_facts(parts_.store.files(), mail, account.mailbox_directory, folder, *facts);
  }
  if (!written) base::log_event(Severity::warning, "use-not-given", {{"mailbox", account.name}, {"folder", folder}, {"use", use}, {"reason", written.error().what}});
}

Awaitable<Result<void>> Deliverer::redirect(Job& job, Progress& progress, std::size_t number, const sieve::Action& action) {
  const mail::Envelope& envelope = job.record->envelope;
  const Recipient& recipient = envelope.recipients[progress.index];
  const mail::MessageView& message = job.message();
  // What is not sent on is no failure, but stores nothing either (hardening.md 2).
  const auto suppress = [&](std::string_view reason) {
    progress.suppressed = true;
    base::log_event(Severity::info, "redirect-suppressed", {{"id", envelope.id}, {"recipient", recipient.address}, {"to", action.target}, {"reason", reason}});
    return Result<void>();
  };
  std::vector<std::size_t> fields;
  message.find("Received", fields);
  if (fields.size() > settings_.received_fields) co_return suppress("the message has been on its way too long");
  for (const std::string_view name : {kDeliveredTo, kRedirectedBefore}) {
    message.find(name, fields);
    for (const std::size_t field : fields)
      if (base::equal_ignoring_case(message.value(field), recipient.address)) co_return suppress("the message has been redirected by this address before");
  }

  std::string key;
  const base::WallTime now = base::wall_now();
  if (const auto id = message.first("Message-ID"); id && progress.account) {
    key = sieve::digest({"redirect", *id, action.target});
    auto earlier = memory_of(parts_.store, progress.account->mailbox_directory, settings_.filters).find(Memory::Kind::redirect, key, now, envelope.id);
    if (earlier && earlier->has_value()) co_return suppress("it went there as message " + (*earlier)->by);
  }
  auto recipients = co_await parts_.resolve(action.target);
  if (!recipients) co_return recipients.error();
  const std::string new_id = new_id_for(envelope, recipient, number);
  mail::Envelope next = envelope;
  next.recipients = std::move(*recipients);
  next.conversion_tags.clear();
  // What else the filters send on or store tells of itself.
  const auto passes_on = [](const sieve::Action& one) { return one.kind == ActionKind::redirect || one.kind == ActionKind::keep || one.kind == ActionKind::fileinto; };
  const auto& actions = progress.decision.actions;
  const bool only = std::count_if(actions.begin(), actions.end(), passes_on) == 1;
  for (Recipient& one : next.recipients) {
    one.conversion_tags = progress.decision.conversion_tags;
    follow_notify(one, recipient, only);
  }
  // Whoever sends it on has decided; what a table said of it no longer counts.
  next.discarded = next.released = next.restored = false;
  next.forwarded = true;
  auto sent = co_await send_on(job, progress.index, number, std::move(next), std::string(kDeliveredTo) + ": " + recipient.address + "\r\n", action.message);
  if (!sent) co_return sent.error();
  progress.sent_on = true;
  progress.expanded = progress.expanded || !only;
  ++counters_.redirected;
  if (!key.empty()) job.remember[progress.account->mailbox_directory].push_back({Memory::Kind::redirect, key, now, now + kRedirectTime, envelope.id});
  base::log_event(Severity::info, "redirected", {{"id", envelope.id}, {"recipient", recipient.address}, {"to", action.target}, {"new_id", new_id}});
  co_return Result<void>();
}

Awaitable<Result<void>> Deliverer::send_on(Job& job, std::size_t index, std::size_t action, mail::Envelope next, std::string fields,
                                           std::shared_ptr<const sieve::MessageVersion> version) {
  const mail::Envelope& envelope = job.record->envelope;
  next.id = new_id_for(envelope, envelope.recipients[index], action);
  job.sent.push_back(next.id);
  if (sent_.contains(next.id)) co_return Result<void>();
  next.added_header_fields.clear();
  // The same message may have been sent on before a crash. Who takes it knows so by the time it was received, which is that of this
  // one; what has gone on to other hosts is recognised only at the same attempt.
  next.attempts = envelope.attempts;
  for (const std::string& field : envelope.added_header_fields) fields += base::printable(field, 2048) + "\r\n";
  if (version) fields += version->text();
  else fields += job.record->message();
  auto submitted = co_await parts_.submit(next, std::move(fields));
  if (!submitted) {
    job.sent.pop_back();
    co_return submitted.error();
  }
  job.left_traces = true;
  co_return Result<void>();
}

Awaitable<Result<bool>> Deliverer::send(Job& job, std::size_t index, std::size_t action, sieve::GeneratedMail mail, std::string what) {
  const mail::Envelope& envelope = job.record->envelope;
  const Recipient& recipient = envelope.recipients[index];
  if (mail.to.empty()) {
    base::log_event(Severity::info, "not-sent", {{"id", envelope.id}, {"recipient", recipient.address}, {"what", what}, {"reason", mail.why_not}});
    co_return false;
  }
  mail::Envelope next;
  next.id = new_id_for(envelope, recipient, action);
  next.received = envelope.received;  // with the id what a replay is recognised by
  next.reverse_path = mail.from;
  next.source_channel = kOwnChannel;
  next.body_8bit = !is_ascii(mail.text);
  next.require_tls = envelope.require_tls;
  next.attempts = envelope.attempts;  // see send_on()
  std::string to;
  for (const std::string& address : mail.to) {
    auto found = co_await parts_.resolve(address);
    if (!found) co_return found.error().in("mail to " + address);
    to += (to.empty() ? "" : " ") + address;
    next.smtputf8 = next.smtputf8 || !is_ascii(address);
    for (Recipient& one : *found)
      if (std::none_of(next.recipients.begin(), next.recipients.end(), [&](const Recipient& other) { return other.address == one.address; }))
        next.recipients.push_back(std::move(one));
  }
  if (next.recipients.empty()) co_return false;
  const std::string new_id = next.id;
  if (!sent_.contains(new_id)) {
    auto submitted = co_await parts_.submit(std::move(next), std::move(mail.text));
    if (!submitted) co_return submitted.error();
  }
  job.sent.push_back(new_id);
  job.left_traces = true;
  ++counters_.generated;
  base::log_event(Severity::info, "generated", {{"id", envelope.id}, {"recipient", recipient.address}, {"what", what}, {"to", to}, {"new_id", new_id}});
  co_return true;
}

// By aliases of the directory that stand for one address; a group is a list, however short, and a catch-all is nobody's address.
Awaitable<bool> Deliverer::leads_to(std::string address, std::string account) {
  constexpr int kMostAliases = 10;
  for (int round = 0; round < kMostAliases; ++round) {
    const auto name = directory::canonical_account(address);
    if (!name) co_return false;
    if (*name == account) co_return true;
    auto local = co_await parts_.directory.is_local_domain(name->substr(name->rfind('@') + 1));
    if (!local || !*local) co_return false;
    auto other = co_await parts_.directory.account(*name);
    if (!other) co_return false;
    if (*other != nullptr) co_return (*other)->name == account;
    auto alias = co_await parts_.directory.alias(*name);
    if (!alias || *alias == nullptr || (*alias)->kind != directory::Alias::Kind::alias || (*alias)->members.size() != 1) co_return false;
    address = (*alias)->members.front();
  }
  co_return false;
}

Awaitable<std::vector<std::string>> Deliverer::own_addresses(Job& job, std::size_t index, std::shared_ptr<const directory::Account> account) {
  // Each is a question or three to the directory.
  constexpr std::size_t kMostAsked = 50;
  const mail::Envelope& envelope = job.record->envelope;
  std::vector<std::string> candidates{envelope.recipients[index].original, envelope.reverse_path};
  for (std::string& one : sieve::addressees(job.message(), kMostAsked)) candidates.push_back(std::move(one));
  std::vector<std::string> own;
  for (const std::string& candidate : candidates) {
    const auto at = candidate.rfind('@');
    if (at == std::string::npos || std::find(own.begin(), own.end(), candidate) != own.end()) continue;
    bool ours = co_await leads_to(candidate, account->name);
    if (const auto tag = candidate.find_first_of(settings_.filters.recipient_delimiter, 1); !ours && tag < at) {
      std::string bare = candidate.substr(0, tag) + candidate.substr(at);
      ours = co_await leads_to(std::move(bare), account->name);
    }
    if (ours) own.push_back(candidate);
  }
  co_return own;
}

Awaitable<Result<void>> Deliverer::answer(Job& job, Progress& progress, std::size_t number, const sieve::Vacation& vacation, store::Batch& batch) {
  const mail::Envelope& envelope = job.record->envelope;
  const Recipient& recipient = envelope.recipients[progress.index];
  // Without a memory nobody could say who has been answered.
  if (!progress.account) co_return Error{Kind::permanent, "the recipient has no mailbox here"};
  const FilterSubject subject(envelope, recipient, progress.account, settings_.filters.recipient_delimiter);
  sieve::ReplySettings settings = reply_settings(progress);
  settings.own_addresses = co_await own_addresses(job, progress.index, progress.account);
  sieve::GeneratedMail reply = sieve::vacation_reply(vacation, job.message(), envelope_view(subject), settings, moment(job, progress.index, number));
  if (!reply.to.empty() && vacation.period.count() > 0) {
    const auto memory = memory_of(parts_.store, progress.account->mailbox_directory, settings_.filters);
    const std::string key = sieve::digest({"vacation", vacation.key, base::lower(envelope.reverse_path)});
    const base::WallTime now = base::wall_now();
    auto earlier = memory.find(Memory::Kind::vacation, key, now);
    if (!earlier) co_return earlier.error();
    if (*earlier && (*earlier)->at + vacation.period > now) {
      base::log_event(Severity::info, "not-sent", {{"id", envelope.id}, {"recipient", recipient.address}, {"what", "vacation"}, {"reason", "the sender had it before"}});
      co_return Result<void>();
    }
    // The present :days decide (RFC 5230 section 4.2), so it is remembered for as long as any script may ask for. Before it is sent: one reply
    // too few is better than a circle.
    const auto most = std::max(vacation.period, settings_.filters.compile.run_limits.vacation_most);
    std::vector<Memory::Entry> entries{{Memory::Kind::vacation, key, now, now + most, envelope.id}};
    const auto remembered = co_await note(progress.account->mailbox_directory, std::move(entries));
    if (!remembered) co_return remembered.error();
  }
  const bool due = !reply.to.empty();
  const std::string text = due && vacation.copy ? reply.text : std::string();
  auto sent = co_await send(job, progress.index, number, std::move(reply), "vacation");
  if (!sent) co_return sent.error();
  if (due && vacation.copy) file_copy(job, progress, number, *vacation.copy, text, batch);
  co_return Result<void>();
}

Awaitable<Result<void>> Deliverer::notify(Job& job, Progress& progress, std::size_t number, const sieve::Notification& notification, store::Batch& batch) {
  const mail::Envelope& envelope = job.record->envelope;
  const FilterSubject subject(envelope, envelope.recipients[progress.index], progress.account, settings_.filters.recipient_delimiter);
  sieve::GeneratedMail mail = sieve::notification_mail(notification, job.message(), envelope_view(subject), reply_settings(progress), moment(job, progress.index, number));
  if (!mail.to.empty()) {
    std::erase_if(mail.to, [&](const std::string& address) { return std::find(progress.notified.begin(), progress.notified.end(), base::lower(address)) != progress.notified.end(); });
    for (const std::string& address : mail.to) progress.notified.push_back(base::lower(address));
    if (mail.to.empty()) mail.why_not = "another notification told them";
  }
  const bool due = !mail.to.empty();
  const std::string text = due && notification.copy ? mail.text : std::string();
  auto sent = co_await send(job, progress.index, number, std::move(mail), "notify");
  if (!sent) co_return sent.error();
  if (due && notification.copy) file_copy(job, progress, number, *notification.copy, text, batch);
  co_return Result<void>();
}

// RFC 8580 section 3: a copy that can't be stored stops nothing.
void Deliverer::file_copy(Job& job, const Progress& progress, std::size_t number, const sieve::FileCopy& copy, const std::string& text, store::Batch& batch) {
  const mail::Envelope& envelope = job.record->envelope;
  const Recipient& recipient = envelope.recipients[progress.index];
  Result<void> filed = Error{Kind::permanent, "the recipient has no mailbox here"};
  if (progress.account) {
    const store::Text stored(text);
    filed = file(job, recipient, *progress.account, {copy.mailbox, copy.flags, copy.create || settings_.create_folders, new_id_for(envelope, recipient, kFileCopy + number), copy.special_use}, stored, batch);
  }
  if (!filed) base::log_event(Severity::warning, "copy-not-filed", {{"id", envelope.id}, {"recipient", recipient.address}, {"folder", copy.mailbox}, {"reason", filed.error().what}});
}

sieve::ReplySettings Deliverer::reply_settings(const Progress& progress) const {
  sieve::ReplySettings settings;
  settings.host_name = settings_.filters.host_name;
  settings.postmaster = "postmaster@" + settings_.filters.host_name;
  if (progress.account) {
    settings.user_address = progress.account->name;
    settings.postmaster = postmaster_of(progress.account->name);
  }
  return settings;
}

sieve::Moment Deliverer::moment(const Job& job, std::size_t index, std::size_t action) const {
  const mail::Envelope& envelope = job.record->envelope;
  return {std::chrono::floor<std::chrono::seconds>(base::wall_now()), std::chrono::minutes(0), new_id_for(envelope, envelope.recipients[index], action)};
}

Awaitable<void> Deliverer::tell_owners(Job& job, std::size_t index, std::shared_ptr<const directory::Account> account, const std::vector<sieve::LevelError>& errors) {
  if (settings_.mistake_notice.count() == 0) co_return;
  const mail::Envelope& envelope = job.record->envelope;
  static const sieve::Decision nothing;
  for (std::size_t i = 0; i < errors.size(); ++i) {
    const sieve::LevelError& error = errors[i];
    // Those of channels and of the server fail for mail that leaves, too.
    const std::string owner = !account ? "postmaster@" + settings_.filters.host_name : error.level == sieve::Level::user ? account->name : postmaster_of(account->name);
    const std::string directory = account && error.level == sieve::Level::user ? account->mailbox_directory : directory::mailbox_directory_for(owner);
    const std::string key = sieve::digest({"mistake", sieve::to_string(error.level), error.script});
    const auto memory = memory_of(parts_.store, directory, settings_.filters);
    const base::WallTime now = base::wall_now();
    auto earlier = memory.find(Memory::Kind::mistake, key, now);
    if (!earlier || *earlier) continue;
    // This mail may meet the same script: remembered first, it causes no second one.
    std::vector<Memory::Entry> entries{{Memory::Kind::mistake, key, now, now + settings_.mistake_notice, envelope.id}};
    const auto remembered = co_await note(directory, std::move(entries));
    if (!remembered) {
      base::log_event(Severity::warning, "owner-not-told", {{"id", envelope.id}, {"owner", owner}, {"reason", remembered.error().what}});
      continue;
    }
    std::string body = "The mail filter \"" + error.script + "\" failed when a message was delivered:\r\n\r\n  ";
    if (error.line > 0) body += sieve::shown_place(error.rule, error.line, error.column) + ": ";
    body += base::printable(error.text, 1000) + "\r\n\r\nThe message was treated as if the filter had decided nothing. Until the filter is mended, this may happen to\r\n"
            "other messages too; there will be no further mail about it for a while.\r\n";
    const std::size_t action = kOwnerNotice + static_cast<std::size_t>(error.level);
    const Progress progress{index, account, nothing};
    sieve::GeneratedMail mail = sieve::owner_notice(owner, "Your mail filter failed", body, reply_settings(progress), moment(job, index, action));
    auto sent = co_await send(job, index, action, std::move(mail), "filter-error");
    if (!sent) base::log_event(Severity::warning, "owner-not-told", {{"id", envelope.id}, {"owner", owner}, {"reason", sent.error().what}});
  }
}

}  // namespace postern::delivery
