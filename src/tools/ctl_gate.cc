// SPDX-License-Identifier: Apache-2.0
// posternctl limits, address, block, unblock, blocked: what the gate does with an address, and why (posternctl-gate(8)).
#include "conf/settings.h"
#include "tools/ctl_ask.h"

#include <cstdio>
#include <optional>

namespace postern::tools {
namespace {

using boost::json::object;
using boost::json::value;

// The master's answer, or why there is none, which has been said then: exit status in `status`.
std::optional<object> answer_to(const Context& context, object order, int& status) {
  auto answer = ask(context, std::move(order));
  if (!answer) {
    status = fail(context, answer.error());
    return std::nullopt;
  }
  return std::move(*answer);
}

const object* object_in(const object& from, std::string_view key) {
  const value* const found = from.if_contains(key);
  return found != nullptr && found->is_object() ? &found->get_object() : nullptr;
}

std::string place(const object& from) { return from.contains("file") ? text(from, "file") + ":" + text(from, "line") : "default"; }

// "for 14 min 59 s, after failed-logins".
std::string block_text(const object& block) {
  std::string out = text(block, "network") + (truth(block, "for_ever") ? " for ever" : " for another " + duration(block, "seconds")) + ", by " + text(block, "by") +
                    ", since " + text(block, "since");
  if (block.contains("reason")) out += ": " + text(block, "reason");
  return out;
}

// One line about who the address is to the gate.
void print_standing(const object& answer) {
  std::string who;
  const auto add = [&](const char* word, const char* because) {
    who += (who.empty() ? "" : ", ") + std::string(word) + (answer.contains(because) ? " (" + text(answer, because) + ")" : "");
  };
  if (truth(answer, "client")) add("client address", "client_because");
  if (truth(answer, "member")) add("cluster member", "member_because");
  if (truth(answer, "never_blocked")) add("never blocked automatically", "never_blocked_because");
  std::printf("%s: %s\n", text(answer, "address").c_str(), who.empty() ? "neither client address nor cluster member" : who.c_str());
  const object* const block = object_in(answer, "blocked");
  if (block == nullptr) return;
  std::string tried;
  if (const value* const modules = block->if_contains("dry_run"); modules != nullptr && modules->is_array())
    for (const value& module : modules->get_array())
      if (module.is_string()) tried += (tried.empty() ? "; only tried (dry_run) by " : ", ") + std::string(module.get_string());
  std::printf("BLOCKED: %s%s\n", block_text(*block).c_str(), tried.c_str());
}

int wrong_arguments(const Context& context, const std::string& expected) {
  print_error(context, "expected: posternctl " + expected);
  return kUsage;
}

// The number of seconds that "15min" or "2 h" means, by the rules of gate.block_time.
std::optional<std::int64_t> seconds_from(const std::string& text, std::string& mistake) {
  conf::Configuration configuration;
  const conf::Setting& setting = *conf::find_setting("gate.block_time");
  std::vector<conf::Mistake> mistakes;
  conf::assign(setting, {&configuration, nullptr, nullptr}, conf::value_from(setting, text), {}, "--for", mistakes, {});
  if (mistakes.empty()) return configuration.gate.block_time.count();
  mistake = mistakes.front().to_string();
  return std::nullopt;
}

}  // namespace

const char* const kBlockDetails =
    "  --for TIME      how long: \"90 s\", 15min, 2h, 7d; default: gate.block_time\n"
    "  --for-ever      until posternctl unblock, over restarts too\n"
    "  --reason TEXT   shown by posternctl blocked and in the log\n";

int run_limits(const Context& context, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return wrong_arguments(context, "limits ADDRESS");
  int status = kDone;
  const auto answer = answer_to(context, {{"command", "limits"}, {"address", arguments[0]}}, status);
  if (!answer) return status;
  if (context.json) {
    print_json(*answer);
    return kDone;
  }
  print_standing(*answer);
  std::vector<std::vector<std::string>> limits, restricted, rows;
  const auto why = [](const object& rule, std::string_view name) {
    return text(rule, name) + (rule.contains("because") ? ", " + text(rule, "because") : "") + (truth(rule, "dry_run") ? "; only tried (dry_run)" : "");
  };
  each(*answer, "listeners", [&](const object& listener) {
    each(listener, "limits", [&](const object& limit) {
      // 0 is no limit, but of places: with a reserve as large as the maximum a stranger finds none.
      const std::string figure = text(limit, "limit") == "0" && text(limit, "what") != "connections of the listener" ? "none" : text(limit, "limit");
      limits.push_back({text(listener, "module"), text(limit, "what"), text(limit, "counted_as"), figure, text(limit, "count"), place(limit), why(limit, "setting")});
    });
    each(listener, "if_restricted", [&](const object& limit) {
      const std::string figure = text(limit, "limit") == "0" ? "none" : text(limit, "limit");
      restricted.push_back({text(listener, "module"), text(limit, "counted_as"), figure, place(limit), why(limit, "setting")});
    });
    each(listener, "sockets", [&](const object& row) {
      rows.push_back({text(listener, "module"), text(row, "port"), text(row, "address"), truth(row, "admitted") ? "yes" : "no", place(row), why(row, "restriction")});
    });
  });
  std::puts("");
  print_table({"LISTENER", "LIMIT OF", "COUNTED AS", "LIMIT", "NOW", "WHERE", "WHY"}, limits);
  std::puts("");
  print_table({"LISTENER", "PORT", "ADDRESS", "ADMITTED", "WHERE", "RESTRICTION"}, rows);
  std::puts("\nIf PORT_ACCESS restricts it:");
  print_table({"LISTENER", "COUNTED AS", "LIMIT", "WHERE", "WHY"}, restricted);
  return kDone;
}

int run_address(const Context& context, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return wrong_arguments(context, "address ADDRESS");
  int status = kDone;
  const auto answer = answer_to(context, {{"command", "address"}, {"address", arguments[0]}}, status);
  if (!answer) return status;
  if (context.json) {
    print_json(*answer);
    return kDone;
  }
  print_standing(*answer);
  std::printf("counted over all services as %s\n", text(*answer, "counted_as").c_str());
  if (const object* const failures = object_in(*answer, "failures")) {
    std::printf("failed logins: %s, %s of them count towards a block%s\n", text(*failures, "failed_logins").c_str(), text(*failures, "recent_failed_logins").c_str(),
                failures->contains("last_failed_login") ? (", last " + text(*failures, "last_failed_login")).c_str() : "");
    std::printf("protocol errors: %s, %s of them count towards a block%s\n", text(*failures, "protocol_errors").c_str(), text(*failures, "recent_protocol_errors").c_str(),
                failures->contains("last_protocol_error") ? (", last " + text(*failures, "last_protocol_error")).c_str() : "");
  } else {
    std::puts("no failed logins and no protocol errors");
  }
  std::vector<std::vector<std::string>> counts, sessions, refusals;
  each(*answer, "connections", [&](const object& count) { counts.push_back({text(count, "module"), text(count, "counted_as"), text(count, "connections")}); });
  each(*answer, "sessions", [&](const object& session) {
    sessions.push_back({text(session, "module"), text(session, "remote"), text(session, "local"), truth(session, "restricted") ? "yes" : "no", duration(session, "seconds"),
                        text(session, "doing")});
  });
  each(*answer, "refusals", [&](const object& refusal) {
    refusals.push_back({text(refusal, "module"), text(refusal, "reason"), truth(refusal, "dry_run") ? "would be" : "refused", text(refusal, "count"), text(refusal, "first"),
                        text(refusal, "last")});
  });
  std::puts("");
  print_table({"LISTENER", "COUNTED AS", "CONNECTIONS"}, counts);
  std::puts("");
  print_table({"LISTENER", "REMOTE", "LOCAL", "RESTRICTED", "AGE", "DOING"}, sessions);
  std::puts("");
  print_table({"LISTENER", "REASON", "", "COUNT", "FIRST", "LAST"}, refusals);
  return kDone;
}

int run_block(const Context& context, const std::vector<std::string>& arguments) {
  static const std::string kUsageLine = "block ADDRESS|NETWORK [--for TIME|--for-ever] [--reason TEXT]";
  object order{{"command", "block"}};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const bool takes_value = argument == "--for" || argument == "--reason";
    if (takes_value && i + 1 == arguments.size()) return wrong_arguments(context, kUsageLine);
    if (argument == "--for-ever") {
      order["for_ever"] = true;
    } else if (argument == "--for") {
      std::string mistake;
      const auto seconds = seconds_from(arguments[++i], mistake);
      if (!seconds) {
        print_error(context, mistake);
        return kUsage;
      }
      order["seconds"] = *seconds;
    } else if (argument == "--reason") {
      order["reason"] = arguments[++i];
    } else if (argument.starts_with("-") || order.contains("network")) {
      return wrong_arguments(context, kUsageLine);
    } else {
      order["network"] = argument;
    }
  }
  if (!order.contains("network") || (order.contains("for_ever") && order.contains("seconds"))) return wrong_arguments(context, kUsageLine);
  int status = kDone;
  const auto answer = answer_to(context, std::move(order), status);
  if (!answer) return status;
  if (context.json) {
    print_json(*answer);
    return kDone;
  }
  if (const object* const block = object_in(*answer, "block")) std::printf("blocked: %s\n", block_text(*block).c_str());
  if (answer->contains("note")) std::printf("note: %s\n", text(*answer, "note").c_str());
  return kDone;
}

