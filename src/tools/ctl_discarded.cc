// SPDX-License-Identifier: Apache-2.0
// posternctl discarded: what filters discarded and is kept for some days (doc/man/posternctl-discarded.8). Works on the files, with the server
// running or not.
#include "base/files.h"
#include "base/text.h"
#include "mail/message.h"
#include "spool/discarded.h"
#include "tools/ctl_queue.h"
#include "tools/options.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <set>

namespace postern::tools {
namespace {

using boost::json::array;
using boost::json::object;

struct Filter {
  std::optional<std::string> account, sender, older, newer, limit;
  bool all = false;
  std::vector<std::string> ids;
  std::optional<std::chrono::seconds> older_than, newer_than;
  [[nodiscard]] bool any() const { return account || sender || older || newer; }
};

bool recipient_fits(const Filter& filter, const mail::Recipient& recipient) {
  return !filter.account || address_fits(*filter.account, recipient.account.empty() ? recipient.address : recipient.account);
}

bool fits(const Filter& filter, const mail::Envelope& envelope, base::WallTime now) {
  if (!filter.ids.empty() && std::find(filter.ids.begin(), filter.ids.end(), envelope.id) == filter.ids.end()) return false;
  if (filter.sender && !address_fits(*filter.sender, envelope.reverse_path)) return false;
  if (filter.older_than && now - envelope.received < *filter.older_than) return false;
  if (filter.newer_than && now - envelope.received >= *filter.newer_than) return false;
  return std::any_of(envelope.recipients.begin(), envelope.recipients.end(), [&](const mail::Recipient& one) { return recipient_fits(filter, one); });
}

std::string subject_of(const std::string& message) {
  const mail::MessageView view(message);
  return queue_text(base::printable(view.first("Subject").value_or(std::string_view()), 200));
}

object to_json(const spool::DeferredEntry& entry, const mail::Envelope& envelope, std::uint64_t bytes) {
  array recipients;
  for (const auto& one : envelope.recipients) recipients.push_back(object{{"address", queue_text(one.address)}, {"account", queue_text(one.account)}});
  return {{"id", queue_text(envelope.id)},
          {"received", base::iso8601(envelope.received)},
          {"kept_until", base::iso8601(entry.next_attempt)},
          {"discarded_by", queue_text(envelope.held_by)},
          {"sender", queue_text(envelope.reverse_path)},
          {"recipients", std::move(recipients)},
          {"source_channel", queue_text(envelope.source_channel)},
          {"client", queue_text(envelope.client_address)},
          {"message_bytes", bytes}};
}

class Work {
 public:
  Work(const Context& context, spool::Discarded discarded, Filter filter) : context_(context), discarded_(std::move(discarded)), filter_(std::move(filter)) {}

  int list() {
    const base::WallTime now = base::wall_now();
    const std::size_t limit = filter_.limit ? base::number_from<std::size_t>(*filter_.limit).value_or(0) : SIZE_MAX;
    std::size_t shown = 0;
    std::vector<std::vector<std::string>> rows;
    if (context_.json) std::cout << "[";
    auto listed = each([&](const spool::DeferredEntry& entry, const spool::Deferred::Head& head) {
      if (shown == limit) return;
      ++shown;
      const mail::Envelope& envelope = head.envelope;
      if (context_.json) {
        std::cout << (shown == 1 ? "" : ",\n") << boost::json::serialize(to_json(entry, envelope, head.message_bytes));
        return;
      }
      rows.push_back({queue_text(envelope.id), short_time(std::chrono::floor<std::chrono::seconds>(now - envelope.received)),
                      "in " + short_time(std::chrono::ceil<std::chrono::seconds>(entry.next_attempt - now)), std::to_string(head.message_bytes),
                      "<" + queue_text(envelope.reverse_path) + ">", recipients_of(envelope), queue_text(envelope.held_by)});
    });
    if (context_.json) std::cout << "]\n";
    if (!listed) return kFailed;
    if (!context_.json) {
      if (rows.empty()) std::puts("no such message was discarded");
      else print_table({"ID", "AGE", "GONE", "BYTES", "SENDER", "RECIPIENTS", "DISCARDED BY"}, rows);
    }
    return troubles_.any() ? kFailed : kDone;
  }

  int show(bool text) {
    array found;
    std::size_t count = 0;
    int status = kDone;
    auto listed = each([&](const spool::DeferredEntry& entry, const spool::Deferred::Head& head) {
      auto message = discarded_.read(entry);
      if (!message) {
        complain(message.error());
        return;
      }
      ++count;
      const mail::Envelope& envelope = message->envelope;
      if (text) {
        if (count == 1) status = print_text(message->message);
        return;
      }
      if (context_.json) {
        found.push_back(to_json(entry, envelope, head.message_bytes));
        found.back().as_object()["subject"] = subject_of(message->message);
        return;
      }
      if (count > 1) std::puts("");
      print_line("id", queue_text(envelope.id));
      print_line("received", base::iso8601(envelope.received));
      print_line("gone", base::iso8601(entry.next_attempt));
      print_line("by", queue_text(envelope.held_by));
      print_line("sender", "<" + queue_text(envelope.reverse_path) + ">");
      for (const auto& one : envelope.recipients) print_line("recipient", queue_text(one.address));
      print_line("channel", queue_text(envelope.source_channel));
      print_line("client", queue_text(envelope.client_address));
      print_line("subject", subject_of(message->message));
      print_line("message", std::to_string(message->message.size()) + " bytes");
    });
    if (!listed || (count == 0 && troubles_.any())) return nothing_done();
    if (count == 0) print_error(context_, "no discarded message has the id " + filter_.ids.front());
    if (context_.json && !text && count > 0) std::cout << boost::json::serialize(found) << "\n";
    return count == 0 || troubles_.any() ? kFailed : status;
  }

