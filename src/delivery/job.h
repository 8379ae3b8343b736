// SPDX-License-Identifier: Apache-2.0
#pragma once
// One record on its way, as the files of the deliverer see it.
#include "base/log.h"
#include "delivery/deliverer.h"
#include "store/account_memory.h"

#include <map>
#include <utility>

namespace postern::delivery {

struct Deliverer::RecipientOutcome {
  bool put_off = false;
  std::string reason;
  bool held = false;  // by `reason`
  bool expanded = false;  // it goes on to several addresses in place of this one, which is all that its sender is told of a success
  std::string status = "4.3.0";  // of what was put off
};

struct Deliverer::Job {
  spool::Position position;
  std::uint32_t deaths = 0;  // children that died while they worked on this record alone
  std::optional<spool::Record> record;
  std::optional<store::Text> text;
  // What a filter made of it last, and the text that it came from: recipients with the same filter often follow each other.
  std::optional<store::Text> changed_text;
  std::string changed_from;
  mail::PartLimits mime;           // of the view
  std::unique_ptr<mail::MessageView> view;
  bool suspicious = false;
  bool replayed = false;  // suspicious because of a death: whoever died may have done all of it, and not noted it
  bool left_traces = false;  // a file of it stands in a mailbox, promised or not, or a generated message in the journal
  std::size_t files = 0, recipients_filed = 0;
  bool unfinished = false;  // leave the record as it is: another attempt must come
  std::vector<std::size_t> put_off;    // recipients for deferred/
  std::vector<std::size_t> held;       // recipients for held/
  std::vector<std::size_t> to_convert; // recipients for conversion/
  std::vector<std::size_t> to_defragment;  // recipients for defragment/
  std::optional<mail::Piece> piece;    // what it is a piece of; known if `piece_known`
  bool piece_known = false;
  std::vector<std::size_t> to_tell;    // recipients whose mailbox has it, and whose sender wants to know
  std::vector<mail::Recipient> expanded;  // recipients that several addresses took the place of, and whose sender wants to know
  std::vector<std::size_t> discarded;  // recipients for discarded/
  std::chrono::seconds keep_discarded{0};
  std::string discarded_by;
  std::string held_by;
  std::vector<Outgoing> outgoing;    // for recipients whose message leaves by its channel: as it came, and each text that filters made of it
  std::uint64_t changed_bytes = 0;   // of those texts
  std::map<std::string, RecipientOutcome> lists;  // what became of the message to all members of groups, by the groups' owners
  std::map<std::string, std::map<std::size_t, RecipientOutcome>> processed;  // what became of the recipients on process, reprocess and defragment, by channel
  std::vector<std::string> sent;   // what is in a journal (Deliverer::sent_)
  std::map<std::string, std::vector<store::AccountMemory::Entry>> remember;  // by mailbox directory, once it is delivered
  std::vector<base::Fields> delivered;  // to be logged once it is true

  [[nodiscard]] const mail::MessageView& message() {
    if (!view) view = std::make_unique<mail::MessageView>(record->message(), mail::HeaderLimits{}, mime);
    return *view;
  }
};

struct Deliverer::Filing {
  std::string folder;  // "INBOX", or a name in UTF-8
  std::vector<std::string> flags;
  bool create = false;
  std::string id = {};  // of the message; empty: the record's own
  std::string special_use = {};  // that the folder gets if it is made
};

// The id of a message that is made of this one by action number `action`: the same at every replay.
std::string new_id_for(const mail::Envelope& envelope, const mail::Recipient& recipient, std::size_t action);

// Gives `next`, an address that takes the place of `recipient`, what its sender asked to be told (RFC 3461 section 5.2.7): all of it if nothing else is done
// with the message, else only what goes wrong. That an address stands for several is noted where it is delivered to (Deliverer::note_expansions()).
void follow_notify(mail::Recipient& next, const mail::Recipient& recipient, bool only);

}  // namespace postern::delivery
