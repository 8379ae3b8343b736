// SPDX-License-Identifier: Apache-2.0
// What `posternctl listener show` asks: the settings in force of each listener with their places, its sockets, its figures.
#include "base/log.h"
#include "conf/settings.h"
#include "master/state.h"

#include <boost/json/array.hpp>

#include <algorithm>

namespace postern::master {
namespace {

using boost::json::array;
using boost::json::object;

constexpr std::string_view kListeners = "listeners.*.", kSockets = "listeners.*.sockets[].", kLimits = "listeners.*.limits[].";

// The settings whose names begin with `group`, named from there on. `shown`: how the group is called in the text. What has no
// value is left out.
array settings_of(std::string_view group, const std::string& shown, const conf::Configuration& configuration, const conf::Scope& scope) {
  array list;
  for (const auto& setting : conf::all_settings()) {
    if (!setting.name.starts_with(group)) continue;
    const std::string_view name = setting.name.substr(group.size());
    if (name.find("[]") != std::string_view::npos) continue;
    if (conf::transport(scope.listener->module) == conf::Transport::udp && !conf::is_for_udp(name)) continue;
    std::string value = conf::text_of(setting, scope);
    if (value.empty()) continue;
    object row{{"name", name}, {"value", std::move(value)}};
    if (const conf::Place place = configuration.place_of(shown + std::string(name)); place.line > 0) {
      row["file"] = place.file;
      row["line"] = place.line;
    }
    list.push_back(std::move(row));
  }
  return list;
}

}  // namespace

object Master::State::show_listeners() {
  array listeners;
  for (auto& listener : configuration.listeners) {
    const std::string shown = "listeners." + std::string(conf::to_string(listener.module)) + ".";
    conf::Scope scope{&configuration, &listener};
    array rows, limits;
    for (auto& row : listener.sockets) {
      scope.row = &row;
      array open;
      for (const auto& bound : sockets) {
        if (bound.wanted.module != listener.module || bound.wanted.port != row.port || bound.wanted.row != row.address || bound.absent) continue;
        object half{{"address", bound.wanted.address.to_string()}, {"state", bound.socket.valid() ? "listening" : "not listening"}};
        if (!bound.error.empty()) half["error"] = bound.error;
        open.push_back(std::move(half));
      }
      rows.push_back(object{{"port", row.port},
                            {"row", row.address.to_string()},
                            {"file", row.place.file},
                            {"line", row.place.line},
                            {"settings", settings_of(kSockets, shown + "sockets[" + std::to_string(row.number) + "].", configuration, scope)},
                            {"sockets", std::move(open)}});
    }
    scope.row = nullptr;
    for (std::size_t i = 0; i < listener.limits.size(); ++i) {
      scope.limit = &listener.limits[i];
      limits.push_back(object{{"file", listener.limits[i].place.file},
                              {"line", listener.limits[i].place.line},
                              {"settings", settings_of(kLimits, shown + "limits[" + std::to_string(i) + "].", configuration, scope)}});
    }
    scope.limit = nullptr;
    object one{{"module", conf::to_string(listener.module)},
               {"file", listener.place.file},
               {"line", listener.place.line},
               {"open", conf::is_open(listener)},
               {"settings", settings_of(kListeners, shown, configuration, scope)},
               {"rows", std::move(rows)},
               {"limits", std::move(limits)}};
    for (auto& [name, value] : figures(listener)) one[name] = std::move(value);
    listeners.push_back(std::move(one));
  }
  // What became of datagrams is counted elsewhere; of what else is added there nothing was asked.
  object about{{"listeners", std::move(listeners)}};
  if (options.add_to_status) options.add_to_status(about);
  return {{"configuration", options.configuration_path}, {"configuration_generation", generation}, {"listeners", std::move(about["listeners"])}};
}

}  // namespace postern::master
