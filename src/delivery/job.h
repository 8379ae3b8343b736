// SPDX-License-Identifier: Apache-2.0
#pragma once
// One record on its way, as the files of the deliverer see it.
#include "base/log.h"
#include "delivery/deliverer.h"
#include "store/account_memory.h"

#include <map>
#include <utility>

namespace postern::delivery {

struct Deliverer::Job {
  spool::Position position;
  std::uint32_t deaths = 0;  // children that died while they worked on this record alone
  std::optional<spool::Record> record;
  std::optional<store::Text> text;
  // What a filter made of it last, and the text that it came from: recipients with the same filter often follow each other.
  std::optional<store::Text> changed_text;
  std::string changed_from;
  std::unique_ptr<mail::MessageView> view;
  bool suspicious = false;
  bool replayed = false;  // suspicious because of a death: whoever died may have done all of it, and not noted it
  bool left_traces = false;  // a file of it stands in a mailbox, promised or not, or a generated message in the journal
  std::size_t files = 0, recipients_filed = 0;
  bool unfinished = false;  // leave the record as it is: another attempt must come
  std::vector<std::size_t> put_off;    // recipients for deferred/
  std::vector<std::size_t> held;       // recipients for held/
  std::vector<std::size_t> to_tell;    // recipients whose mailbox has it, and whose sender wants to know
  std::vector<mail::Recipient> expanded;  // addresses that stood for several, and whose sender wants to know
  std::vector<std::size_t> discarded;  // recipients for discarded/
  std::chrono::seconds keep_discarded{0};
  std::string held_by;
  // Recipients whose message leaves by its channel, with what a filter made of it (null: as it came) and the tags it has from then on, its own among them.
  struct Onward {
    std::size_t recipient = 0;
    std::shared_ptr<const sieve::MessageVersion> message;
    std::vector<std::string> conversion_tags;
  };
  std::vector<Onward> onward;
  std::vector<Outgoing> outgoing;  // what is made of them
  std::vector<std::string> sent;   // what is in a journal (Deliverer::sent_)
  std::map<std::string, std::vector<store::AccountMemory::Entry>> remember;  // by mailbox directory, once it is delivered
  std::vector<base::Fields> delivered;  // to be logged once it is true

  [[nodiscard]] const mail::MessageView& message() {
    if (!view) view = std::make_unique<mail::MessageView>(record->message());
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

struct Deliverer::RecipientOutcome {
  bool put_off = false;
  std::string reason;
  bool held = false;  // by `reason`
};

}  // namespace postern::delivery
