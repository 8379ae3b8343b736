// SPDX-License-Identifier: Apache-2.0
#pragma once
// Messages that must wait for another attempt: one file each in spool/deferred, envelope (with the recipients that are left) and message.
//
// The name carries the id, the next attempt's time and which destination it is for, so that finding what is due opens no file, and a random
// part: an entry that was read and is then removed is never one that was put there meanwhile. put() is durable on return: only then may the
// journal's record be marked finished.
//
// Several processes act on entries (the queue child, posternctl). Whoever takes one away, changes it or puts it back into the journal
// holds its claim from before he reads it until he is done: a lock on its file (flock), which ends with its holder, so nothing is left over.
// Whoever only adds entries or looks at them needs none.
//
// While a message is being tried it has no entry, and an order about it (give_message_order()) waits beside the entries until it has one
// again; the queue child then carries it out.
// Failure: Result; Kind::corrupt for a file that doesn't read back (set_aside() moves it to spool/corrupt).
#include "base/clock.h"
#include "base/files.h"
#include "mail/envelope.h"
#include "spool/earlier_entries.h"
#include "spool/message_text.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::spool {

// The parts of a deferred message's file, as far as its lengths make sense.
struct DeferredParts {
  std::string_view envelope, message;
  std::string trouble;         // why it does not read back; empty: it does
  bool other_version = false;  // whole, but not of this version
};
// Views of `file`. Nothing if even the lengths can't be made out.
std::optional<DeferredParts> split_deferred(std::string_view file);

struct DeferredEntry {
  std::string name;  // of the file
  std::string id;    // of the message
  base::WallTime next_attempt{};
  std::uint32_t destination = 0;  // destination_key() of its envelope
  int priority = 0;               // of its envelope
  // To be tried now, whatever is known of its destination: somebody has asked for that.
  [[nodiscard]] bool forced() const { return next_attempt == base::WallTime{}; }
};

// Stands for a domain of recipients, in names and in the queue's table. Never 0. Different domains may share one, which costs them
// only that they wait for each other.
std::uint32_t destination_key(std::string_view domain);
// Of the domain that all recipients have that are not here; 0: there are several, or recipients of ours.
std::uint32_t destination_key(const mail::Envelope& envelope);

// Makes one message of two entries of it: recipients that only `other` has come to `envelope`, and what was said of the whole message counts.
void join(mail::Envelope& envelope, mail::Envelope other);

class Deferred {
 public:
  // `spool_directory` must hold `name` and corrupt/, or they are made.
  static Result<Deferred> open(base::Files& files, int spool_directory, const std::string& name = "deferred");

  // Puts the message there for the next attempt at `next_attempt` (whole seconds, rounded up). `death`: somebody who died then at the latest
  // (SharedState::last_death()) may have put it there before him (a replay after a crash); that entry is replaced, so that it waits once, unless
  // somebody else has claimed it. Recipients that only the earlier entry has are kept: it may be another part of the message, and a copy that is there
  // already is recognised by its id.
  Result<DeferredEntry> put(const mail::Envelope& envelope, const MessageText& message, base::WallTime next_attempt,
                            std::optional<base::WallTime> death = std::nullopt);
  // Recipients of `envelope` that are done with, although somebody who died by then may have put them off (see put()): they are taken out of his entry.
  Result<void> drop_earlier(const mail::Envelope& envelope, base::WallTime death);
  // The same message with another time or other recipients left: the new entry stands before the old one goes.
  Result<DeferredEntry> postpone(const DeferredEntry& entry, const mail::Envelope& envelope, std::string_view message,
                                 base::WallTime next_attempt);

