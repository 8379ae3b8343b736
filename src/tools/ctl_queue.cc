// SPDX-License-Identifier: Apache-2.0
// posternctl queue held, queue corrupt: what waits for the administrator: messages that a rule holds, and what could not be read and
// was set aside in spool/corrupt (doc/man/posternctl-queue.8). Works on the files, with the server running or not.
#include "base/files.h"
#include "base/text.h"
#include "mail/message.h"
#include "spool/corrupt.h"
#include "spool/held.h"
#include "tools/ctl_queue.h"
#include "tools/options.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <cstdio>
#include <iostream>

namespace postern::tools {

std::string queue_text(std::string_view text) {
  std::string out;
  const bool utf8 = base::is_utf8(text);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8) ? '?' : c;
  }
  return out;
}

std::string recipients_of(const mail::Envelope& envelope) {
  if (envelope.recipients.empty()) return "-";
  std::string to = queue_text(envelope.recipients.front().address);
  if (envelope.recipients.size() > 1) to += " +" + std::to_string(envelope.recipients.size() - 1);
  return to;
}

Result<base::Descriptor> open_spool_as_owner(const Context& context) { return open_as_owner(context, "spool", "the owner of the spool", 0007); }

int print_text(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  return std::fflush(stdout) == 0 ? kDone : kFailed;
}

void Troubles::add(std::string_view text) {
  const std::string shown = queue_text(text);
  std::cerr << "posternctl: " << shown << "\n";
  texts_.emplace_back(shown);
}

void Troubles::add_to(boost::json::object& answer) const {
  if (any()) answer["errors"] = texts_;
}

void print_line(const char* what, const std::string& value) { std::printf("%-11s %s\n", what, value.c_str()); }

