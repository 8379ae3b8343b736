// SPDX-License-Identifier: Apache-2.0
#pragma once
// One message through the conversion channel: for each of its parts the first entry that fits, its program, and what that said (conversions(5)).
//
// The parts that are asked for are all but multiparts. A message in a message is one part if an entry fits it, and is looked into if none does.
// Parts are numbered as RFC 9051 section 6.4.5.1 has it. Programs of one message run one after another.
//
// Failure: what could not be found out now (a program that a signal ended, that took too long or is not there, no room on the disk, an unknown STATUS)
// makes the whole message wait: Outcome::Kind::again. A program that fails leaves its part as it is.
// Limits: the first 2000 bytes of a text are compared with patterns. kMostPrograms a message; more, and it is held. A part, decoded, is in memory as often as it is worked on.
#include "conversion/entries.h"
#include "conversion/options.h"
#include "conversion/part_change.h"
#include "conversion/program.h"
#include "conversion/work_directory.h"
#include "mail/part.h"
#include "net/asio.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::conversion {

inline constexpr std::size_t kMostPrograms = 100;

// The same for all recipients of a message that are converted together.
struct MessageFacts {
  std::string id;  // for the log
  std::string in_channel, out_channel;
  std::vector<std::string> tags;
};

struct Outcome {
  enum class Kind : std::uint8_t { unchanged, changed, again, returned, to_postmaster, held, discarded, jettisoned } kind = Kind::unchanged;
  std::string text;  // changed: the message
  std::string why;   // again, held: for the log and for people; returned: for the sender
};

class Converter {
 public:
  // What a mapping table makes of a text; nothing unless it says $Y.
  using AskTable = std::function<net::Awaitable<std::optional<std::string>>(std::string table, std::string text)>;
  // `place` must outlive it.
  Converter(const WorkPlace& place, AskTable ask) : place_(place), ask_(std::move(ask)) {}
  // For a reload: messages that are under way keep what they began with.
  Result<void> set(std::vector<Entry> entries, Limits limits);
  // How programs are kept apart; set() must have been called.
  [[nodiscard]] const Isolation& isolation() const { return rules_->isolation; }

  // `message` must live until then.
  net::Awaitable<Outcome> convert(std::string_view message, MessageFacts facts);

 private:
  struct Rules {
    std::vector<Entry> entries;
    Limits limits;
    Confinement confinement;
    Isolation isolation;
  };
  struct Visit;
  struct Work;
  net::Awaitable<std::optional<std::string>> expand(const Value& value, const Variables& variables);
  net::Awaitable<bool> condition(const std::optional<Value>& value, const Variables& variables, std::string actual);
  using Parameters = std::vector<std::pair<std::string, std::string>>;
  net::Awaitable<const Entry*> find_entry(const Rules& rules, Work& work, const Visit& visit, const Variables& variables);
  // `read`: the part's, once they were needed.
  net::Awaitable<bool> parameters_fit(const Entry& entry, const Visit& visit, const Variables& variables, std::optional<Parameters>& read);
  net::Awaitable<PartChange> wanted_change(const Entry& entry, const Variables& variables);
  // False: the message is done with, work.outcome says how.
  net::Awaitable<bool> apply(const Rules& rules, const Entry& entry, const Visit& visit, Variables variables, std::string body, Work& work);
  net::Awaitable<bool> run(const Rules& rules, const Entry& entry, const Visit& visit, Variables& variables, const std::string& body, PartChange& change, bool& removed,
                           bool& as_is, Work& work);

  const WorkPlace& place_;
  AskTable ask_;
  std::shared_ptr<const Rules> rules_;
};

}  // namespace postern::conversion
