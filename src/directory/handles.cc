// SPDX-License-Identifier: Apache-2.0
#include "directory/handles.h"

#include "base/random.h"

#include <algorithm>
#include <iterator>

namespace postern::directory {

Handles::Place Handles::erase(Place place) {
  const auto count = of_account_.find(place->account);
  if (--count->second == 0) of_account_.erase(count);
  known_.erase(place->handle);
  return order_.erase(place);
}

bool Handles::make_room(Time now) {
  if (order_.size() < most_) return true;
  for (Place place = order_.begin(); place != order_.end();) place = place->peer.expired() ? erase(place) : std::next(place);
  if (order_.size() < most_) return true;
  if (order_.front().used + kIdle > now) return false;
  erase(order_.begin());
  return true;
}

std::string Handles::issue(const std::shared_ptr<net::FramePeer>& peer, std::string account, Time now) {
  if (const auto count = of_account_.find(account); count != of_account_.end() && count->second >= kMostOfAccount)
    erase(std::find_if(order_.begin(), order_.end(), [&](const Issued& one) { return one.account == account; }));
  if (!make_room(now)) return {};
  ++of_account_[account];
  order_.push_back({base::random_name() + base::random_name(), std::move(account), peer, now});
  known_.emplace(order_.back().handle, std::prev(order_.end()));
  return order_.back().handle;
}

std::optional<std::string> Handles::account(const std::shared_ptr<net::FramePeer>& peer, std::string_view handle, Time now) {
  const auto found = known_.find(handle);
  if (found == known_.end() || peer == nullptr || found->second->peer.lock() != peer) return std::nullopt;
  found->second->used = now;
  order_.splice(order_.end(), order_, found->second);
  return found->second->account;
}

void Handles::end(const std::shared_ptr<net::FramePeer>& peer, std::string_view handle) {
  const auto found = known_.find(handle);
  if (found != known_.end() && found->second->peer.lock() == peer) erase(found->second);
}

void Handles::forget(std::string_view account) {
  for (Place place = order_.begin(); place != order_.end();) place = place->account == account ? erase(place) : std::next(place);
}

}  // namespace postern::directory
