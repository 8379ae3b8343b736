// SPDX-License-Identifier: Apache-2.0
#include "master/hand_over.h"

#include "base/descriptor.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <type_traits>
#include <utility>

namespace postern::master {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;
using SteadyTime = std::chrono::steady_clock::time_point;

// ---- writing

// The steady clock goes on over an execution: its count is kept as it is.
std::int64_t count(SteadyTime time) { return time.time_since_epoch().count(); }

std::string_view to_string(ChildFacts::Phase phase) {
  switch (phase) {
    case ChildFacts::Phase::starting: return "starting";
    case ChildFacts::Phase::working: return "working";
    case ChildFacts::Phase::leaving: return "leaving";
  }
  return "starting";
}

object to_json(const HandedSocket& socket) {
  return {{"id", socket.id},
          {"module", conf::to_string(socket.wanted.module)},
          {"port", socket.wanted.port},
          {"row", socket.wanted.row.to_string()},
          {"address", socket.wanted.address.to_string()},
          {"socket", socket.socket},
          {"error", socket.error},
          {"absent", socket.absent}};
}

object to_json(const HandedChild& child) {
  const ChildFacts& facts = child.facts;
  return {{"number", facts.number},
          {"incarnation", facts.incarnation},
          {"role", facts.role},
          {"pid", facts.pid},
          {"phase", to_string(facts.phase)},
          {"started", count(facts.started)},
          {"ready_at", count(facts.ready_at)},
          {"kill_at", count(facts.kill_at)},
          {"killed", facts.killed},
          {"done", facts.done},
          {"generation", facts.generation},
          {"program", facts.program},
          {"wants_replacement", facts.wants_replacement},
          {"replaces", facts.replaces},
          {"control", child.control}};
}

object to_json(const HandedTables& tables) {
  return {{"image", tables.image},
          {"generation", tables.generation},
          {"loaded", tables.loaded},
          {"error", tables.error},
          {"seen_any", tables.seen_any},
          {"device", tables.device},
          {"inode", tables.inode},
          {"size", tables.size},
          {"modified_seconds", tables.modified_seconds},
          {"modified_nanoseconds", tables.modified_nanoseconds},
          {"changed_seconds", tables.changed_seconds},
          {"changed_nanoseconds", tables.changed_nanoseconds}};
}

// ---- reading

// Reads the members of an object; what is missing or of another type is remembered, and the first such name is the error.
class Members {
 public:
  Members(const object& from, std::string where, std::string& wrong) : from_(from), where_(std::move(where)), wrong_(wrong) {}

  template <class Number>
  void read(std::string_view key, Number& into) const requires(std::is_integral_v<Number> && !std::is_same_v<Number, bool>) {
    const value* const found = from_.if_contains(key);
    boost::system::error_code error;
    if (found == nullptr) return complain(key);
    const auto number = found->to_number<Number>(error);
    if (error) return complain(key);
    into = number;
  }
  void read(std::string_view key, std::string& into) const {
    const value* const found = from_.if_contains(key);
    if (found == nullptr || !found->is_string()) return complain(key);
    into = std::string(found->get_string());
  }
  void read(std::string_view key, bool& into) const {
    const value* const found = from_.if_contains(key);
    if (found == nullptr || !found->is_bool()) return complain(key);
    into = found->get_bool();
  }
  void read(std::string_view key, SteadyTime& into) const {
    SteadyTime::rep number = 0;
    read(key, number);
    into = SteadyTime(SteadyTime::duration(number));
  }
  // A descriptor: its number, or -1 where there may be none. Never one of the standard streams.
  void read_descriptor(std::string_view key, int& into, bool may_lack) const {
    read(key, into);
    if (into < 3 && (into != -1 || !may_lack)) complain(key);
  }
  // Calls `visit` with the members of every entry of a list.
  template <class Visit>
  void each(std::string_view key, Visit visit) const {
    const value* const found = from_.if_contains(key);
    if (found == nullptr || !found->is_array()) return complain(key);
    for (const value& entry : found->get_array()) {
      if (!entry.is_object()) return complain(key);
      visit(Members(entry.get_object(), where_ + std::string(key) + ".", wrong_));
    }
  }
  void complain(std::string_view key) const {
    if (wrong_.empty()) wrong_ = where_ + std::string(key);
  }

