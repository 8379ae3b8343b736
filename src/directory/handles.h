// SPDX-License-Identifier: Apache-2.0
#pragma once
// What who logged in may show later to change their own things (LoginAnswer::handle): a random name for (connection, account).
//
// A handle is good on the connection on which the login was answered, so one child of a protocol can't use another's, and only as long as
// that connection lives. It ends with the password or the account for which it was issued (forget()). Failure: none; a handle that is not
// known stands for nobody.
// Limits: the newest kMost; whoever has an older one must log in again.
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
  static constexpr std::size_t kMost = 100000;

  std::string issue(const std::shared_ptr<net::FramePeer>& peer, std::string account);
  // The account's canonical name.
  [[nodiscard]] std::optional<std::string> account(const std::shared_ptr<net::FramePeer>& peer, std::string_view handle) const;
  // All that `account` has, by its canonical name. Cost: one look at every handle.
  void forget(std::string_view account);

 private:
  struct Issued {
    std::string handle, account;
    std::weak_ptr<net::FramePeer> peer;
  };
  std::list<Issued> order_;  // oldest first
  std::unordered_map<std::string_view, std::list<Issued>::const_iterator> known_;  // keys point into order_
};

}  // namespace postern::directory
