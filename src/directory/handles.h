// SPDX-License-Identifier: Apache-2.0
#pragma once
// What who logged in may show later to change their own things (LoginAnswer::handle): a random name for (connection, account).
//
// A handle is good on the connection on which the login was answered, so one child of a protocol can't use another's, and only as long as
// that connection lives. It ends with its session (end()), and with the password or the account for which it was issued (forget()).
//
// Failure: none; a handle that is not known stands for nobody. Limits: kMost in all, kMostOfAccount of one account. One too many of an account
// takes the place of the one that this account has not used for longest. When all are taken, those go first whose connection is gone, then the one that
// was not used for longest, if that is kIdle or more: a session at work never loses its handle to somebody else's login, which is refused then.
#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace postern::net {
class FramePeer;
}

namespace postern::directory {

class Handles {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t kMost = 100000, kMostOfAccount = 100;
  static constexpr std::chrono::minutes kIdle{30};

  explicit Handles(std::size_t most = kMost) : most_(most) {}

  // Empty: all are in use.
  std::string issue(const std::shared_ptr<net::FramePeer>& peer, std::string account, Time now = std::chrono::steady_clock::now());
  // The account's canonical name. Counts as a use.
  std::optional<std::string> account(const std::shared_ptr<net::FramePeer>& peer, std::string_view handle, Time now = std::chrono::steady_clock::now());
  // The session is over.
  void end(const std::shared_ptr<net::FramePeer>& peer, std::string_view handle);
  // All that `account` has, by its canonical name. Cost: one look at every handle.
  void forget(std::string_view account);
  [[nodiscard]] std::size_t size() const { return order_.size(); }

 private:
  struct Issued {
    std::string handle, account;
    std::weak_ptr<net::FramePeer> peer;
    Time used;
  };
  using Place = std::list<Issued>::iterator;
  Place erase(Place place);
  bool make_room(Time now);

  const std::size_t most_;
  std::list<Issued> order_;  // the one that was not used for longest first
  std::unordered_map<std::string_view, Place> known_;  // keys point into order_
  std::unordered_map<std::string, std::size_t> of_account_;
};

}  // namespace postern::directory
