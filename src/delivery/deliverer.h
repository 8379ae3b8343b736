// SPDX-License-Identifier: Apache-2.0
#pragma once
// Takes records of the journal to their end: filters, mailboxes, deferred messages, marks (deliverer.cc); and carries out what filters
// decide (actions.cc).
//
// The order for each batch: claim; run the filters of every recipient and write all files; sync them together; put what could not
// be delivered into deferred/ (durable); mark the records finished; give the claims back. Whatever fails leaves the record
// unfinished: another attempt comes with the next scan, and the store recognises what it has.
//
// The implicit keep is cancelled only by an action that stored or forwarded the message (hardening.md 2): when an action fails,
// those done stay done, the rest is dropped, and the message is kept in the inbox unless it is in a mailbox already. A rejection of which nobody may
// be told keeps it too.
//
// Failure: none to the caller; every trouble is logged with the message's id. Limits: one batch at a time.
#include "net/asio.h"

#include "delivery/defragmenter.h"
#include "delivery/filtering.h"
#include "directory/directory.h"
#include "mail/delivery_status.h"
#include "mail/envelope.h"
#include "policy/access.h"
#include "queue/retry_schedule.h"
#include "sieve/replies.h"
#include "spool/journal.h"
#include "store/account_memory.h"
#include "store/maildir.h"
#include "store/quota.h"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace postern::delivery {

struct DelivererSettings {
  unsigned child = 0;
  unsigned attempts_alone = 3;                   // deaths until a message is delivered by plain keep
  std::uint64_t batch_bytes = 32 * 1024 * 1024;  // of messages after which a batch is synced: they are held in memory until then
  std::chrono::milliseconds batch_script_time{250};  // CPU of all filters after which a batch is synced, so that nobody waits for a slow script
  queue::RetrySchedule retry{.first = std::chrono::seconds(60), .most = std::chrono::seconds(3600)};
  bool create_folders = true;                    // fileinto makes a folder that is missing
  std::chrono::seconds mistake_notice{86400};    // between two mails about a script that fails; 0: none
  // What filters discard, or jettison, is kept so long (DelivererParts::discarded); nothing: it is gone at once.
  std::optional<std::chrono::seconds> keep_discarded, keep_jettisoned;
  unsigned received_fields = 50;                 // more: a redirect counts as a loop
  FilterSettings filters;
  unsigned quota_warning_percent = 90;           // from this on the owner of a mailbox is told; 0: never
  std::chrono::seconds quota_recheck{900};       // store/quota.h; so long, too, no mail is taken for a mailbox that is full
};

// A message for other hosts: the envelope with the recipients that it is for.
using Outgoing = std::pair<mail::Envelope, std::string>;

// What the deliverer works with; all must outlive it.
struct DelivererParts {
  spool::JournalReader& reader;
  spool::SharedState& state;
  spool::Deferred& deferred;
  spool::Held& held;
  store::Store& store;
  directory::Lookups& directory;
  // Puts a generated message into the journal (durable on return) and tells the delivery children.
  std::function<net::Awaitable<Result<void>>(mail::Envelope, std::string)> submit;
  // The final recipients of an address that a filter redirects to, or that was on hold. Kind::permanent: this server can't send there.
  std::function<net::Awaitable<Result<std::vector<mail::Recipient>>>(std::string)> resolve;
  // Where messages stay that a filter discarded (access-control.md 6.6), the time in their names being that of their end. Null: nowhere.
  spool::Deferred* discarded = nullptr;
  Filtering::ScriptOf script_of = {};  // none: accounts have no scripts that others include
  // Puts messages into the journal of what goes on to other hosts (durable on return), the answers in their order, and tells the relay
  // children. None: they are put off.
  std::function<net::Awaitable<std::vector<Result<void>>>(std::vector<Outgoing>)> send_out = {};
  // Whether that journal has, or had, a record of this message for this recipient at this attempt (spool/earlier_records.h). Asked only for
  // what a process that died may have handed on. None: nothing is known of it.
  std::function<bool(const mail::Envelope&, const mail::Recipient&)> handed_on_before = {};
  // Tells the sender what has become of recipients (queue::Notifier::tell()); durable on return. None: nobody is told.
  std::function<net::Awaitable<Result<void>>(mail::Envelope, std::string_view, std::vector<mail::RecipientStatus>)> tell = {};
  // Where messages go that are to be converted before the filters see them, and whether one is, for this recipient. Null, none: nothing is.
  spool::Deferred* conversion = nullptr;
  std::function<net::Awaitable<bool>(const mail::Envelope&, const mail::Recipient&)> converts = {};
  // Where a recipient on channel process, reprocess or defragment goes (policy::process()). None: he is put off.
  std::function<net::Awaitable<policy::RecipientDecision>(const mail::Envelope&, const mail::Recipient&)> process = {};
  // Where pieces of messages wait for each other, and whether those for a channel do. Null, none: they go on as they are.
  Defragmenter* defragmenter = nullptr;
  std::function<bool(const std::string& channel)> defragments = {};
};

