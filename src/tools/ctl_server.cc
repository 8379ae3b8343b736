// SPDX-License-Identifier: Apache-2.0
// posternctl status, sessions, listener, reload, upgrade, stop: questions and orders to the running master over run/control.sock.
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
#include <cstdlib>
#include <iostream>
#include <utility>

namespace postern::tools {
namespace {

using boost::json::object;
using boost::json::value;

// An upgrade for the last child that must finish its work before its successor can begin.
constexpr std::chrono::seconds kUpgradePatience(300);

// "12.3 MiB"
std::string mebibytes(const object& from, std::string_view key) {
  const value* const found = from.if_contains(key);
  boost::system::error_code error;
  const auto bytes = found == nullptr ? 0 : found->to_number<std::uint64_t>(error);
  if (found == nullptr || error) return "-";
  const std::uint64_t tenths = bytes * 10 / (1024 * 1024);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MiB";
}

// "postern.conf:12" without the directory that all files share, or "default".
std::string place(const object& from) {
  if (!from.contains("file")) return "default";
  const std::string file = text(from, "file");
  return file.substr(file.rfind('/') + 1) + ":" + text(from, "line");
}

// What became of the datagrams of a listener over UDP; nullptr: not told.
const object* datagrams_of(const object& listener) {
  const value* const figures = listener.if_contains("datagrams");
  return figures != nullptr && figures->is_object() ? &figures->get_object() : nullptr;
}

// "restricted 3, damaged 1"; empty: none.
std::string dropped_of(const object& datagrams) {
  std::string all;
  for (const auto& entry : datagrams)
    if (entry.key() != "received" && entry.key() != "answered") all += (all.empty() ? "" : ", ") + std::string(entry.key()) + " " + boost::json::serialize(entry.value());
  return all;
}

// "per-address 3, would be blocked 1"; empty: none.
std::string refusals_of(const object& listener) {
  std::string all;
  for (const auto& [key, what] : {std::pair("refused", ""), std::pair("would_refuse", "would be ")}) {
    const value* const reasons = listener.if_contains(key);
    if (reasons == nullptr || !reasons->is_object()) continue;
    for (const auto& entry : reasons->get_object()) all += (all.empty() ? "" : ", ") + std::string(what) + std::string(entry.key()) + " " + boost::json::serialize(entry.value());
  }
  return all;
}

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
  for (const char* const name : {"spool", "outgoing"}) {
    const value* const journal = answer->if_contains(name);
    if (journal == nullptr || !journal->is_object()) continue;
    std::string line = name + std::string(":");
    for (const auto& entry : journal->get_object())
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
    if (const object* const figures = datagrams_of(listener)) {
      const std::string dropped = dropped_of(*figures);
      datagrams.push_back({text(listener, "module"), text(*figures, "received"), text(*figures, "answered"), dropped.empty() ? "-" : dropped});
    }
    const std::string refused = refusals_of(listener);
    if (text(listener, "transport") != "udp")
      listeners.push_back({text(listener, "module"), text(listener, "maximum"), text(listener, "reserve"), text(listener, "per_address"),
                           text(listener, "active"), text(listener, "clients"), text(listener, "admitted"), refused.empty() ? "-" : refused});
    each(listener, "sockets", [&](const object& socket) {
      sockets.push_back({text(listener, "module"), text(socket, "port"), text(socket, "row"), text(socket, "address"), text(socket, "state"),
                         socket.contains("error") ? text(socket, "error") : ""});
    });
  });
  each(*answer, "children", [&](const object& child) {
    children.push_back({text(child, "role"), text(child, "pid"), text(child, "doing"), text(child, "sessions"), text(child, "served"),
                        mebibytes(child, "own_bytes"), text(child, "generation"), duration(child, "seconds")});
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
  print_table({"CHILD", "PID", "DOING", "SESSIONS", "SERVED", "MEMORY", "GENERATION", "AGE"}, children);
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
    for (const auto& warning : texts(*answer, "warnings")) std::cerr << "warning: " << warning << "\n";
  } else {
    std::cerr << "not reloaded, the old configuration stays in force:\n";
    for (const auto& mistake : texts(*answer, "mistakes")) std::cerr << "  " << mistake << "\n";
  }
  if (done) return kDone;
  return truth(*answer, "needs_restart") ? kRestart : kFailed;
}

namespace {

int show_listeners(const Context& context) {
  auto answer = ask(context, "listener-show");
  if (!answer) return fail(context, answer.error());
  if (context.json) {
    print_json(*answer);
    return kDone;
  }
  bool first = true;
  each(*answer, "listeners", [&](const object& listener) {
    std::printf("%s%s (%s)%s\n", std::exchange(first, false) ? "" : "\n", text(listener, "module").c_str(), place(listener).c_str(),
                truth(listener, "open") ? "" : ": closed, maximum_connections is 0");
    std::vector<std::vector<std::string>> settings, rows;
    const auto add = [&](const object& from, const std::string& prefix) {
      each(from, "settings", [&](const object& setting) {
        settings.push_back({"  " + prefix + text(setting, "name"), text(setting, "value"), place(setting)});
      });
    };
    add(listener, "");
    each(listener, "limits", [&](const object& limit) { add(limit, "limits: "); });
    each(listener, "rows", [&](const object& row) {
      add(row, "socket " + text(row, "port") + ": ");
      each(row, "sockets", [&](const object& half) {
        rows.push_back({"  " + text(row, "port"), text(row, "row"), text(half, "address"), text(half, "state"),
                        half.contains("error") ? text(half, "error") : ""});
      });
    });
    print_table({"  SETTING", "VALUE", "WHERE"}, settings);
    if (!rows.empty()) print_table({"  PORT", "ROW", "ADDRESS", "STATE", "ERROR"}, rows);
    if (const object* const figures = datagrams_of(listener)) {
      const std::string dropped = dropped_of(*figures);
      std::printf("  datagrams %s, answered %s; dropped: %s\n", text(*figures, "received").c_str(), text(*figures, "answered").c_str(), dropped.empty() ? "none" : dropped.c_str());
    }
    if (text(listener, "transport") == "udp") return;
    const std::string refused = refusals_of(listener);
    std::printf("  maximum %s, reserve %s, per address %s; active %s, clients among them %s, admitted %s; refused: %s\n",
                text(listener, "maximum").c_str(), text(listener, "reserve").c_str(), text(listener, "per_address").c_str(),
                text(listener, "active").c_str(), text(listener, "clients").c_str(), text(listener, "admitted").c_str(),
                refused.empty() ? "none" : refused.c_str());
  });
  return kDone;
}

int check_listeners(const Context& context, const std::string& file) {
  // The server has a directory of its own.
  std::string whole = file;
  if (char* const resolved = file.empty() ? nullptr : ::realpath(file.c_str(), nullptr)) {
    whole = resolved;
    std::free(resolved);
  }
  object request;
  if (!whole.empty()) request["file"] = whole;
  request["command"] = "listener-check";
  auto answer = ask(context, std::move(request));
  if (!answer) return fail(context, answer.error());
  const bool accepted = truth(*answer, "accepted");
  if (context.json) {
    print_json(*answer);
  } else {
    std::printf("%s: a reload would %s\n", text(*answer, "file").c_str(), accepted ? "be accepted" : "be refused, and change nothing");
    const auto print = [&](const char* key, const char* what) {
      for (const auto& one : texts(*answer, key)) std::printf("  %s%s\n", what, one.c_str());
    };
    print("mistakes", "mistake: ");
    print("warnings", "warning: ");
    print("closed", "closes ");
    print("opened", "opens ");
    print("changed", "changes ");
    print("changed_for_new_children", "changes, with new children: ");
    // Of a file that says nothing usable nothing was compared.
    if (accepted || text(*answer, "kept") != "0") std::printf("  keeps %s sockets as they are\n", text(*answer, "kept").c_str());
  }
  if (accepted) return kDone;
  return truth(*answer, "needs_restart") ? kRestart : kFailed;
}

}  // namespace

const char* const kListenerDetails =
    "  show          settings in force and where they stand, sockets with state and last error, figures\n"
    "  check [FILE]  what a reload (to FILE) would change and whether it would be accepted; changes nothing\n";

int run_listener(const Context& context, const std::vector<std::string>& arguments) {
  if (arguments.size() == 1 && arguments[0] == "show") return show_listeners(context);
  if (!arguments.empty() && arguments.size() <= 2 && arguments[0] == "check") return check_listeners(context, arguments.size() == 2 ? arguments[1] : "");
  print_error(context, "usage: listener show | check [FILE]");
  return kUsage;
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
