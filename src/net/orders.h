// SPDX-License-Identifier: Apache-2.0
#pragma once
// Messages between the master and a child: one JSON object a message on a SOCK_SEQPACKET pair, with named descriptors attached.
//
// The object's "descriptors" names what is attached, in order. Neither side trusts the other: a message that is too long, no
// object, or whose names and descriptors don't match is Kind::invalid, and the receiver ends the connection. What the
// messages are: doc/design/processes.md.
#include "base/descriptor.h"

#include <boost/json/object.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::net {

inline constexpr std::size_t kOrderBytes = 65536;

struct Order {
  boost::json::object body;
  std::vector<std::pair<std::string, base::Descriptor>> descriptors;
  bool end = false;  // the other side is gone; nothing else is set

  // body["order"], or an empty text.
  [[nodiscard]] std::string_view name() const;
  [[nodiscard]] std::optional<std::uint64_t> number(std::string_view key) const;
  [[nodiscard]] std::optional<std::string_view> text(std::string_view key) const;
  // Takes the first descriptor of that name; invalid if there is none.
  [[nodiscard]] base::Descriptor take(std::string_view descriptor_name);
};

// Sends one message; the descriptors stay the caller's. Kind::temporary if the socket is full or the other side is gone.
Result<void> send_order(int socket, boost::json::object body, const std::vector<std::pair<std::string, int>>& descriptors = {});
// Receives one, which it waits for or not (then Kind::not_found if there is none). One reader a socket.
Result<Order> receive_order(int socket, bool wait = false);

}  // namespace postern::net