class Deliverer {
 public:
  Deliverer(DelivererParts parts, DelivererSettings settings);
  ~Deliverer();
  // For a reload: holds from the next batch on.
  void set_settings(DelivererSettings settings);
  // How it asks filters.
  [[nodiscard]] Filtering& filtering() { return filtering_; }

  // Works on at most `most` of these records, from the front on and as far as nobody else has them and they are not finished. Returns how many
  // positions it looked at; the rest is for another call.
  net::Awaitable<std::size_t> work(std::vector<spool::Position> positions, std::size_t most = SIZE_MAX);

  struct Counters {
    std::uint64_t messages = 0, recipients = 0, filed = 0, redirected = 0, discarded = 0, deferred = 0, held = 0, filter_errors = 0, batches = 0;
    std::uint64_t put_back = 0;  // records left for another attempt
    std::uint64_t generated = 0;  // vacation replies, notices, notifications, captured copies
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Job;
  struct RecipientOutcome;
  net::Awaitable<void> work_on(std::vector<Job> jobs);
  net::Awaitable<void> deliver(Job& job, store::Batch& batch, std::chrono::microseconds& script_time);
  net::Awaitable<Result<std::shared_ptr<const directory::Account>>> owner_of(Job& job, std::size_t index, store::Batch& batch);
  net::Awaitable<RecipientOutcome> deliver_to(Job& job, std::size_t index, store::Batch& batch, std::chrono::microseconds& script_time);
  // The mailbox is on another host, where the filters are asked: relay takes it there.
  void send_to_mail_host(Job& job, std::size_t index, const directory::Account& account);
  // A message of their own for all members of groups with the same owner as this recipient's: he is its sender.
  net::Awaitable<RecipientOutcome> send_to_list(Job& job, std::size_t index);
  // All recipients on the channel of this one, process, reprocess or defragment: a message of their own for where their addresses lead now.
  net::Awaitable<RecipientOutcome> process(Job& job, std::size_t index);
  net::Awaitable<Result<void>> tell_refused(Job& job, std::vector<std::pair<std::size_t, policy::Reply>> refused);
  // Once more for a recipient that was on hold: his mail has been let go.
  net::Awaitable<RecipientOutcome> let_go(Job& job, std::size_t index);
  // Puts a recipient whose mail leaves by its channel into a message for other hosts, with what a filter made of it (null: as it came) and the
  // tags it has from then on, its own among them. `mail_host`: the host that has its mailbox; empty: by its channel.
  void add_outgoing(Job& job, std::size_t index, const sieve::MessageVersion* version, std::vector<std::string> tags, const std::string& mail_host = {});
  // Takes out who was handed over to relay by a process that died before it could note it.
  void leave_out_handed_on(Job& job);
  // Hands them over to relay.
  net::Awaitable<void> hand_on(std::span<Job> jobs);
  // Tells those senders who asked for it that their message is in its mailbox.
  net::Awaitable<void> tell_success(std::vector<Job>& jobs);
  net::Awaitable<void> conclude(std::vector<Job>& jobs, bool stored);
  static void note_expansions(Job& job);
  [[nodiscard]] std::optional<base::WallTime> earlier_death(const Job& job) const;
  bool put_off(Job& job);
  bool hold(Job& job);
  bool put_to_conversion(Job& job);
  bool put_to_defragment(Job& job);
  bool keep_discarded(Job& job);
  net::Awaitable<void> remember(const Job& job);
  // Puts entries into the memory of a mailbox directory's account, after who else is writing there. Errors: as AccountMemory has them.
  net::Awaitable<Result<void>> note(std::string directory, std::vector<store::AccountMemory::Entry> entries, bool durable = true);