 private:
  const object& from_;
  std::string where_;
  std::string& wrong_;
};

HandedSocket socket_from(const Members& members) {
  HandedSocket socket;
  std::string module, row, address;
  members.read("id", socket.id);
  members.read("module", module);
  members.read("port", socket.wanted.port);
  members.read("row", row);
  members.read("address", address);
  members.read_descriptor("socket", socket.socket, true);
  members.read("error", socket.error);
  members.read("absent", socket.absent);
  bool known = false;
  for (std::size_t i = 0; i < conf::kModules; ++i)
    if (conf::to_string(static_cast<conf::Module>(i)) == module) {
      socket.wanted.module = static_cast<conf::Module>(i);
      known = true;
    }
  if (!known) members.complain("module");
  auto local = conf::LocalAddress::parse(row);
  auto bound = net::Address::parse(address);
  if (local) socket.wanted.row = std::move(*local);
  else members.complain("row");
  if (bound) socket.wanted.address = *bound;
  else members.complain("address");
  return socket;
}

HandedChild child_from(const Members& members) {
  HandedChild child;
  ChildFacts& facts = child.facts;
  std::string phase;
  members.read("number", facts.number);
  members.read("incarnation", facts.incarnation);
  members.read("role", facts.role);
  members.read("pid", facts.pid);
  members.read("phase", phase);
  members.read("started", facts.started);
  members.read("ready_at", facts.ready_at);
  members.read("kill_at", facts.kill_at);
  members.read("killed", facts.killed);
  members.read("done", facts.done);
  members.read("generation", facts.generation);
  members.read("program", facts.program);
  members.read("wants_replacement", facts.wants_replacement);
  members.read("replaces", facts.replaces);
  members.read_descriptor("control", child.control, true);
  if (phase == "working") facts.phase = ChildFacts::Phase::working;
  else if (phase == "leaving") facts.phase = ChildFacts::Phase::leaving;
  else if (phase != "starting") members.complain("phase");
  if (facts.number >= kMaximumChildren) members.complain("number");
  if (facts.pid <= 0) members.complain("pid");
  return child;
}

HandedTables tables_from(const Members& members) {
  HandedTables tables;
  members.read_descriptor("image", tables.image, true);
  members.read("generation", tables.generation);
  members.read("loaded", tables.loaded);
  members.read("error", tables.error);
  members.read("seen_any", tables.seen_any);
  members.read("device", tables.device);
  members.read("inode", tables.inode);
  members.read("size", tables.size);
  members.read("modified_seconds", tables.modified_seconds);
  members.read("modified_nanoseconds", tables.modified_nanoseconds);
  members.read("changed_seconds", tables.changed_seconds);
  members.read("changed_nanoseconds", tables.changed_nanoseconds);
  return tables;
}

Formats formats_from(const Members& members) {
  Formats formats;
  members.each("formats", [&](const Members& row) {
    std::string name;
    Versions versions;
    row.read("name", name);
    row.read("oldest", versions.oldest);
    row.read("newest", versions.newest);
    formats[name] = versions;
  });
  return formats;
}

// What the other program writes must be among what we can go on from.
Result<void> compatible(const Formats& theirs, const Formats& ours) {
  for (const auto& [name, versions] : theirs) {
    const auto own = ours.find(name);
    const std::string written = name + ": version " + std::to_string(versions.newest) + " is in use";
    if (own == ours.end()) return Error{Kind::denied, written + ", this program knows none"};
    if (versions.newest < own->second.oldest || versions.newest > own->second.newest)
      return Error{Kind::denied, written + ", this program knows " + std::to_string(own->second.oldest) +
                                     (own->second.oldest == own->second.newest ? "" : " to " + std::to_string(own->second.newest))};
  }
  return {};
}

}  // namespace

Formats all_formats(Formats others) {
  others["orders"] = {kOrdersVersion, kOrdersVersion};
  return others;
}

int HandOver::descriptor(std::string_view name) const {
  for (const auto& [known, number] : descriptors)
    if (known == name) return number;
  return -1;
}

std::vector<int> HandOver::all_descriptors() const {
  std::vector<int> all{text, program, lock, base, run, control, configuration, log, tables.image};
  for (const auto& socket : sockets) all.push_back(socket.socket);
  for (const auto& child : children) all.push_back(child.control);
  for (const auto& [name, number] : descriptors) all.push_back(number);
  for (const auto& request : requests) all.push_back(request.socket);
  std::erase(all, -1);
  return all;
}