namespace {

using boost::json::array;
using boost::json::object;

constexpr std::size_t kMostListed = 100000;

std::string text_of(base::WallTime time) { return base::iso8601(time); }

array array_of(const std::vector<std::string>& texts) {
  array list;
  for (const std::string& text : texts) list.emplace_back(queue_text(text));
  return list;
}

std::string subject_of(const spool::Held::Message& message) {
  const mail::MessageView view(message.message);
  return queue_text(base::printable(view.first("Subject").value_or(std::string_view()), 200));
}

void add_envelope(object& out, const mail::Envelope& envelope) {
  array recipients;
  for (const auto& recipient : envelope.recipients) recipients.emplace_back(queue_text(recipient.address));
  out["id"] = queue_text(envelope.id);
  out["received"] = text_of(envelope.received);
  out["sender"] = queue_text(envelope.reverse_path);
  out["recipients"] = std::move(recipients);
}

object to_json(const spool::CorruptEntry& entry) {
  object out{{"name", queue_text(entry.name)},
             {"origin", spool::to_string(entry.origin)},
             {"bytes", entry.bytes},
             {"since", text_of(entry.since)},
             {"trouble", queue_text(entry.trouble)},
             {"releasable", entry.envelope.has_value()}};
  if (!entry.envelope) return out;
  add_envelope(out, *entry.envelope);
  out["message_bytes"] = entry.message_bytes;
  return out;
}

object to_json(const spool::Held::Message& message) {
  object out{{"id", queue_text(message.envelope.id)}, {"since", text_of(message.since)}, {"held_by", queue_text(message.envelope.held_by)}};
  add_envelope(out, message.envelope);
  out["source_channel"] = queue_text(message.envelope.source_channel);
  out["client"] = queue_text(message.envelope.client_address);
  out["subject"] = subject_of(message);
  out["conversion_tags"] = array_of(message.envelope.conversion_tags);
  out["spam_adjustments"] = array_of(message.envelope.spam_adjustments);
  out["no_vacation"] = message.envelope.no_vacation;
  out["message_bytes"] = message.message.size();
  return out;
}

template <class Part>
Result<Part> open_spool(const Context& context) {
  auto spool = open_spool_as_owner(context);
  if (!spool) return spool.error();
  return Part::open(base::system_files(), spool->get());
}

int print_list(const Context& context, const spool::Corrupt& corrupt) {
  auto entries = corrupt.list();
  if (!entries) {
    print_error(context, entries.error().what);
    return kFailed;
  }
  if (context.json) {
    array list;
    for (const auto& entry : *entries) list.push_back(to_json(entry));
    std::cout << boost::json::serialize(list) << "\n";
    return kDone;
  }
  if (entries->empty()) {
    std::puts("nothing was set aside");
    return kDone;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& entry : *entries) {
    const std::string to = entry.envelope ? recipients_of(*entry.envelope) : "-";
    rows.push_back({queue_text(entry.name), text_of(entry.since), std::to_string(entry.bytes), to, entry.trouble.empty() ? "none" : queue_text(entry.trouble)});
  }
  print_table({"NAME", "SINCE", "BYTES", "RECIPIENTS", "TROUBLE"}, rows);
  return kDone;
}

void print_envelope(const mail::Envelope& envelope) {
  print_line("received", text_of(envelope.received));
  print_line("sender", "<" + queue_text(envelope.reverse_path) + ">");
  for (const auto& recipient : envelope.recipients) print_line("recipient", queue_text(recipient.address));
}

int print_entry(const Context& context, const spool::Corrupt::Message& message, bool text) {
  const spool::CorruptEntry& entry = message.entry;
  if (text) return print_text(message.text);
  if (context.json) {
    std::cout << boost::json::serialize(to_json(entry)) << "\n";
    return kDone;
  }
  print_line("name", queue_text(entry.name));
  print_line("origin", std::string(spool::to_string(entry.origin)));
  print_line("since", text_of(entry.since));
  print_line("bytes", std::to_string(entry.bytes));
  print_line("trouble", entry.trouble.empty() ? "none" : queue_text(entry.trouble));
  if (!entry.envelope) {
    print_line("envelope", "can't be made out");
    return kDone;
  }
  print_line("id", queue_text(entry.envelope->id));
  print_envelope(*entry.envelope);
  print_line("message", std::to_string(entry.message_bytes) + " bytes");
  return kDone;
}

int print_held(const Context& context, const spool::Held& held) {
  auto entries = held.list(kMostListed);
  if (!entries) {
    print_error(context, entries.error().what);
    return kFailed;
  }
  array list;
  std::vector<std::vector<std::string>> rows;
  Troubles unreadable;
  for (const auto& entry : *entries) {
    auto message = held.read(entry);
    if (!message) {
      // Gone meanwhile, or damaged: the others are shown all the same.
      if (message.error().kind == Kind::not_found) continue;
      unreadable.add(message.error().what);
      continue;
    }
    if (context.json) list.push_back(to_json(*message));
    else rows.push_back({queue_text(entry.id), text_of(message->since), "<" + queue_text(message->envelope.reverse_path) + ">",
                         recipients_of(message->envelope), queue_text(message->envelope.held_by)});
  }
  if (context.json) std::cout << boost::json::serialize(list) << "\n";
  else if (rows.empty()) std::puts("no message is held");
  else print_table({"ID", "SINCE", "SENDER", "RECIPIENTS", "HELD BY"}, rows);
  return unreadable.any() ? kFailed : kDone;
}

int print_held(const Context& context, const spool::Held::Message& message, bool text) {
  if (text) return print_text(message.message);
  if (context.json) {
    std::cout << boost::json::serialize(to_json(message)) << "\n";
    return kDone;
  }
  print_line("id", queue_text(message.envelope.id));
  print_line("since", text_of(message.since));
  print_line("held by", queue_text(message.envelope.held_by));
  print_envelope(message.envelope);
  print_line("channel", queue_text(message.envelope.source_channel));
  print_line("client", queue_text(message.envelope.client_address));
  print_line("subject", subject_of(message));
  print_line("message", std::to_string(message.message.size()) + " bytes");
  return kDone;
}

int done_with(const Context& context, const std::string& name, bool released) {
  if (context.json) std::cout << boost::json::serialize(object{{"done", true}}) << "\n";
  else std::cout << name << (released ? " is in the queue again\n" : " is removed\n");
  return kDone;
}

int run_held(const Context& context, const std::string& action, const std::string& id, bool message) {
  auto held = open_spool<spool::Held>(context);
  const auto complain = [&](const std::string& text) {
    print_error(context, text);
    return kFailed;
  };
  if (!held) return complain(held.error().what);
  if (action == "list") return print_held(context, *held);
  if (action == "show") {
    auto found = held->read(id);
    if (!found) return complain(found.error().what);
    return print_held(context, *found, message);
  }
  if (auto done = action == "release" ? held->release(id) : held->remove(id); !done) return complain(done.error().what);
  return done_with(context, id, action == "release");
}

}  // namespace

