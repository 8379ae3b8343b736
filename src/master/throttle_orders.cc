// SPDX-License-Identifier: Apache-2.0
// What posternctl throttle asks of the master: the counters behind $[postern:throttle] (gate/throttle_table.h).
#include "master/state.h"

#include "base/text.h"

#include <boost/json/array.hpp>

namespace postern::master {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

// Keys of a table in an answer.
constexpr std::size_t kMostKeys = 1000;

std::optional<std::string> text_in(const object& order, std::string_view key) {
  const value* const found = order.if_contains(key);
  if (found == nullptr || !found->is_string()) return std::nullopt;
  return std::string(found->get_string());
}

double seconds(std::chrono::milliseconds time) { return static_cast<double>(time.count()) / 1000; }

object object_of(const gate::ThrottledKey& key) {
  return {{"key", base::printable(key.key)}, {"level", key.level},   {"exceeded", key.exceeded},
          {"uses", key.uses},                {"refused", key.refused}, {"seconds_since_last", seconds(key.since_last)},
          {"seconds_until_free", seconds(key.free_in)}};
}

object object_of(const gate::ThrottleFigures& figures) {
  const conf::ThrottleTable& table = figures.table;
  return {{"name", base::printable(table.name)},
          {"quota", table.quota},
          {"period_seconds", table.period.count()},
          {"max_entries", table.max_entries},
          {"penalize", table.penalize},
          {"count", table.count == conf::ThrottleTable::Count::periods ? "periods" : "average"},
          {"keys", figures.keys},
          {"uses", figures.uses},
          {"refused", figures.refused},
          {"dropped", figures.dropped}};
}

}  // namespace

object Master::State::throttle_order(const object& order) {
  const auto action = text_in(order, "action"), table = text_in(order, "table"), key = text_in(order, "key");
  if (action == "list") {
    array list;
    for (const auto& figures : throttles->tables()) list.push_back(object_of(figures));
    return {{"tables", std::move(list)}};
  }
  if (!table || (action != "show" && action != "reset")) return {{"error", "expected list, show or reset, and a table"}, {"wrong_argument", true}};
  if (!throttles->has(*table)) return {{"error", "there is no table \"" + base::printable(*table, 64) + "\" in throttle"}};
  if (action == "reset") {
    const std::uint32_t forgotten = key ? (throttles->forget(*table, *key) ? 1 : 0) : throttles->forget_all(*table);
    if (forgotten > 0) base::log_event(base::Severity::notice, "throttle-reset", {{"table", *table}, {"key", key.value_or("")}, {"keys", forgotten}});
    return {{"done", forgotten > 0 || !key}, {"forgotten", forgotten}};
  }
  array list;
  const auto now = base::steady_now();
  if (key) {
    if (const auto known = throttles->key(*table, *key, now)) list.push_back(object_of(*known));
  } else {
    for (const auto& known : throttles->keys(*table, kMostKeys, now)) list.push_back(object_of(known));
  }
  return {{"table", *table}, {"keys", std::move(list)}};
}

}  // namespace postern::master
