// SPDX-License-Identifier: Apache-2.0
// posternctl queue list, show, stats, flush, retry, hold, release, bounce, remove (doc/man/posternctl-queue.8). Works on the files of the
// spool, with the server running or not: whatever is done to a deferred message is done under its claim (spool/deferred.h), so the
// queue child and this never work on one at once.
#include "base/files.h"
#include "base/text.h"
#include "mail/message.h"
#include "queue/manager.h"
#include "queue/message_order.h"
#include "spool/held.h"
#include "spool/journal_reader.h"
#include "tools/ctl_queue.h"
#include "tools/options.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <set>
#include <thread>

namespace postern::tools {
namespace {

using boost::json::array;
using boost::json::object;

constexpr std::size_t kMostInJournal = 100000;
// The queue child has a message for moments only.
constexpr int kClaimTries = 100;
constexpr std::chrono::milliseconds kClaimWait{20};
constexpr int kJournalTries = 25;
constexpr std::chrono::milliseconds kJournalWait{200};
// Lines of each part of the statistics.
constexpr std::size_t kMostShown = 20;

enum class State { deferred, held, incoming, outgoing, conversion, defragment };
constexpr std::string_view kStates[] = {"deferred", "held", "incoming", "outgoing", "conversion", "defragment"};

struct Message {
  State state = State::deferred;
  std::optional<spool::DeferredEntry> entry;  // of those that have a file of their own
  mail::Envelope envelope;
  std::uint64_t bytes = 0;
  [[nodiscard]] bool has_time() const { return state == State::deferred || state == State::conversion || state == State::defragment; }
};

struct Filter {
  std::optional<std::string> sender, recipient, host, older, newer, reason, state, limit;
  bool all = false;
  std::vector<std::string> ids;
  std::optional<std::chrono::seconds> older_than, newer_than;
  [[nodiscard]] bool any() const { return sender || recipient || host || older || newer || reason || state; }
};

std::string domain_of(std::string_view address) {
  const auto at = address.rfind('@');
  return at == std::string_view::npos ? std::string() : base::lower(address.substr(at + 1));
}

}  // namespace

bool address_fits(std::string_view wanted, std::string_view address) {
  if (wanted.size() >= 2 && wanted.front() == '<' && wanted.back() == '>') wanted = wanted.substr(1, wanted.size() - 2);
  if (wanted.starts_with('@')) return base::equal_ignoring_case(wanted.substr(1), domain_of(address));
  return base::equal_ignoring_case(wanted, address);
}

namespace {

bool contains_ignoring_case(std::string_view text, std::string_view part) { return base::lower(text).find(base::lower(part)) != std::string::npos; }

std::string reason_of(const Message& message) {
  if (message.state == State::held || message.state == State::defragment) return message.envelope.held_by;
  for (const auto& recipient : message.envelope.recipients)
    if (!recipient.last_failure.status.empty()) return recipient.last_failure.status + " " + recipient.last_failure.diagnostic;
  return {};
}

bool fits(const Filter& filter, const Message& message, base::WallTime now) {
  const mail::Envelope& envelope = message.envelope;
  const auto some = [&](const auto& test) { return std::any_of(envelope.recipients.begin(), envelope.recipients.end(), test); };
  if (filter.state && *filter.state != kStates[static_cast<std::size_t>(message.state)]) return false;
  if (!filter.ids.empty() && std::find(filter.ids.begin(), filter.ids.end(), envelope.id) == filter.ids.end()) return false;
  if (filter.sender && !address_fits(*filter.sender, envelope.reverse_path)) return false;
  if (filter.recipient && !some([&](const mail::Recipient& one) { return address_fits(*filter.recipient, one.address) || address_fits(*filter.recipient, one.original); })) return false;
  if (filter.host && !some([&](const mail::Recipient& one) {
        return base::equal_ignoring_case(*filter.host, domain_of(one.address)) || base::equal_ignoring_case(*filter.host, one.last_failure.remote_host);
      }))
    return false;
  if (filter.older_than && now - envelope.received < *filter.older_than) return false;
  if (filter.newer_than && now - envelope.received >= *filter.newer_than) return false;
  return !filter.reason || contains_ignoring_case(reason_of(message), *filter.reason) ||
         some([&](const mail::Recipient& one) { return contains_ignoring_case(one.last_failure.status + " " + one.last_failure.diagnostic, *filter.reason); });
}

}  // namespace

std::optional<std::chrono::seconds> time_from(std::string_view text) {
  constexpr std::pair<std::string_view, std::int64_t> kUnits[] = {{"s", 1}, {"min", 60}, {"m", 60}, {"h", 3600}, {"d", 86400}, {"w", 7 * 86400}};
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = base::number_from<std::int64_t>(text.substr(0, digits));
  const std::string_view unit = base::trim(text.substr(digits));
  if (!number || *number > 1'000'000'000) return std::nullopt;
  for (const auto& [name, seconds] : kUnits)
    if (unit == name) return std::chrono::seconds(*number * seconds);
  return std::nullopt;
}

std::string short_time(std::chrono::seconds time) {
  const std::int64_t seconds = std::max<std::int64_t>(0, time.count());
  if (seconds < 120) return std::to_string(seconds) + " s";
  if (seconds < 7200) return std::to_string(seconds / 60) + " min";
  if (seconds < 2 * 86400) return std::to_string(seconds / 3600) + " h";
  return std::to_string(seconds / 86400) + " d";
}

namespace {

std::chrono::seconds age(const mail::Envelope& envelope, base::WallTime now) { return std::chrono::floor<std::chrono::seconds>(now - envelope.received); }

// Whoever else is at work on a message is so for moments.
template <class Work>
auto patiently(const Work& work) {
  auto done = work();
  for (int tries = 1; !done && done.error().kind == Kind::temporary && tries < kClaimTries; ++tries) {
    std::this_thread::sleep_for(kClaimWait);
    done = work();
  }
  return done;
}

class Spool {
 public:
  static Result<Spool> open(const Context& context) {
    auto spool = open_spool_as_owner(context);
    if (!spool) return spool.error();
    auto deferred = spool::Deferred::open(base::system_files(), spool->get());
    if (!deferred) return deferred.error();
    auto held = spool::Held::open(base::system_files(), spool->get());
    if (!held) return held.error();
    auto conversion = spool::Deferred::open(base::system_files(), spool->get(), "conversion");
    if (!conversion) return conversion.error();
    auto defragment = spool::Deferred::open(base::system_files(), spool->get(), "defragment");
    if (!defragment) return defragment.error();
    return Spool(std::move(*spool), std::move(*deferred), std::move(*held), std::move(*conversion), std::move(*defragment));
  }

  // Deferred ones by the time of their next attempt, those for the conversion channel and pieces of messages likewise, then held ones, then those in the journals. Trouble with one message is no trouble
  // with the others: it is told, and true is returned nevertheless unless nothing could be listed.
  Result<void> each(const Filter& filter, const std::function<bool(Message&)>& visit) {
    const auto wants = [&](State state) { return !filter.state || *filter.state == kStates[static_cast<std::size_t>(state)]; };
    for (const State state : {State::deferred, State::conversion, State::defragment}) {
      if (!wants(state)) continue;
      const spool::Deferred& waiting = waiting_of(state);
      auto entries = waiting.list(SIZE_MAX);
      if (!entries) return entries.error();
      for (const auto& entry : *entries) {
        if (!filter.ids.empty() && std::find(filter.ids.begin(), filter.ids.end(), entry.id) == filter.ids.end()) continue;
        auto head = waiting.read_head(entry);
        if (!head) {
          complain(head.error());
          continue;
        }
        Message message{state, entry, std::move(head->envelope), head->message_bytes};
        if (!visit(message)) return {};
      }
    }
    if (wants(State::held)) {
      auto entries = held_.list(SIZE_MAX);
      if (!entries) return entries.error();
      for (const auto& entry : *entries) {
        auto read = held_.read(entry);
        if (!read) {
          complain(read.error());
          continue;
        }
        Message message{State::held, entry, std::move(read->envelope), read->message.size()};
        if (!visit(message)) return {};
      }
    }
    for (const State state : {State::incoming, State::outgoing})
      if (wants(state))
        if (auto done = each_in_journal(state, visit); !done) return done;
    return {};
  }

  // The text of a message that each() has found.
  Result<std::string> text(const Message& message) {
    if (message.has_time()) {
      auto read = waiting_of(message.state).read(*message.entry);
      if (!read) return read.error();
      return std::move(read->message);
    }
    if (message.state == State::held) {
      auto read = held_.read(*message.entry);
      if (!read) return read.error();
      return std::move(read->message);
    }
    return Error{Kind::temporary, "the message is being worked on just now"};
  }

  Result<void> act(const std::string& action, const Message& message) {
    if (message.state == State::held) {
      return patiently([&] { return action == "remove" ? held_.remove(*message.entry) : held_.release(*message.entry, action == "bounce"); });
    }
    const spool::DeferredEntry& entry = *message.entry;
    spool::Deferred& waiting = waiting_of(message.state);
    const auto claim = patiently([&] { return waiting.claim(entry); });
    if (!claim) return claim.error();
    // What was said of it while it was being tried counts no more.
    waiting.forget_message_order(entry.id);
    if (action == "remove") return waiting.remove(entry);
    if (action == "retry") {
      if (entry.forced()) return {};
      auto now = waiting.reschedule(entry, base::WallTime{});
      if (!now) return now.error();
      return {};
    }
    auto read = waiting.read(entry);
    if (!read) return read.error();
    if (action == "bounce") {
      read->envelope.returned = true;
      auto put = waiting.postpone(entry, read->envelope, read->message, base::WallTime{});
      if (!put) return put.error();
      return {};
    }
    queue::mark_held(read->envelope);
    if (auto put = held_.put(read->envelope, read->message, began_); !put) return put.error();
    return waiting.remove(entry);
  }

  // What is to become of a message that is being tried, or converted, should it come to wait again.
  Result<void> order(spool::Deferred::MessageOrder order, const std::string& id, State state) { return waiting_of(state).give_message_order(id, order); }

  // Everything for the domain, or everything there is. How many destinations and single messages were asked for.
  Result<std::size_t> flush(const std::optional<std::string>& domain) {
    if (domain) {
      if (auto given = deferred_.give_order(queue::order_name(spool::destination_key(*domain))); !given) return given.error();
      return 1;
    }
    std::set<std::uint32_t> destinations;
    std::vector<spool::DeferredEntry> others;
    auto seen = deferred_.each([&](spool::DeferredEntry entry) {
      if (entry.destination != 0) destinations.insert(entry.destination);
      else if (!entry.forced()) others.push_back(std::move(entry));
    });
    if (!seen) return seen.error();
    for (const std::uint32_t destination : destinations)
      if (auto given = deferred_.give_order(queue::order_name(destination)); !given) return given.error();
    for (const auto& entry : others) {
      const auto claim = deferred_.claim(entry);
      // Whoever has it is at work on it.
      if (!claim) continue;
      if (auto now = deferred_.reschedule(entry, base::WallTime{}); !now && now.error().kind != Kind::not_found) return now.error();
    }
    return destinations.size() + others.size();
  }

  [[nodiscard]] bool trouble() const { return troubles_.any(); }

 private:
  Spool(base::Descriptor spool, spool::Deferred deferred, spool::Held held, spool::Deferred conversion, spool::Deferred defragment)
      : spool_(std::move(spool)), deferred_(std::move(deferred)), held_(std::move(held)), conversion_(std::move(conversion)), defragment_(std::move(defragment)) {}

  [[nodiscard]] spool::Deferred& waiting_of(State state) {
    return state == State::conversion ? conversion_ : state == State::defragment ? defragment_ : deferred_;
  }

  void complain(const Error& error) {
    // Gone meanwhile: somebody has taken it.
    if (error.kind != Kind::not_found) troubles_.add(error.what);
  }

  Result<void> each_in_journal(State state, const std::function<bool(Message&)>& visit) {
    base::Descriptor outgoing;
    if (state == State::outgoing) {
      auto opened = base::open_directory(spool_.get(), "outgoing");
      if (!opened) return opened.error().kind == Kind::not_found ? Result<void>() : Result<void>(opened.error());
      outgoing = std::move(*opened);
    }
    auto reader = spool::JournalReader::open(base::system_files(), outgoing.valid() ? outgoing.get() : spool_.get());
    if (!reader) return reader.error();
    auto positions = reader->scan(kMostInJournal);
    if (!positions) return positions.error();
    for (const spool::Position& position : *positions) {
      auto record = reader->read(position);
      if (!record) {
        complain(record.error());
        continue;
      }
      Message message{state, std::nullopt, std::move(record->envelope), record->message().size()};
      if (!visit(message)) return {};
    }
    return {};
  }

  base::Descriptor spool_;
  spool::Deferred deferred_;
  spool::Held held_;
  spool::Deferred conversion_, defragment_;
  const base::WallTime began_ = base::wall_now();
  Troubles troubles_;
};

object to_json(const Message& message) {
  const mail::Envelope& envelope = message.envelope;
  array recipients;
  for (const auto& one : envelope.recipients) {
    object recipient{{"address", queue_text(one.address)}, {"channel", queue_text(one.destination_channel)}};
    if (!one.last_failure.status.empty()) {
      recipient["status"] = queue_text(one.last_failure.status);
      recipient["diagnostic"] = queue_text(one.last_failure.diagnostic);
      recipient["remote_host"] = queue_text(one.last_failure.remote_host);
      recipient["last_attempt"] = base::iso8601(one.last_failure.when);
    }
    recipient["delay_notified"] = one.delay_notified;
    recipients.push_back(std::move(recipient));
  }
  object out{{"id", queue_text(envelope.id)},
             {"state", kStates[static_cast<std::size_t>(message.state)]},
             {"received", base::iso8601(envelope.received)},
             {"sender", queue_text(envelope.reverse_path)},
             {"recipients", std::move(recipients)},
             {"attempts", envelope.attempts},
             {"priority", envelope.priority},
             {"source_channel", queue_text(envelope.source_channel)},
             {"client", queue_text(envelope.client_address)},
             {"message_bytes", message.bytes}};
  if (envelope.hold_until) out["not_before"] = base::iso8601(*envelope.hold_until);
  if (envelope.deliver_by) out["deliver_by"] = base::iso8601(envelope.deliver_by->until);
  if (message.has_time()) out["next_attempt"] = message.entry->forced() ? "now" : base::iso8601(message.entry->next_attempt);
  if (message.state == State::held) out["held_by"] = queue_text(envelope.held_by);
  return out;
}

std::string when(const Message& message, base::WallTime now) {
  if (message.state == State::held) return "held";
  if (!message.has_time()) return std::string(kStates[static_cast<std::size_t>(message.state)]);
  if (message.entry->forced() || message.entry->next_attempt <= now) return "now";
  return "in " + short_time(std::chrono::ceil<std::chrono::seconds>(message.entry->next_attempt - now));
}

int print_list(const Context& context, Spool& spool, const Filter& filter) {
  const base::WallTime now = base::wall_now();
  std::size_t limit = SIZE_MAX, shown = 0;
  if (filter.limit) limit = base::number_from<std::size_t>(*filter.limit).value_or(0);
  std::vector<std::vector<std::string>> rows;
  std::set<std::string> missing(filter.ids.begin(), filter.ids.end());
  const auto look = [&](const Filter& which) {
    return spool.each(which, [&](Message& message) {
      if (!fits(which, message, now)) return true;
      missing.erase(message.envelope.id);
      if (context.json) {
        std::cout << (shown == 0 ? "" : ",\n") << boost::json::serialize(to_json(message));
      } else {
        rows.push_back({queue_text(message.envelope.id), when(message, now), short_time(age(message.envelope, now)), std::to_string(message.bytes),
                        "<" + queue_text(message.envelope.reverse_path) + ">", recipients_of(message.envelope), queue_text(base::printable(reason_of(message), 120))});
      }
      return ++shown < limit;
    });
  };
  if (context.json) std::cout << "[";
  auto listed = look(filter);
  if (listed && !missing.empty() && shown < limit) {
    // One that went from a journal to where it waits while we looked the other way round.
    Filter again = filter;
    again.ids.assign(missing.begin(), missing.end());
    listed = look(again);
  }
  if (context.json) std::cout << "]\n";
  else if (!rows.empty()) print_table({"ID", "NEXT", "AGE", "BYTES", "SENDER", "RECIPIENTS", "REASON"}, rows);
  else if (listed && filter.ids.empty()) std::puts("no such message is in the queue");
  // The list is its own answer, as far as it goes.
  Troubles troubles;
  if (!listed) troubles.add(listed.error().what);
  else if (shown < limit)
    for (const std::string& id : missing) troubles.add("no message " + id + (filter.any() ? " fits" : " is in the queue"));
  return troubles.any() || spool.trouble() ? kFailed : kDone;
}

void print_message(const Message& message) {
  const mail::Envelope& envelope = message.envelope;
  const base::WallTime now = base::wall_now();
  print_line("id", queue_text(envelope.id));
  print_line("state", std::string(kStates[static_cast<std::size_t>(message.state)]));
  print_line("received", base::iso8601(envelope.received) + ", " + short_time(age(envelope, now)) + " ago");
  if (message.has_time()) print_line("next", when(message, now));
  if (message.state == State::held) print_line("held by", queue_text(envelope.held_by));
  print_line("attempts", std::to_string(envelope.attempts));
  print_line("sender", "<" + queue_text(envelope.reverse_path) + ">");
  print_line("channel", queue_text(envelope.source_channel));
  print_line("client", queue_text(envelope.client_address));
  if (envelope.priority != 0) print_line("priority", std::to_string(envelope.priority));
  if (envelope.hold_until) print_line("not before", base::iso8601(*envelope.hold_until));
  if (envelope.deliver_by) print_line("deliver by", base::iso8601(envelope.deliver_by->until));
  print_line("message", std::to_string(message.bytes) + " bytes");
  for (const auto& recipient : envelope.recipients) {
    print_line("recipient", queue_text(recipient.address) + " (" + queue_text(recipient.destination_channel) + ")");
    const mail::DeliveryFailure& failure = recipient.last_failure;
    if (failure.status.empty()) continue;
    print_line("", queue_text(failure.status) + " " + queue_text(failure.diagnostic) +
                       (failure.remote_host.empty() ? "" : " (said " + queue_text(failure.remote_host) + ")") + ", " + base::iso8601(failure.when));
  }
}

int show(const Context& context, Spool& spool, const std::string& id, bool text) {
  Filter filter;
  filter.ids = {id};
  array found;
  std::size_t count = 0;
  int status = kDone;
  const auto look = [&] {
    return spool.each(filter, [&](Message& message) {
      if (message.envelope.id != id) return true;
      ++count;
      if (text) {
        auto read = spool.text(message);
        if (!read) {
          print_error(context, read.error().what);
          status = kFailed;
        } else {
          status = print_text(*read);
        }
        return false;
      }
      if (context.json) found.push_back(to_json(message));
      else print_message(message);
      return true;
    });
  };
  auto listed = look();
  // One that went from a journal to where it waits while we looked the other way round.
  if (listed && count == 0) listed = look();
  if (!listed || count == 0) {
    print_error(context, listed ? "no message " + id + " is in the queue" : listed.error().what);
    return kFailed;
  }
  if (context.json && !text) std::cout << boost::json::serialize(found) << "\n";
  return status;
}

int act_on(const Context& context, Spool& spool, const std::string& action, const Filter& filter) {
  const base::WallTime now = base::wall_now();
  // What can wait until the attempt that is under way is over.
  const auto order = queue::message_order_from(action);
  std::vector<Message> chosen;
  std::set<std::string> under_way;  // ids of those that are being tried
  const auto look = [&](const Filter& which) {
    chosen.clear();
    under_way.clear();
    return spool.each(which, [&](Message& message) {
      if (!fits(which, message, now)) return true;
      if (message.state == State::incoming || message.state == State::outgoing) {
        under_way.insert(message.envelope.id);
        return true;
      }
      const bool held = message.state == State::held;
      if (action == "release" ? held : action == "bounce" || action == "remove" ? true : !held) chosen.push_back(std::move(message));
      return true;
    });
  };
  std::size_t done = 0, gone = 0;
  Troubles failed;
  std::set<std::string> known, converted, missed;  // missed: gone when their turn came, perhaps to be tried, or being converted
  const auto act = [&] {
    for (const Message& message : chosen) {
      known.insert(message.envelope.id);
      if (message.state == State::conversion) converted.insert(message.envelope.id);
      auto acted = spool.act(action, message);
      if (acted) {
        ++done;
        missed.erase(message.envelope.id);
      } else if (acted.error().kind == Kind::not_found || (message.state == State::conversion && acted.error().kind == Kind::temporary && order)) {
        missed.insert(message.envelope.id);
      } else {
        failed.add(message.envelope.id + ": " + acted.error().what);
      }
    }
  };
  auto listed = look(filter);
  // A message that is named and being tried is gone or back soon.
  for (int tries = 0; listed && !filter.ids.empty() && chosen.empty() && !under_way.empty() && tries < kJournalTries; ++tries) {
    std::this_thread::sleep_for(kJournalWait);
    listed = look(filter);
  }
  if (!listed) {
    print_error(context, listed.error().what);
    return kFailed;
  }
  std::set<std::string> ordered = under_way;
  act();
  ordered.insert(missed.begin(), missed.end());
  gone = missed.size();
  if (!order) {
    ordered.clear();
  } else if (!ordered.empty()) {
    for (const std::string& id : ordered) {
      known.insert(id);
      if (auto given = spool.order(*order, id, converted.contains(id) ? State::conversion : State::deferred); !given) {
        failed.add(id + ": " + given.error().what);
      }
    }
    // What came to wait before the order stood is for us.
    Filter again = filter;
    again.ids.assign(ordered.begin(), ordered.end());
    again.all = false;
    for (const State state : {State::deferred, State::conversion}) {
      again.state = kStates[static_cast<std::size_t>(state)];
      if (auto relisted = look(again); !relisted) continue;
      for (const Message& message : chosen) ordered.erase(message.envelope.id);
      act();
    }
    ordered.insert(missed.begin(), missed.end());
    gone = 0;
  }
  for (const std::string& id : filter.ids)
    if (!known.contains(id))
      failed.add(under_way.contains(id) ? id + " is being worked on just now" : "no message " + id + (action == "release" ? " is held" : " waits in the queue"));
  const char* const what = action == "retry"     ? "tried now"
                           : action == "hold"    ? "held"
                           : action == "release" ? "released"
                           : action == "bounce"  ? "returned to their senders"
                                                 : "removed";
  if (context.json) {
    object answer{{"done", !failed.any()}, {"messages", done}, {"gone", gone}, {"ordered", ordered.size()}};
    failed.add_to(answer);
    std::cout << boost::json::serialize(answer) << "\n";
  } else {
    std::printf("%zu messages: %s\n", done, what);
  }
  if (!context.json && !ordered.empty())
    std::printf("%zu more are being tried just now: %s if they come to wait again\n", ordered.size(), what);
  return failed.any() ? kFailed : kDone;
}

int print_stats(const Context& context, Spool& spool) {
  struct Sum {
    std::size_t messages = 0;
    std::uint64_t bytes = 0;
    std::chrono::seconds oldest{0};
  };
  const base::WallTime now = base::wall_now();
  std::map<std::string, Sum> states, domains, reasons;
  auto listed = spool.each({}, [&](Message& message) {
    const auto add = [&](Sum& sum) {
      ++sum.messages;
      sum.bytes += message.bytes;
      sum.oldest = std::max(sum.oldest, age(message.envelope, now));
    };
    add(states[std::string(kStates[static_cast<std::size_t>(message.state)])]);
    std::set<std::string> own, why;
    for (const auto& recipient : message.envelope.recipients) {
      own.insert(queue_text(domain_of(recipient.address)));
      if (!recipient.last_failure.status.empty())
        why.insert(queue_text(base::printable(recipient.last_failure.status + " " + recipient.last_failure.diagnostic, 80)));
    }
    for (const auto& domain : own) add(domains[domain]);
    for (const auto& reason : why) add(reasons[reason]);
    return true;
  });
  if (!listed) {
    print_error(context, listed.error().what);
    return kFailed;
  }
  object out;
  for (const auto& [heading, sums] : {std::pair("STATE", &states), std::pair("DOMAIN", &domains), std::pair("REASON", &reasons)}) {
    std::vector<std::pair<std::string, Sum>> sorted(sums->begin(), sums->end());
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second.messages > b.second.messages; });
    if (sorted.size() > kMostShown) sorted.resize(kMostShown);
    array list;
    std::vector<std::vector<std::string>> rows;
    for (const auto& [name, sum] : sorted) {
      list.push_back(object{{"name", name}, {"messages", sum.messages}, {"bytes", sum.bytes}, {"oldest_seconds", sum.oldest.count()}});
      rows.push_back({name, std::to_string(sum.messages), std::to_string(sum.bytes), short_time(sum.oldest)});
    }
    if (context.json) {
      out[base::lower(heading) + "s"] = std::move(list);
      continue;
    }
    if (rows.empty()) {
      if (sums == &states) std::puts("the queue is empty");
      continue;
    }
    if (sums != &states) std::puts("");
    print_table({heading, "MESSAGES", "BYTES", "OLDEST"}, rows);
  }
  if (context.json) std::cout << boost::json::serialize(out) << "\n";
  return spool.trouble() ? kFailed : kDone;
}

constexpr std::string_view kCommands[] = {"list", "show", "stats", "flush", "retry", "hold", "release", "bounce", "remove"};

}  // namespace

