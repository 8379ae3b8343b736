// SPDX-License-Identifier: Apache-2.0
#include "delivery/filter_lists.h"

#include "base/log.h"
#include "base/text.h"

#include <algorithm>
#include <set>

namespace postern::delivery {

void FilterLists::List::add(std::string_view member) {
  if (known.insert(base::lower(member)).second) members.emplace_back(member);
}

void FilterLists::set_lists(const std::vector<FilterListSource>& sources) {
  lists_.clear();
  looked_up_at_.reset();
  for (const FilterListSource& source : sources) {
    List& list = lists_[source.list.name];
    list.list = source.list;
    for (std::string_view rest = source.text; !rest.empty();) {
      const auto end = std::min(rest.find('\n'), rest.size() - 1) + 1;
      std::string_view line = rest.substr(0, end);
      rest.remove_prefix(end);
      while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
      line = base::trim(line);
      if (!line.empty() && line.front() != '#') list.add(line);
    }
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
      if (found.members.size() == kMostMembers) {
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
      if (nested == nullptr) found.add(member);
      else if (seen.insert(nested->name).second) groups.push_back(nested->name);
    }
  }
  list.members = std::move(found.members);
  list.known = std::move(found.known);
  co_return Result<void>();
}

bool FilterLists::contains(const std::string& name, std::string_view value) const {
  const auto found = lists_.find(name);
  if (found == lists_.end()) return false;
  const List& list = found->second;
  if (list.list.source == conf::FilterList::Source::table) return table_matches_ && table_matches_(list.list.from, std::string(value));
  const std::string wanted = base::lower(base::trim(value));
  if (list.known.contains(wanted)) return true;
  const auto at = wanted.rfind('@');
  return at != std::string::npos && at > 0 && list.known.contains(wanted.substr(at));
}

std::vector<std::string> FilterLists::members(const std::string& name, std::size_t most) const {
  std::vector<std::string> some;
  const auto found = lists_.find(name);
  if (found == lists_.end()) return some;
  for (const std::string& member : found->second.members) {
    if (some.size() == most) break;
    if (!member.starts_with('@')) some.push_back(member);
  }
  return some;
}

}  // namespace postern::delivery
