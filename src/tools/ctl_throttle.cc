// SPDX-License-Identifier: Apache-2.0
// posternctl throttle: what the counters behind $[postern:throttle] say (postern.conf(5), throttle).
#include "tools/ctl_ask.h"

#include <cstdio>

namespace postern::tools {
namespace {

using boost::json::object;

std::string fixed(const object& from, std::string_view key) {
  const auto* const found = from.if_contains(key);
  if (found == nullptr || !found->is_number()) return "-";
  char text[64];
  std::snprintf(text, sizeof text, "%.1f", found->to_number<double>());
  return text;
}

void print_tables(const object& answer) {
  std::vector<std::vector<std::string>> rows;
  each(answer, "tables", [&](const object& table) {
    rows.push_back({text(table, "name"), text(table, "quota"), duration(table, "period_seconds"),
                    text(table, "count") + (truth(table, "penalize") ? ", penalize" : ""), text(table, "keys") + "/" + text(table, "max_entries"),
                    text(table, "uses"), text(table, "refused"), text(table, "dropped")});
  });
  print_table({"TABLE", "QUOTA", "PERIOD", "COUNT", "KEYS", "USES", "REFUSED", "DROPPED"}, rows);
}

void print_keys(const object& answer) {
  std::vector<std::vector<std::string>> rows;
  each(answer, "keys", [&](const object& key) {
    rows.push_back({text(key, "key"), fixed(key, "level"), truth(key, "exceeded") ? "yes, for " + fixed(key, "seconds_until_free") + " s" : "no",
                    text(key, "uses"), text(key, "refused"), fixed(key, "seconds_since_last") + " s ago"});
  });
  print_table({"KEY", "LEVEL", "EXCEEDED", "USES", "REFUSED", "LAST"}, rows);
}

}  // namespace

const char* const kThrottleDetails =
    "  list                 the tables, with their settings and sums\n"
    "  show TABLE [KEY]     the keys with the highest levels, at most 1000, or one key\n"
    "  reset TABLE [KEY]    forget a key, or all of the table\n";

int run_throttle(const Context& context, const std::vector<std::string>& arguments) {
  const std::string action = arguments.empty() ? "list" : arguments[0];
  const bool list = action == "list";
  if ((!list && action != "show" && action != "reset") || (list ? arguments.size() > 1 : arguments.size() < 2 || arguments.size() > 3)) {
    print_error(context, "expected: posternctl throttle list, throttle show TABLE [KEY] or throttle reset TABLE [KEY]");
    return kUsage;
  }
  object order{{"command", "throttle"}, {"action", action}};
  if (arguments.size() > 1) order["table"] = arguments[1];
  if (arguments.size() > 2) order["key"] = arguments[2];
  const auto answer = ask(context, std::move(order));
  if (!answer) return fail(context, answer.error());
  unsigned keys = 0;
  each(*answer, "keys", [&](const object&) { ++keys; });
  const bool nothing = (action == "show" && arguments.size() > 2 && keys == 0) || (action == "reset" && !truth(*answer, "done"));
  if (context.json) {
    print_json(*answer);
  } else if (nothing) {
    std::fprintf(stderr, "posternctl: %s is not in the table %s\n", arguments[2].c_str(), arguments[1].c_str());
  } else if (list) {
    print_tables(*answer);
  } else if (action == "show") {
    print_keys(*answer);
  } else {
    std::printf("forgotten: %s key%s\n", text(*answer, "forgotten").c_str(), text(*answer, "forgotten") == "1" ? "" : "s");
  }
  return nothing ? kFailed : kDone;
}

}  // namespace postern::tools