std::string to_text(const HandOver& from) {
  array formats, sockets, children, owed, descriptors, requests;
  for (const auto& [name, versions] : from.formats)
    formats.push_back(object{{"name", name}, {"oldest", versions.oldest}, {"newest", versions.newest}});
  for (const auto& socket : from.sockets) sockets.push_back(to_json(socket));
  for (const auto& child : from.children) children.push_back(to_json(child));
  for (const auto& debt : from.owed)
    owed.push_back(object{{"child", debt.child}, {"incarnation", debt.incarnation}, {"resource", debt.resource}});
  for (const auto& [name, number] : from.descriptors) descriptors.push_back(object{{"name", name}, {"descriptor", number}});
  for (const auto& request : from.requests) requests.push_back(object{{"socket", request.socket}, {"command", request.command}});
  return boost::json::serialize(object{{"hand_over", kHandOverVersion},
                                       {"version", from.version},
                                       {"formats", std::move(formats)},
                                       {"program", from.program},
                                       {"program_path", from.program_path},
                                       {"failure", from.failure},
                                       {"writer_number", from.writer_number},
                                       {"program_number", from.program_number},
                                       {"highest_number", from.highest_number},
                                       {"configuration_path", from.configuration_path},
                                       {"pid_file", from.pid_file},
                                       {"background", from.background},
                                       {"lock", from.lock},
                                       {"base", from.base},
                                       {"run", from.run},
                                       {"control", from.control},
                                       {"configuration", from.configuration},
                                       {"log", from.log},
                                       {"generation", from.generation},
                                       {"started_text", from.started_text},
                                       {"started", count(from.started)},
                                       {"incarnation", from.incarnation},
                                       {"sequence", from.sequence},
                                       {"next_socket", from.next_socket},
                                       {"sockets", std::move(sockets)},
                                       {"children", std::move(children)},
                                       {"owed", std::move(owed)},
                                       {"tables", to_json(from.tables)},
                                       {"descriptors", std::move(descriptors)},
                                       {"requests", std::move(requests)},
                                       {"reload", from.reload},
                                       {"stop", from.stop},
                                       {"reopen_log", from.reopen_log}});
}

Result<HandOver> from_text(std::string_view text, const Formats& ours) {
  boost::system::error_code error;
  const value parsed = boost::json::parse(text, error);
  if (error || !parsed.is_object()) return Error{Kind::invalid, "hand-over: not a JSON object"};
  std::string wrong;
  const Members members(parsed.get_object(), {}, wrong);
  unsigned version = 0;
  members.read("hand_over", version);
  if (version != kHandOverVersion)
    return Error{Kind::denied, "hand-over: version " + std::to_string(version) + ", this program knows " + std::to_string(kHandOverVersion)};
  HandOver read;
  read.formats = formats_from(members);
  if (!wrong.empty()) return Error{Kind::invalid, "hand-over: " + wrong + " is missing or malformed"};
  if (auto known = compatible(read.formats, ours); !known) return known.error().in("hand-over");
  members.read("version", read.version);
  members.read_descriptor("program", read.program, false);
  members.read("program_path", read.program_path);
  members.read("failure", read.failure);
  members.read("writer_number", read.writer_number);
  members.read("program_number", read.program_number);
  members.read("highest_number", read.highest_number);
  members.read("configuration_path", read.configuration_path);
  members.read("pid_file", read.pid_file);
  members.read("background", read.background);
  members.read_descriptor("lock", read.lock, false);
  members.read_descriptor("base", read.base, false);
  members.read_descriptor("run", read.run, false);
  members.read_descriptor("control", read.control, false);
  members.read_descriptor("configuration", read.configuration, false);
  members.read_descriptor("log", read.log, true);
  members.read("generation", read.generation);
  members.read("started_text", read.started_text);
  members.read("started", read.started);
  members.read("incarnation", read.incarnation);
  members.read("sequence", read.sequence);
  members.read("next_socket", read.next_socket);
  members.each("sockets", [&](const Members& row) { read.sockets.push_back(socket_from(row)); });
  members.each("children", [&](const Members& row) { read.children.push_back(child_from(row)); });
  members.each("owed", [&](const Members& row) {
    HandedDebt debt;
    row.read("child", debt.child);
    row.read("incarnation", debt.incarnation);
    row.read("resource", debt.resource);
    read.owed.push_back(std::move(debt));
  });
  if (const value* const tables = parsed.get_object().if_contains("tables"); tables != nullptr && tables->is_object())
    read.tables = tables_from(Members(tables->get_object(), "tables.", wrong));
  else members.complain("tables");
  members.each("descriptors", [&](const Members& row) {
    std::pair<std::string, int> entry;
    row.read("name", entry.first);
    row.read_descriptor("descriptor", entry.second, false);
    read.descriptors.push_back(std::move(entry));
  });
  members.each("requests", [&](const Members& row) {
    HandedRequest request;
    row.read_descriptor("socket", request.socket, false);
    row.read("command", request.command);
    read.requests.push_back(std::move(request));
  });
  members.read("reload", read.reload);
  members.read("stop", read.stop);
  members.read("reopen_log", read.reopen_log);
  if (!wrong.empty()) return Error{Kind::invalid, "hand-over: " + wrong + " is missing or malformed"};
  return read;
}

Result<HandOver> read_hand_over(int number, const Formats& others) {
  if (!base::is_sealed(number)) return Error{Kind::denied, "hand-over: not a sealed memory file"};
  auto text = base::read_all(number, kHandOverBytes);
  if (!text) return text.error().in("hand-over");
  auto read = from_text(*text, all_formats(others));
  if (read) read->text = number;
  return read;
}

}  // namespace postern::master
