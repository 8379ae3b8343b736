// SPDX-License-Identifier: Apache-2.0
// posternctl queue corrupt: what could not be read and was set aside in spool/corrupt, and the way back (doc/man/posternctl-queue.8). Works on
// the files, with the server running or not.
#include "base/files.h"
#include "base/text.h"
#include "spool/corrupt.h"
#include "tools/posternctl.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <iostream>

namespace postern::tools {
namespace {

using boost::json::array;
using boost::json::object;

// Text for a terminal or for JSON: whatever a damaged envelope holds, it is no control sequence and it is UTF-8.
std::string printable(std::string_view text) {
  std::string out;
  const bool utf8 = base::is_utf8(text);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8) ? '?' : c;
  }
  return out;
}

std::string text_of(base::WallTime time) { return base::iso8601(time); }

object to_json(const spool::CorruptEntry& entry) {
  object out{{"name", printable(entry.name)},
             {"origin", spool::to_string(entry.origin)},
             {"bytes", entry.bytes},
             {"since", text_of(entry.since)},
             {"trouble", printable(entry.trouble)},
             {"releasable", entry.envelope.has_value()}};
  if (!entry.envelope) return out;
  const mail::Envelope& envelope = *entry.envelope;
  array recipients;
  for (const auto& recipient : envelope.recipients) recipients.emplace_back(printable(recipient.address));
  out["id"] = printable(envelope.id);
  out["received"] = text_of(envelope.received);
  out["sender"] = printable(envelope.reverse_path);
  out["recipients"] = std::move(recipients);
  out["message_bytes"] = entry.message_bytes;
  return out;
}

// The spool's owner is who touches its files: nothing that another user put there is followed with root's rights, and no file in it
// becomes root's.
Result<spool::Corrupt> open_spool(const Context& context) {
  auto spool = base::open_directory(context.base_directory(), "spool");
  if (!spool) {
    if (spool.error().kind == Kind::denied) return Error{Kind::denied, "only root and the owner of the base directory may do that"};
    return spool.error();
  }
  struct stat status {};
  if (::fstat(spool->get(), &status) != 0) return system_error(errno, "spool");
  if (auto become = become_owner(status.st_uid, status.st_gid, "the owner of the spool"); !become) return become.error();
  ::umask(0007);
  return spool::Corrupt::open(base::system_files(), spool->get());
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
    std::string to = "-";
    if (entry.envelope && !entry.envelope->recipients.empty()) {
      to = printable(entry.envelope->recipients.front().address);
      if (entry.envelope->recipients.size() > 1) to += " +" + std::to_string(entry.envelope->recipients.size() - 1);
    }
    rows.push_back({printable(entry.name), text_of(entry.since), std::to_string(entry.bytes), to, entry.trouble.empty() ? "none" : printable(entry.trouble)});
  }
  print_table({"NAME", "SINCE", "BYTES", "RECIPIENTS", "TROUBLE"}, rows);
  return kDone;
}

int print_entry(const Context& context, const spool::Corrupt::Message& message, bool text) {
  const spool::CorruptEntry& entry = message.entry;
  if (text) {
    std::fwrite(message.text.data(), 1, message.text.size(), stdout);
    return std::fflush(stdout) == 0 ? kDone : kFailed;
  }
  if (context.json) {
    std::cout << boost::json::serialize(to_json(entry)) << "\n";
    return kDone;
  }
  const auto line = [](const char* what, const std::string& value) { std::printf("%-11s %s\n", what, value.c_str()); };
  line("name", printable(entry.name));
  line("origin", std::string(spool::to_string(entry.origin)));
  line("since", text_of(entry.since));
  line("bytes", std::to_string(entry.bytes));
  line("trouble", entry.trouble.empty() ? "none" : printable(entry.trouble));
  if (!entry.envelope) {
    line("envelope", "can't be made out");
    return kDone;
  }
  line("id", printable(entry.envelope->id));
  line("received", text_of(entry.envelope->received));
  line("sender", "<" + printable(entry.envelope->reverse_path) + ">");
  for (const auto& recipient : entry.envelope->recipients) line("recipient", printable(recipient.address));
  line("message", std::to_string(entry.message_bytes) + " bytes");
  return kDone;
}

}  // namespace

const char* const kQueueDetails =
    "  corrupt list                        what could not be read and was set aside\n"
    "  corrupt show NAME [--message]       what can be made out of it; its text\n"
    "  corrupt release NAME [--damaged]    back into the queue, damaged ones only when told so\n"
    "  corrupt remove NAME                 for good\n";

int run_queue(const Context& context, const std::vector<std::string>& arguments) {
  std::vector<std::string> words;
  bool message = false, damaged = false;
  for (const auto& argument : arguments) {
    if (argument == "--message") message = true;
    else if (argument == "--damaged") damaged = true;
    else words.push_back(argument);
  }
  const std::string action = words.size() < 2 ? std::string() : words[1];
  const bool known = !words.empty() && words[0] == "corrupt" &&
                     (action == "list" ? words.size() == 2 : (action == "show" || action == "release" || action == "remove") && words.size() == 3) &&
                     (!message || action == "show") && (!damaged || action == "release");
  if (!known) {
    if (context.json) print_error(context, "wrong usage");
    std::cerr << "usage: posternctl queue …\n" << kQueueDetails;
    return kUsage;
  }
  auto corrupt = open_spool(context);
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
  if (context.json) std::cout << boost::json::serialize(object{{"done", true}}) << "\n";
  else std::cout << name << (action == "release" ? " is in the queue again\n" : " is removed\n");
  return kDone;
}

}  // namespace postern::tools