int run_unblock(const Context& context, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return wrong_arguments(context, "unblock ADDRESS|NETWORK");
  int status = kDone;
  const auto answer = answer_to(context, {{"command", "unblock"}, {"network", arguments[0]}}, status);
  if (!answer) return status;
  if (context.json) print_json(*answer);
  else if (truth(*answer, "done")) std::printf("unblocked: %s block%s ended\n", text(*answer, "ended").c_str(), text(*answer, "ended") == "1" ? "" : "s");
  else std::fprintf(stderr, "posternctl: there is no block of %s\n", arguments[0].c_str());
  if (const object* const still = object_in(*answer, "still_blocked"); still != nullptr && !context.json) std::printf("still blocked: %s\n", block_text(*still).c_str());
  return truth(*answer, "done") ? kDone : kFailed;
}

int run_blocked(const Context& context, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return wrong_usage(context, "blocked");
  int status = kDone;
  const auto answer = answer_to(context, {{"command", "blocked"}}, status);
  if (!answer) return status;
  if (context.json) {
    print_json(*answer);
    return kDone;
  }
  std::vector<std::vector<std::string>> rows;
  each(*answer, "blocked", [&](const object& block) {
    rows.push_back({text(block, "network"), text(block, "by"), text(block, "since"), truth(block, "for_ever") ? "for ever" : duration(block, "seconds"),
                    block.contains("reason") ? text(block, "reason") : ""});
  });
  print_table({"NETWORK", "BY", "SINCE", "LEFT", "REASON"}, rows);
  return kDone;
}

}  // namespace postern::tools
