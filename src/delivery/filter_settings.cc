// SPDX-License-Identifier: Apache-2.0
#include "delivery/filter_settings.h"

#include "delivery/filter_host.h"
#include "policy/channels.h"

#include <map>
#include <memory>
#include <set>

namespace postern::delivery {
namespace {

sieve::Limits run_limits(const conf::Configuration& configuration) {
  const conf::Filters& filters = configuration.filters;
  sieve::Limits limits;
  limits.cpu_time = configuration.delivery.script_time;
  limits.steps = filters.steps;
  limits.memory_bytes = filters.memory_bytes;
  limits.actions = filters.actions;
  limits.redirects = filters.redirects;
  limits.notifications = filters.notifications;
  limits.variable_bytes = filters.variable_bytes;
  limits.header_edits = filters.header_edits;
  limits.header_value_bytes = filters.header_value_bytes;
  limits.regex_program_bytes = filters.regex_bytes;
  limits.text_bytes = filters.string_bytes;
  limits.regex_text_bytes = filters.regex_text_bytes;
  limits.regex_work = filters.regex_work;
  limits.body_part_bytes = filters.body_part_bytes;
  limits.body_bytes = filters.body_bytes;
  limits.list_lookups = filters.list_lookups;
  limits.mailbox_separators = filters.folder_separators;
  limits.vacation_default = filters.vacation_default;
  limits.vacation_least = filters.vacation_least;
  limits.vacation_most = filters.vacation_most;
  limits.duplicate_default = filters.duplicate_default;
  limits.duplicate_most = filters.duplicate_most;
  return limits;
}

// Those of a configuration that was loaded without mistakes.
std::vector<FilterListSource> filter_lists(const conf::Configuration& configuration) {
  std::vector<FilterListSource> sources;
  for (const conf::TextLine& line : configuration.filters.lists) {
    auto list = conf::filter_list(configuration, line.text);
    if (!list) continue;
    FilterListSource source;
    if (list->source == conf::FilterList::Source::file) source.text = conf::filter_text(configuration, list->from);
    source.list = std::move(*list);
    source.list.name = sieve::list_name(source.list.name);
    sources.push_back(std::move(source));
  }
  return sources;
}

}  // namespace

sieve::CompileOptions compile_options(const conf::Configuration& configuration, Owner owner) {
  const conf::Filters& filters = configuration.filters;
  sieve::CompileOptions options;
  options.abilities = kFilterAbilities;
  options.run_limits = run_limits(configuration);
  options.limits.script_bytes = filters.script_bytes;
  options.limits.string_bytes = filters.string_bytes;
  options.limits.program_bytes = filters.program_bytes;
  options.limits.commands = filters.commands;
  options.limits.nesting = filters.nesting;
  options.limits.loop_nesting = filters.loop_nesting;
  options.limits.arguments = filters.arguments;
  options.limits.list_items = filters.list_items;
  options.limits.regex_bytes = filters.regex_total_bytes;
  options.limits.includes = filters.includes;
  options.limits.include_depth = filters.include_depth;
  options.limits.variables = filters.variables;
  options.script = [owner, texts = std::make_shared<const std::map<std::string, std::string, std::less<>>>(conf::global_filter_texts(configuration))](
                       sieve::ScriptPlace place, const std::string& name) -> std::optional<std::string> {
    if (place == sieve::ScriptPlace::personal) return owner == Owner::account ? std::optional(std::string()) : std::nullopt;
    const auto found = texts->find(name);
    return found == texts->end() ? std::nullopt : std::optional(found->second);
  };
  std::set<std::string> lists;
  for (FilterListSource& source : filter_lists(configuration)) lists.insert(std::move(source.list.name));
  // Which address books an account has is known when a script runs; they may come later.
  options.list_exists = [lists = std::make_shared<const std::set<std::string>>(std::move(lists))](const std::string& name) {
    return lists->contains(name) || address_book_of(name).has_value();
  };
  return options;
}

FilterSettings filter_settings(const conf::Configuration& configuration) {
  FilterSettings settings;
  settings.compile = compile_options(configuration);
  settings.recipient_delimiter = configuration.recipient_delimiter;
  const conf::Filters& filters = configuration.filters;
  settings.mime = {filters.mime_depth, filters.mime_parts};
  settings.host_name = configuration.host_name;
  settings.memory_entries = filters.memory_entries;
  settings.scores.spam_field = filters.spam_field;
  settings.scores.spam_text = filters.spam_text;
  settings.scores.spam_scale = filters.spam_scale;
  settings.scores.virus_field = filters.virus_field;
  if (!filters.virus_values.empty()) settings.scores.virus_values.clear();
  for (const conf::TextLine& line : filters.virus_values)
    if (const auto value = conf::virus_value(line.text)) settings.scores.virus_values.emplace_back(value->beginning, value->value);
  settings.lists = filter_lists(configuration);
  settings.server_before_may_discard = configuration.filters.before_may_discard;
  const auto filter = [&](const std::string& name) {
    const std::string path = conf::filter_path(configuration, name);
    return FilterText{path, conf::filter_text(configuration, path)};
  };
  settings.server_before = filter("before.filter");
  settings.server = filter("system.filter");
  std::vector<conf::Mistake> checked_already;
  const auto channels = policy::Channels::parse(configuration.channels, checked_already);
  for (const auto& [name, channel] : channels.all()) {
    if (!channel.source_filter.empty()) settings.source_filters.emplace_back(name, filter(channel.source_filter));
    if (!channel.destination_filter.empty()) settings.destination_filters.emplace_back(name, filter(channel.destination_filter));
  }
  return settings;
}

}  // namespace postern::delivery
