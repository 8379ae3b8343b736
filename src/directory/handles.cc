// SPDX-License-Identifier: Apache-2.0
#include "directory/handles.h"

#include "base/random.h"

#include <iterator>

namespace postern::directory {

std::string Handles::issue(const std::shared_ptr<net::FramePeer>& peer, std::string account) {
  while (!order_.empty() && (order_.size() >= kMost || order_.front().peer.expired())) {
    known_.erase(order_.front().handle);
    order_.pop_front();
  }
  order_.push_back({base::random_name() + base::random_name(), std::move(account), peer});
  known_.emplace(order_.back().handle, std::prev(order_.end()));
  return order_.back().handle;
}

std::optional<std::string> Handles::account(const std::shared_ptr<net::FramePeer>& peer, std::string_view handle) const {
  const auto found = known_.find(handle);
  if (found == known_.end() || peer == nullptr || found->second->peer.lock() != peer) return std::nullopt;
  return found->second->account;
}

void Handles::forget(std::string_view account) {
  for (auto at = order_.begin(); at != order_.end();) {
    if (at->account != account) {
      ++at;
      continue;
    }
    known_.erase(at->handle);
    at = order_.erase(at);
  }
}

}  // namespace postern::directory
