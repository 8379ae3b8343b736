// SPDX-License-Identifier: Apache-2.0
// posternctl status, sessions, reload, upgrade, stop: questions and orders to the running master over run/control.sock.
#include "tools/posternctl.h"

#include "base/text.h"
#include "net/frames.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <iostream>

namespace postern::tools {
namespace {

using boost::json::object;
using boost::json::value;

constexpr const char* kSocket = "run/control.sock";
// A reload waits for the children, an answer for nobody.
constexpr std::chrono::seconds kPatience(30);
// An upgrade for the last child that must finish its work before its successor can begin.
constexpr std::chrono::seconds kUpgradePatience(300);

int fail(const Context& context, const Error& error) {
  print_error(context, error.kind == Kind::denied ? "only root and the server's own user may do this (" + error.what + ")"
                                                  : "posternd does not answer: is it running with this configuration? (" + error.what + ")");
  return kFailed;
}

int wrong_usage(const Context& context, const std::string& command) {
  print_error(context, command + " takes no argument");
  return kUsage;
}

// The base directory that a configuration names although it is not usable: found by its line, as a person would.
std::string base_directory_in(const std::string& path) {
  const base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return {};
  auto text = base::read_all(file.get(), conf::kMaxTextBytes);
  if (!text) return {};
  for (std::string_view line : base::split(*text, '\n')) {
    line = base::trim(line);
    if (!line.starts_with("base_directory")) continue;
    const auto from = line.find('"'), to = line.find('"', from + 1);
    if (from != std::string_view::npos && to != std::string_view::npos) return std::string(line.substr(from + 1, to - from - 1));
  }
  return {};
}

// The base directory of the server. A mistake in the file must keep nobody from asking the server that runs, or stopping it.
Result<base::Descriptor> server_directory(const Context& context) {
  const conf::Loaded loaded = conf::load(context.configuration_path);
  std::string path = loaded.configuration.base_directory;
  if (!loaded.usable()) {
    if (std::string named = base_directory_in(context.configuration_path); !named.empty()) path = std::move(named);
    std::cerr << "posternctl: " << context.configuration_path << " is not usable as it is; asking the server in " << path << "\n";
  }
  base::Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return system_error(errno, "base directory " + path);
  return directory;
}

Result<object> ask(const Context& context, const char* command, std::chrono::seconds patience = kPatience) {
  auto directory = server_directory(context);
  if (!directory) return directory.error();
  return net::ask(directory->get(), kSocket, object{{"command", command}}, patience);
}

// What the master sends is checked as it is used: another version may run.
std::string text(const object& from, std::string_view key) {
  const value* const found = from.if_contains(key);
  if (found == nullptr) return "-";
  if (found->is_string()) return std::string(found->get_string());
  return boost::json::serialize(*found);
}

bool truth(const object& from, std::string_view key) {
  const value* const found = from.if_contains(key);
  return found != nullptr && found->is_bool() && found->get_bool();
}

template <class Visit>
void each(const object& from, std::string_view key, Visit visit) {
  const value* const found = from.if_contains(key);
  if (found == nullptr || !found->is_array()) return;
  for (const value& entry : found->get_array())
    if (entry.is_object()) visit(entry.get_object());
}

std::vector<std::string> texts(const object& from, std::string_view key) {
  std::vector<std::string> list;
  const value* const found = from.if_contains(key);
  if (found == nullptr || !found->is_array()) return list;
  for (const value& entry : found->get_array())
    if (entry.is_string()) list.emplace_back(entry.get_string());
  return list;
}

// "3 d 4 h", "5 min 6 s".
std::string duration(const object& from, std::string_view key) {
  const value* const found = from.if_contains(key);
  boost::system::error_code error;
  const auto seconds = found == nullptr ? 0 : found->to_number<std::int64_t>(error);
  if (found == nullptr || error) return "-";
  if (seconds >= 86400) return std::to_string(seconds / 86400) + " d " + std::to_string(seconds % 86400 / 3600) + " h";
  if (seconds >= 3600) return std::to_string(seconds / 3600) + " h " + std::to_string(seconds % 3600 / 60) + " min";
  if (seconds >= 60) return std::to_string(seconds / 60) + " min " + std::to_string(seconds % 60) + " s";
  return std::to_string(seconds) + " s";
}

void print_json(const object& answer) { std::puts(boost::json::serialize(answer).c_str()); }

}  // namespace

int run_status(const Context& context, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return wrong_usage(context, "status");
  auto answer = ask(context, "status");
  if (!answer) return fail(context, answer.error());
  if (context.json) {
    print_json(*answer);
    return kDone;
  }
  std::printf("posternd %s, pid %s, %s for %s\n", text(*answer, "version").c_str(), text(*answer, "pid").c_str(), text(*answer, "state").c_str(),
              duration(*answer, "seconds").c_str());
  std::printf("base directory %s, configuration %s\n", text(*answer, "base_directory").c_str(), text(*answer, "configuration").c_str());
  if (const value* const tables = answer->if_contains("tables"); tables != nullptr && tables->is_object()) {
    const object& about = tables->get_object();
    if (text(about, "loaded").empty()) std::puts("access tables: none loaded");
    else std::printf("access tables: generation %s, loaded %s\n", text(about, "generation").c_str(), text(about, "loaded").c_str());
    if (about.contains("error")) std::printf("access tables: the present file is REFUSED: %s\n", text(about, "error").c_str());
  }
  if (const value* const spool = answer->if_contains("spool"); spool != nullptr && spool->is_object()) {
    std::string line = "spool:";
    for (const auto& entry : spool->get_object())
      line += " " + std::string(entry.key()) + " " + boost::json::serialize(entry.value());
    std::puts(line.c_str());
  }

  std::vector<std::vector<std::string>> listeners, datagrams, sockets, children;
  each(*answer, "listeners", [&](const object& listener) {
    if (const value* const figures = listener.if_contains("datagrams"); figures != nullptr && figures->is_object()) {
      std::string dropped;
      for (const auto& entry : figures->get_object())
        if (entry.key() != "received" && entry.key() != "answered") dropped += (dropped.empty() ? "" : ", ") + std::string(entry.key()) + " " + boost::json::serialize(entry.value());
      datagrams.push_back({text(listener, "module"), text(figures->get_object(), "received"), text(figures->get_object(), "answered"), dropped.empty() ? "-" : dropped});
    }
    std::string refused;
    if (const value* const reasons = listener.if_contains("refused"); reasons != nullptr && reasons->is_object())
      for (const auto& entry : reasons->get_object())
        refused += (refused.empty() ? "" : ", ") + std::string(entry.key()) + " " + boost::json::serialize(entry.value());
    if (text(listener, "transport") != "udp")
      listeners.push_back({text(listener, "module"), text(listener, "maximum"), text(listener, "reserve"), text(listener, "per_address"),
                           text(listener, "active"), text(listener, "clients"), text(listener, "admitted"), refused.empty() ? "-" : refused});
    each(listener, "sockets", [&](const object& socket) {
      sockets.push_back({text(listener, "module"), text(socket, "port"), text(socket, "row"), text(socket, "address"), text(socket, "state"),
                         socket.contains("error") ? text(socket, "error") : ""});
    });
  });
  each(*answer, "children", [&](const object& child) {
    children.push_back({text(child, "role"), text(child, "pid"), text(child, "state"), text(child, "sessions"), text(child, "served"),
                        duration(child, "seconds")});
  });
  std::puts("");
  print_table({"LISTENER", "MAXIMUM", "RESERVE", "PER ADDRESS", "ACTIVE", "CLIENTS", "ADMITTED", "REFUSED"}, listeners);
  if (!datagrams.empty()) {
    std::puts("");
    print_table({"LISTENER", "DATAGRAMS", "ANSWERED", "DROPPED"}, datagrams);
  }
  std::puts("");
  print_table({"LISTENER", "PORT", "ROW", "ADDRESS", "STATE", "ERROR"}, sockets);
  std::puts("");
  print_table({"CHILD", "PID", "STATE", "SESSIONS", "SERVED", "AGE"}, children);
  return kDone;
}

int run_sessions(const Context& context, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return wrong_usage(context, "sessions");
  auto answer = ask(context, "sessions");
  if (!answer) return fail(context, answer.error());
  if (context.json) {
    print_json(*answer);
    return kDone;
  }
  std::vector<std::vector<std::string>> rows;
  each(*answer, "sessions", [&](const object& session) {
    rows.push_back({text(session, "module"), text(session, "remote"), text(session, "local"), truth(session, "client") ? "yes" : "no",
                    truth(session, "restricted") ? "yes" : "no", text(session, "pid"), duration(session, "seconds"), text(session, "doing")});
  });
  print_table({"LISTENER", "REMOTE", "LOCAL", "CLIENT", "RESTRICTED", "PID", "AGE", "DOING"}, rows);
  return kDone;
}

int run_reload(const Context& context, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return wrong_usage(context, "reload");
  auto answer = ask(context, "reload");
  if (!answer) return fail(context, answer.error());
  const bool done = truth(*answer, "done");
  if (context.json) {
    print_json(*answer);
  } else if (done) {
    const auto changed = texts(*answer, "changed");
    std::puts(changed.empty() ? "reloaded; nothing has changed" : "reloaded:");
    for (const auto& change : changed) std::printf("  %s\n", change.c_str());
  } else {
    std::cerr << "not reloaded, the old configuration stays in force:\n";
    for (const auto& mistake : texts(*answer, "mistakes")) std::cerr << "  " << mistake << "\n";
  }
  if (done) return kDone;
  return truth(*answer, "needs_restart") ? kRestart : kFailed;
}

int run_upgrade(const Context& context, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return wrong_usage(context, "upgrade");
  auto answer = ask(context, "upgrade", kUpgradePatience);
  if (!answer) return fail(context, answer.error());
  const bool done = truth(*answer, "done");
  if (context.json) {
    print_json(*answer);
  } else if (done) {
    std::printf("upgraded, now version %s\n", text(*answer, "version").c_str());
  } else {
    std::cerr << "not upgraded, version " << text(*answer, "version") << " goes on: " << text(*answer, "error") << "\n";
  }
  return done ? kDone : kFailed;
}

int run_stop(const Context& context, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return wrong_usage(context, "stop");
  auto directory = server_directory(context);
  if (!directory) return fail(context, directory.error());
  auto socket = net::connect_unix(directory->get(), kSocket);
  if (!socket) return fail(context, socket.error());
  const std::string request = net::frame(object{{"command", "stop"}});
  if (::send(socket->get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    return fail(context, {Kind::temporary, "the order could not be sent"});
  // The answer comes at once; the connection ends when the master does.
  net::FrameReader reader;
  std::array<char, 4096> piece;
  bool answered = false;
  for (;;) {
    const ssize_t got = ::recv(socket->get(), piece.data(), piece.size(), 0);
    if (got <= 0) break;
    reader.feed(std::string_view(piece.data(), static_cast<std::size_t>(got)));
    auto answer = reader.next();
    if (!answer) continue;
    answered = true;
    if (context.json) print_json(*answer);
    else std::printf("stopping, at most %s s\n", text(*answer, "grace_seconds").c_str());
    std::fflush(stdout);
  }
  if (!answered) return fail(context, {Kind::temporary, "no answer"});
  if (!context.json) std::puts("stopped");
  return kDone;
}

}  // namespace postern::tools