bool is_message_command(const std::string& word) { return std::find(std::begin(kCommands), std::end(kCommands), word) != std::end(kCommands); }

int run_queue_messages(const Context& context, const std::vector<std::string>& arguments) {
  const std::string action = arguments[0];
  Filter filter;
  bool message = false;
  auto words = read_options("queue " + action,
                            {{"--sender", &filter.sender}, {"--recipient", &filter.recipient}, {"--host", &filter.host}, {"--older", &filter.older},
                             {"--age", &filter.older}, {"--newer", &filter.newer}, {"--reason", &filter.reason}, {"--state", &filter.state},
                             {"--limit", &filter.limit}, {"--all", &filter.all}, {"--message", &message}},
                            {arguments.begin() + 1, arguments.end()});
  const auto wrong = [&](const std::string& text) {
    print_error(context, text);
    std::cerr << "usage: posternctl queue …\n" << kQueueDetails;
    return kUsage;
  };
  if (!words) return wrong(words.error().what);
  for (const auto& [text, target, name] : {std::tuple(&filter.older, &filter.older_than, "--older"), std::tuple(&filter.newer, &filter.newer_than, "--newer")})
    if (*text) {
      *target = time_from(**text);
      if (!*target) return wrong(std::string(name) + ": expected a time such as 30min, 4h or 2d, found " + queue_text(**text));
    }
  if (filter.state && std::find(std::begin(kStates), std::end(kStates), *filter.state) == std::end(kStates))
    return wrong("--state: expected deferred, held, incoming, outgoing, conversion or defragment, found " + queue_text(*filter.state));
  if (filter.limit && base::number_from<std::size_t>(*filter.limit).value_or(0) == 0) return wrong("--limit: expected a number above 0, found " + queue_text(*filter.limit));
  if (filter.limit && action != "list") return wrong("--limit goes with list");
  if (message && action != "show") return wrong("--message goes with show");
  const bool acts = action == "retry" || action == "hold" || action == "release" || action == "bounce" || action == "remove";
  filter.ids = *words;
  if (action == "show" ? filter.ids.size() != 1 || filter.any() : action == "list" || acts ? false : !filter.ids.empty()) return wrong("queue " + action + ": wrong arguments");
  if (acts && filter.ids.empty() && !filter.any() && !filter.all) return wrong("queue " + action + ": expected message ids, a filter, or --all");
  if (filter.all && (!acts || !filter.ids.empty() || filter.any())) return wrong("--all goes with no ids and no filter");
  if (action == "stats" && filter.any()) return wrong("queue stats takes no filter");
  if (action == "flush" && (filter.sender || filter.recipient || filter.older || filter.newer || filter.reason || filter.state))
    return wrong("queue flush takes --host only; queue retry takes all filters");

  auto spool = Spool::open(context);
  if (!spool) {
    print_error(context, spool.error().what);
    return kFailed;
  }
  if (action == "list") return print_list(context, *spool, filter);
  if (action == "show") return show(context, *spool, filter.ids.front(), message);
  if (action == "stats") return print_stats(context, *spool);
  if (acts) return act_on(context, *spool, action, filter);
  auto flushed = spool->flush(filter.host);
  if (!flushed) {
    print_error(context, flushed.error().what);
    return kFailed;
  }
  if (context.json) std::cout << boost::json::serialize(object{{"done", true}}) << "\n";
  else std::puts("the queue will try them now");
  return kDone;
}

}  // namespace postern::tools
