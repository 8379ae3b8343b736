// SPDX-License-Identifier: Apache-2.0
#pragma once
// Which recipients refuse a message that is on stable storage but not answered yet: their filters are asked, and nothing is carried out.
//
// Only what the whole decision is can be answered in the SMTP dialogue: a refusal beside which something else is to be done (notify,
// capture) waits until the message is accepted, and so does whatever could not be found out. RFC 5429 section 2.1: replies are
// ASCII unless the client said SMTPUTF8. A `reject` whose reason is not goes by mail, unless nobody could get it;
// `ereject` and `refuse` have a sentence of ours in its place.
//
// Failure: none; who can't be asked has not refused. Limits: a text has at most kMostRefusalBytes, an answer kMostAnswerBytes;
// refusals that it has no room for are not in it.
#include "net/asio.h"

#include "delivery/filtering.h"
#include "mail/refusal.h"
#include "spool/journal.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::delivery {

inline constexpr std::size_t kMostRefusalBytes = 4096;
inline constexpr std::size_t kMostAnswerBytes = 64 * 1024;

// What of this decision can be said before the message is accepted; nothing if it is no refusal, or one that has to wait.
std::optional<std::string> refusal_text(const sieve::Decision& decision, const mail::Envelope& envelope);

// All must outlive it.
class Verdicts {
 public:
  Verdicts(spool::JournalReader& reader, store::Store& store, directory::Lookups& directory, Filtering::ScriptOf script_of = {})
      : reader_(reader), directory_(directory), filtering_(store, directory, std::move(script_of)) {}
  // Its own, not the deliverer's: what scripts saw in a message that is then refused has not been delivered.
  [[nodiscard]] Filtering& filtering() { return filtering_; }
  // Whether pieces of messages for a channel wait for each other (DelivererParts::defragments): filters see what they make. None: they don't.
  void set_defragments(std::function<bool(const std::string& channel)> defragments) { defragments_ = std::move(defragments); }
  // Whose filters see the message only after it has been converted has not refused it. None: nothing is converted.
  void set_converts(std::function<net::Awaitable<bool>(const mail::Envelope&, const mail::Recipient&)> converts) { converts_ = std::move(converts); }
  net::Awaitable<std::vector<mail::Refusal>> refusals(spool::Position position);

 private:
  spool::JournalReader& reader_;
  directory::Lookups& directory_;
  Filtering filtering_;
  std::function<net::Awaitable<bool>(const mail::Envelope&, const mail::Recipient&)> converts_;
  std::function<bool(const std::string& channel)> defragments_;
};

// The question is a notice (spool/position.h) of one record, with a socket attached; the answer is one message on that socket.
// Its end without an answer: whoever had the question is gone.
std::string encode_verdict(const std::vector<mail::Refusal>& refusals);
// Nothing for anything that encode_verdict() did not write.
std::optional<std::vector<mail::Refusal>> decode_verdict(std::string_view bytes);

}  // namespace postern::delivery