  int act(bool restore) {
    std::size_t messages = 0, recipients = 0;
    std::set<std::string> known;
    const auto chosen = [&](const mail::Recipient& one) { return recipient_fits(filter_, one); };
    auto listed = each([&](const spool::DeferredEntry& entry, const spool::Deferred::Head& head) {
      known.insert(head.envelope.id);
      auto done = restore ? discarded_.restore(entry, chosen) : discarded_.remove(entry, chosen);
      if (!done) {
        complain(done.error());
      } else {
        ++messages;
        recipients += *done;
      }
    });
    if (!listed) return nothing_done();
    for (const std::string& id : filter_.ids)
      if (!known.contains(id)) {
        troubles_.add("no discarded message" + std::string(filter_.any() ? " that fits" : "") + " has the id " + id);
      }
    if (context_.json) {
      object answer{{"done", !troubles_.any()}, {"messages", messages}, {"recipients", recipients}};
      troubles_.add_to(answer);
      std::cout << boost::json::serialize(answer) << "\n";
    } else {
      std::printf("%zu messages for %zu recipients: %s\n", messages, recipients, restore ? "in the queue again" : "removed");
    }
    return troubles_.any() ? kFailed : kDone;
  }

 private:
  template <class Visit>
  bool each(const Visit& visit) {
    const base::WallTime now = base::wall_now();
    auto entries = discarded_.list();
    if (!entries) {
      troubles_.add(entries.error().what);
      return false;
    }
    for (const auto& entry : *entries) {
      if (!filter_.ids.empty() && std::find(filter_.ids.begin(), filter_.ids.end(), entry.id) == filter_.ids.end()) continue;
      auto head = discarded_.read_head(entry);
      if (!head) complain(head.error());
      else if (fits(filter_, head->envelope, now)) visit(entry, *head);
    }
    return true;
  }

  int nothing_done() {
    object answer;
    troubles_.add_to(answer);
    if (context_.json) std::cout << boost::json::serialize(answer) << "\n";
    return kFailed;
  }

  // Trouble with one message is no trouble with the others.
  void complain(const Error& error) {
    if (error.kind == Kind::not_found) return;  // its time had come
    troubles_.add(error.what);
  }

  const Context& context_;
  spool::Discarded discarded_;
  Filter filter_;
  Troubles troubles_;
};

}  // namespace

const char* const kDiscardedDetails =
    "  list [FILTER …] [--limit NUMBER]    messages that filters discarded, as long as they are kept\n"
    "  show ID [--message]                 one of them; its text\n"
    "  restore ID …|FILTER …|--all         delivers them after all, without asking any filter\n"
    "  remove ID …|FILTER …|--all          removes them for good\n"
    "    FILTER: --account ADDRESS (or @DOMAIN; of a message for several, only this one's), --sender ADDRESS (<> for none), --older TIME, --newer TIME\n";

int run_discarded(const Context& context, const std::vector<std::string>& arguments) {
  const auto wrong = [&](const std::string& text) {
    print_error(context, text);
    std::cerr << "usage: posternctl discarded …\n" << kDiscardedDetails;
    return kUsage;
  };
  if (arguments.empty()) return wrong("wrong usage");
  const std::string& action = arguments[0];
  const bool acts = action == "restore" || action == "remove";
  if (!acts && action != "list" && action != "show") return wrong("there is no discarded " + queue_text(action));
  Filter filter;
  bool message = false;
  auto words = read_options("discarded " + action,
                            {{"--account", &filter.account}, {"--sender", &filter.sender}, {"--older", &filter.older}, {"--age", &filter.older},
                             {"--newer", &filter.newer}, {"--limit", &filter.limit}, {"--all", &filter.all}, {"--message", &message}},
                            {arguments.begin() + 1, arguments.end()});
  if (!words) return wrong(words.error().what);
  for (const auto& [text, target, name] : {std::tuple(&filter.older, &filter.older_than, "--older"), std::tuple(&filter.newer, &filter.newer_than, "--newer")})
    if (*text) {
      *target = time_from(**text);
      if (!*target) return wrong(std::string(name) + ": expected a time such as 30min, 4h or 2d, found " + queue_text(**text));
    }
  if (filter.limit && (action != "list" || base::number_from<std::size_t>(*filter.limit).value_or(0) == 0)) return wrong("--limit: expected a number above 0, with list");
  if (message && action != "show") return wrong("--message goes with show");
  filter.ids = *words;
  if (action == "show" && (filter.ids.size() != 1 || filter.any())) return wrong("discarded show: expected one id");
  if (action == "list" && !filter.ids.empty()) return wrong("discarded list takes filters only");
  if (acts && filter.ids.empty() && !filter.any() && !filter.all) return wrong("discarded " + action + ": expected message ids, a filter, or --all");
  if (filter.all && (!acts || !filter.ids.empty() || filter.any())) return wrong("--all goes with no ids and no filter");

  auto spool = open_spool_as_owner(context);
  Result<spool::Discarded> discarded = spool ? spool::Discarded::open(base::system_files(), spool->get()) : Result<spool::Discarded>(spool.error());
  if (!discarded) {
    print_error(context, discarded.error().what);
    return kFailed;
  }
  Work work(context, std::move(*discarded), std::move(filter));
  return action == "list" ? work.list() : action == "show" ? work.show(message) : work.act(action == "restore");
}

}  // namespace postern::tools