  // Entries whose time has come, earliest first, at most `limit`. `next`, if given, gets the earliest time of those that must still
  // wait (unchanged if there is none), `all` the number of all entries.
  Result<std::vector<DeferredEntry>> due(base::WallTime now, std::size_t limit, base::WallTime* next = nullptr, std::size_t* all = nullptr) const;
  // The entry with this name; nothing: it is no name of an entry.
  static std::optional<DeferredEntry> entry_of(const std::string& name);
  // Visits all entries, in no order. For queues of a million: memory for one name at a time.
  Result<void> each(const std::function<void(DeferredEntry)>& visit) const;
  // How many messages wait for this destination alone, as far as the first `most` names tell.
  struct Counted {
    std::size_t messages = 0;
    bool all = true;  // there are no others; false: there are more names, or messages for several destinations, of which this may be one
  };
  Result<Counted> count(std::uint32_t destination, std::size_t most) const;
  // All entries, earliest first, at most `limit`.
  Result<std::vector<DeferredEntry>> list(std::size_t limit) const;

  struct Message {
    mail::Envelope envelope;
    std::string message;
  };
  Result<Message> read(const DeferredEntry& entry) const;
  struct Head {
    mail::Envelope envelope;
    std::uint64_t message_bytes = 0;
  };
  // Without the message, whose check sum is not looked at.
  Result<Head> read_head(const DeferredEntry& entry) const;

  // Released by its destructor.
  class Claim {
   public:
    explicit Claim(base::Descriptor file) : file_(std::move(file)) {}

   private:
    base::Descriptor file_;
  };
  // Kind::temporary: somebody else has it; Kind::not_found: it is gone, or has another name now.
  Result<Claim> claim(const DeferredEntry& entry) const;
  // Another time for the entry, claimed by the caller, by another name of the same file. Not synced: after a power loss the earlier
  // name may be back.
  Result<DeferredEntry> reschedule(const DeferredEntry& entry, base::WallTime next_attempt);
  Result<void> remove(const DeferredEntry& entry);
  // Moves an unreadable entry to spool/corrupt, with a log line.
  Result<void> set_aside(const DeferredEntry& entry, std::string_view why);
  // Orders to the queue child: empty files beside the entries, with names that begin with a dot (queue/manager.h). They need not survive
  // a power loss.
  Result<void> give_order(const std::string& name);
  // The same if the last one that was given so is at least `interval` ago; else Kind::denied.
  Result<void> give_order(const std::string& name, std::chrono::seconds interval);
  void forget_order(const std::string& name);
  [[nodiscard]] std::vector<std::string> orders() const;

  // What is to become of a message that is being tried just now, should it come to wait again. Durable on return; the last one counts, for all parts
  // of the message, for a day. Whoever gives one looks for entries behind it: one that was there before is for him.
  enum class MessageOrder : std::uint8_t { bounce, hold, remove };
  Result<void> give_message_order(const std::string& id, MessageOrder order);
  [[nodiscard]] std::optional<MessageOrder> message_order(const std::string& id) const;
  void forget_message_order(const std::string& id);
  // The id from such an order's name, as orders() and the directory's watch have it.
  static std::optional<std::string> ordered_id(std::string_view name);

  // Gives memory back that looks for earlier entries needed, if there was none for so long.
  void forget_unused(std::chrono::seconds unused) { earlier_->forget_unused(unused); }
  // Of the directory, for whoever watches it; owned here.
  [[nodiscard]] int descriptor() const { return directory_.get(); }

 private:
  Deferred(base::Files& files, base::Descriptor directory, base::Descriptor corrupt)
      : files_(&files), directory_(std::move(directory)), corrupt_(std::move(corrupt)), earlier_(std::make_unique<EarlierEntries>()) {}
  struct Earlier {
    DeferredEntry entry;
    Claim claim;
    Message message;
  };
  // Those of this id that stood there at that death, that nobody else has and that can be read.
  Result<std::vector<Earlier>> claim_earlier(const std::string& id, base::WallTime death) const;
  base::Files* files_;
  base::Descriptor directory_, corrupt_;
  std::unique_ptr<EarlierEntries> earlier_;
};

}  // namespace postern::spool
