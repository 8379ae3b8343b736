// SPDX-License-Identifier: Apache-2.0
// posternctl status, sessions, reload, upgrade, stop: questions and orders to the running master over run/control.sock.
#include "tools/ctl_ask.h"

#include "base/text.h"
#include "net/frames.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

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

// An upgrade for the last child that must finish its work before its successor can begin.
constexpr std::chrono::seconds kUpgradePatience(300);

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

  std::vector<std::vector<std::string>> certificates;
  each(*answer, "certificates", [&](const object& one) {
    certificates.push_back({text(one, "domain"), text(one, "key_type"), text(one, "not_after"), text(one, "days_left"), truth(one, "in_use") ? "yes" : "no",
                            one.contains("error") ? text(one, "error") : ""});
  });
  if (!certificates.empty()) {
    std::puts("");
    print_table({"CERTIFICATE", "KEY", "EXPIRES", "DAYS", "IN USE", "ERROR"}, certificates);
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
    if (const value* const reasons = listener.if_contains("would_refuse"); reasons != nullptr && reasons->is_object())
      for (const auto& entry : reasons->get_object())
        refused += (refused.empty() ? "" : ", ") + std::string("would be ") + std::string(entry.key()) + " " + boost::json::serialize(entry.value());
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