  // What has been done for one recipient.
  struct Progress;
  struct Filing;
  // The decision's actions, in an order in which a failure costs least.
  net::Awaitable<RecipientOutcome> carry_out(Job& job, std::size_t index, std::shared_ptr<const directory::Account> account, const sieve::Decision& decision,
                                             bool discarded_by_table, store::Batch& batch);
  net::Awaitable<Result<void>> perform(Job& job, Progress& progress, std::size_t number, const sieve::Action& action, store::Batch& batch);
  net::Awaitable<Result<void>> redirect(Job& job, Progress& progress, std::size_t number, const sieve::Action& action);
  // Those of the addresses in the message's header, of its sender and of the recipient's that are aliases of the account alone.
  net::Awaitable<std::vector<std::string>> own_addresses(Job& job, std::size_t index, std::shared_ptr<const directory::Account> account);
  net::Awaitable<bool> leads_to(std::string address, std::string account);
  net::Awaitable<Result<void>> answer(Job& job, Progress& progress, std::size_t number, const sieve::Vacation& vacation, store::Batch& batch);
  net::Awaitable<Result<void>> notify(Job& job, Progress& progress, std::size_t number, const sieve::Notification& notification, store::Batch& batch);
  // Keeps the message where it would be without any filter: in the inbox, or on its way.
  Result<void> keep(Job& job, Progress& progress, const sieve::Action& action, store::Batch& batch);
  Result<void> file(Job& job, const mail::Recipient& recipient, const directory::Account& account, const Filing& filing, const store::Text& text, store::Batch& batch);
  // The same where the mailbox has a quota. Kind::denied: there is no room.
  Result<store::Outcome> add_within_quota(Job& job, const directory::Account& account, store::NewMessage message, const store::Text& text, store::Batch& batch);
  // What follows for the account: whether more mail is taken for it, and whether its owner is told.
  net::Awaitable<void> note_quota(Job& job, std::size_t index, std::shared_ptr<const directory::Account> account);
  void give_use(const directory::Account& account, const std::string& folder, const std::string& use);
  const store::Text& stored_text(Job& job, const sieve::MessageVersion* version);
  void file_copy(Job& job, const Progress& progress, std::size_t number, const sieve::FileCopy& copy, const std::string& text, store::Batch& batch);
  // Puts a message of its own with this envelope into the journal, with `fields` in front of the header. Its id is made here.
  net::Awaitable<Result<void>> send_on(Job& job, std::size_t index, std::size_t action, mail::Envelope next, std::string fields,
                                       std::shared_ptr<const sieve::MessageVersion> version = nullptr);
  // The same for a message that was made here; nothing is sent if it says so itself: then false. `what` is for the log.
  net::Awaitable<Result<bool>> send(Job& job, std::size_t index, std::size_t action, sieve::GeneratedMail mail, std::string what);
  // Mails to those whose scripts failed, none of them often.
  net::Awaitable<void> tell_owners(Job& job, std::size_t index, std::shared_ptr<const directory::Account> account, const std::vector<sieve::LevelError>& errors);
  sieve::ReplySettings reply_settings(const Progress& progress) const;
  sieve::Moment moment(const Job& job, std::size_t index, std::size_t action) const;

  DelivererParts parts_;
  DelivererSettings settings_;
  Filtering filtering_;
  Counters counters_;
  std::vector<spool::Position> unmarked_;  // finished, but the note of it could not be written yet; still claimed
  std::set<std::string> charged_;  // mailbox directories whose usage this batch has changed
  struct Charge {
    store::Usage used;
    bool full = false;  // and so a message did not fit
  };
  std::map<std::string, Charge> charges_;  // by account, of the recipient under way
  // What was made of messages that are not finished and stands in a journal already: their next attempt, as soon as it may come, makes no second
  // one. Ids, for recipients of other hosts with the attempts and the address.
  std::unordered_set<std::string> sent_;
};

// The pieces of a message that are stored: all but Return-Path fields of its header, which the final delivery makes itself (RFC 5321
// section 4.4). Views into `message`.
std::vector<std::string_view> without_return_path(std::string_view message);

// The letters of Maildir for Sieve's system flags ("\\Seen" → 'S'); others are left out.
std::string maildir_flags(const std::vector<std::string>& flags);
// The others, which a folder keeps as keywords (store/keywords.h).
std::vector<std::string> keywords_among(const std::vector<std::string>& flags);

}  // namespace postern::delivery
