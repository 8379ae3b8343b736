// SPDX-License-Identifier: Apache-2.0
#include "delivery/filter_lists.h"

#include "base/log.h"
#include "base/text.h"

#include <set>

namespace postern::delivery {

ListedValues ListedValues::read(std::string_view text) {
  ListedValues values;
  for (std::string_view line : base::split(text, '\n')) {
    line = base::trim(line.ends_with('\r') ? line.substr(0, line.size() - 1) : line);
    if (!line.empty() && line.front() != '#') values.add(line);
  }
  return values;
}

void ListedValues::add(std::string_view value) {
  if (known_.insert(base::lower(value)).second) all_.emplace_back(value);
}

bool ListedValues::contains(std::string_view value) const {
  const std::string wanted = base::lower(base::trim(value));
  if (known_.contains(wanted)) return true;
  const auto at = wanted.rfind('@');
  return at != std::string::npos && at > 0 && known_.contains(wanted.substr(at));
}

std::vector<std::string> ListedValues::members(std::size_t most) const {
  std::vector<std::string> some;
  for (const std::string& value : all_) {
    if (some.size() == most) break;
    if (!value.starts_with('@')) some.push_back(value);
  }
  return some;
}

void FilterLists::set_lists(const std::vector<FilterListSource>& sources) {
  lists_.clear();
  looked_up_at_.reset();
  for (const FilterListSource& source : sources) {
    List& list = lists_[source.list.name];
    list.list = source.list;
    list.values = ListedValues::read(source.text);
  }
}

net::Awaitable<Result<void>> FilterLists::refresh() {
  // Asked first: an answer that crosses a change is asked for again next time.
  const std::optional<std::uint64_t> generation = generation_ ? std::optional(generation_()) : std::nullopt;
  if (generation && generation == looked_up_at_) co_return Result<void>();
  for (auto& named : lists_) {
    if (named.second.list.source != conf::FilterList::Source::group) continue;
    auto looked_up = co_await look_up(named.second);
    if (!looked_up) co_return looked_up.error().in("list " + named.first);
  }
  looked_up_at_ = generation;
  co_return Result<void>();
}

net::Awaitable<Result<void>> FilterLists::look_up(List& list) {
  std::set<std::string> seen{list.list.from};
  std::vector<std::string> groups{list.list.from};
  List found;
  std::map<std::string, bool> ours;  // domains
  for (std::size_t next = 0; next < groups.size(); ++next) {
    auto group = co_await directory_.alias(groups[next]);
    if (!group) co_return group.error();
    if (*group == nullptr) continue;
    for (const std::string& member : (*group)->members) {
      if (found.values.all().size() == kMostMembers) {
        base::log_event(base::Severity::warning, "list-cut", {{"list", list.list.name}, {"members", kMostMembers}});
        break;
      }
      // Others' addresses are no groups of ours; there may be very many of them.
      const std::string domain = base::lower(member.substr(member.rfind('@') + 1));
      auto local = ours.find(domain);
      if (local == ours.end()) {
        auto known = co_await directory_.is_local_domain(domain);
        if (!known) co_return known.error();
        local = ours.emplace(domain, *known).first;
      }
      std::shared_ptr<const directory::Alias> nested;
      if (local->second) {
        auto alias = co_await directory_.alias(member);
        if (!alias) co_return alias.error();
        nested = std::move(*alias);
      }
      if (nested == nullptr) found.values.add(member);
      else if (seen.insert(nested->name).second) groups.push_back(nested->name);
    }
  }
  list.values = std::move(found.values);
  co_return Result<void>();
}

bool FilterLists::contains(const std::string& name, std::string_view value) const {
  const auto found = lists_.find(name);
  if (found == lists_.end()) return false;
  const List& list = found->second;
  if (list.list.source == conf::FilterList::Source::table) return table_matches_ && table_matches_(list.list.from, std::string(value));
  return list.values.contains(value);
}

std::vector<std::string> FilterLists::members(const std::string& name, std::size_t most) const {
  const auto found = lists_.find(name);
  return found == lists_.end() ? std::vector<std::string>() : found->second.values.members(most);
}

}  // namespace postern::delivery