const char* const kQueueDetails =
    "  list [ID …] [FILTER …]              messages in the queue, whatever they wait for\n"
    "  show ID [--message]                 one of them, with what became of each recipient so far; its text\n"
    "  stats                               how many there are, for which domains, and why they wait\n"
    "  flush [--host DOMAIN]               tries everything now, or everything for a domain\n"
    "  retry|hold|bounce|remove ID …       tries it now; holds it until release; returns it to its sender; removes it for good\n"
    "  release ID …                        lets a held message go\n"
    "  retry|hold|release|bounce|remove FILTER …   the same for all that fit; --all for all there are\n"
    "    FILTER: --sender ADDRESS, --recipient ADDRESS (or @DOMAIN; <> for no sender), --host DOMAIN, --older TIME, --newer TIME,\n"
    "            --reason TEXT, --state deferred|held|incoming|outgoing|conversion|defragment; list also takes --limit NUMBER\n"
    "  held list                           messages that a rule of yours holds\n"
    "  held show ID [--message]            sender, recipients, and which rule; its text\n"
    "  held release ID                     lets it go: it is delivered\n"
    "  held remove ID                      for good\n"
    "  corrupt list                        what could not be read and was set aside\n"
    "  corrupt show NAME [--message]       what can be made out of it; its text\n"
    "  corrupt release NAME [--damaged]    back into the queue, damaged ones only when told so\n"
    "  corrupt remove NAME                 for good\n";

int run_queue(const Context& context, const std::vector<std::string>& arguments) {
  if (!arguments.empty() && is_message_command(arguments[0])) return run_queue_messages(context, arguments);
  std::vector<std::string> words;
  bool message = false, damaged = false;
  for (const auto& argument : arguments) {
    if (argument == "--message") message = true;
    else if (argument == "--damaged") damaged = true;
    else words.push_back(argument);
  }
  const std::string action = words.size() < 2 ? std::string() : words[1];
  const bool is_held = !words.empty() && words[0] == "held";
  const bool known = !words.empty() && (is_held || words[0] == "corrupt") &&
                     (action == "list" ? words.size() == 2 : (action == "show" || action == "release" || action == "remove") && words.size() == 3) &&
                     (!message || action == "show") && (!damaged || (action == "release" && !is_held));
  if (!known) {
    const bool family = is_held || (!words.empty() && words[0] == "corrupt");
    print_error(context, family ? "queue " + words[0] + " wants list, or show, release or remove and one " + (is_held ? "ID" : "NAME")
                                : verb_mistake("queue", words.empty() ? std::string() : words[0]));
    std::cerr << "usage: posternctl queue …\n" << kQueueDetails;
    return kUsage;
  }
  if (is_held) return run_held(context, action, words.size() > 2 ? words[2] : std::string(), message);
  auto corrupt = open_spool<spool::Corrupt>(context);
  const auto complain = [&](const std::string& text) {
    print_error(context, text);
    return kFailed;
  };
  if (!corrupt) return complain(corrupt.error().what);
  if (action == "list") return print_list(context, *corrupt);
  const std::string& name = words[2];
  if (action == "show") {
    auto found = corrupt->read(name);
    if (!found) return complain(found.error().what);
    return print_entry(context, *found, message);
  }
  if (auto done = action == "release" ? corrupt->release(name, damaged) : corrupt->remove(name); !done)
    return complain(done.error().what + (done.error().kind == Kind::corrupt ? "; with --damaged it is delivered as it is" : ""));
  return done_with(context, name, action == "release");
}

}  // namespace postern::tools
