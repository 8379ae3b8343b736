// SPDX-License-Identifier: Apache-2.0
#pragma once
// Takes records of the journal to their end: filters, mailboxes, deferred messages, marks.
//
// The order for each batch: claim; run the filters of every recipient and write all files; sync them together; put what could not
// be delivered into deferred/ (durable); mark the records finished; give the claims back. Whatever fails leaves the record
// unfinished: another attempt comes with the next scan, and the store recognises what it has.
//
// The implicit keep is cancelled only by an action that stored or forwarded the message (hardening.md 2): when an action fails,
// those done stay done, the rest is dropped, and the message is kept in the inbox unless it is in a mailbox already.
//
// Failure: none to the caller; every trouble is logged with the message's id. Limits: one batch at a time.
#include "net/asio.h"

#include "delivery/filtering.h"
#include "directory/directory.h"
#include "mail/envelope.h"
#include "spool/journal.h"
#include "store/maildir.h"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace postern::delivery {

struct DelivererSettings {
  unsigned child = 0;
  unsigned attempts_alone = 3;                   // deaths until a message is delivered by plain keep
  std::uint64_t batch_bytes = 32 * 1024 * 1024;  // of messages after which a batch is synced: they are held in memory until then
  std::chrono::milliseconds batch_script_time{250};  // CPU of all filters after which a batch is synced, so that nobody waits for a slow script
  std::chrono::seconds retry_first{60}, retry_most{3600};
  bool create_folders = true;                    // fileinto makes a folder that is missing
  unsigned received_fields = 50;                 // more: a redirect counts as a loop
  FilterSettings filters;
};

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
};

class Deliverer {
 public:
  Deliverer(DelivererParts parts, DelivererSettings settings);
  ~Deliverer();
  // For a reload: holds from the next batch on.
  void set_settings(DelivererSettings settings);

  // Works on at most `most` of these records, from the front on and as far as nobody else has them and they are not finished. Returns how many
  // positions it looked at; the rest is for another call.
  net::Awaitable<std::size_t> work(std::vector<spool::Position> positions, std::size_t most = SIZE_MAX);

  struct Counters {
    std::uint64_t messages = 0, recipients = 0, filed = 0, redirected = 0, discarded = 0, deferred = 0, held = 0, filter_errors = 0, batches = 0;
    std::uint64_t put_back = 0;  // records left for another attempt
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Job;
  struct RecipientOutcome;
  net::Awaitable<void> work_on(std::vector<Job> jobs);
  net::Awaitable<void> deliver(Job& job, store::Batch& batch, std::chrono::microseconds& script_time);
  net::Awaitable<RecipientOutcome> deliver_to(Job& job, std::size_t index, store::Batch& batch, std::chrono::microseconds& script_time);
  // Once more for a recipient that was on hold: his mail has been let go.
  net::Awaitable<RecipientOutcome> let_go(Job& job, std::size_t index);
  net::Awaitable<Result<void>> redirect(Job& job, std::size_t index, std::size_t action, std::string target);
  // Puts a message of its own with this envelope into the journal, with `fields` in front of the header. Its id is made here.
  net::Awaitable<Result<void>> send_on(Job& job, std::size_t index, std::size_t action, mail::Envelope next, std::string fields);
  Result<void> file(Job& job, const mail::Recipient& recipient, const directory::Account& account, const std::string& folder,
                    const std::vector<std::string>& flags, bool create, store::Batch& batch);
  void conclude(std::vector<Job>& jobs, bool stored);
  bool put_off(Job& job);
  bool hold(Job& job);

  DelivererParts parts_;
  DelivererSettings settings_;
  Filtering filtering_;
  Counters counters_;
  std::vector<spool::Position> unmarked_;  // finished, but the note of it could not be written yet; still claimed
};

// The pieces of a message that are stored: all but Return-Path fields of its header, which the final delivery makes itself (RFC 5321
// section 4.4). Views into `message`.
std::vector<std::string_view> without_return_path(std::string_view message);

// The letters of Maildir for Sieve's system flags ("\\Seen" → 'S'); others are left out, this store has no keywords.
std::string maildir_flags(const std::vector<std::string>& flags);

}  // namespace postern::delivery
