// SPDX-License-Identifier: Apache-2.0
#include "net/orders.h"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <poll.h>

namespace postern::net {

std::string_view Order::name() const { return text("order").value_or(std::string_view()); }

std::optional<std::uint64_t> Order::number(std::string_view key) const {
  const boost::json::value* const value = body.if_contains(key);
  if (value == nullptr) return std::nullopt;
  boost::system::error_code error;
  const auto number = value->to_number<std::uint64_t>(error);
  if (error) return std::nullopt;
  return number;
}

std::optional<std::string_view> Order::text(std::string_view key) const {
  const boost::json::value* const value = body.if_contains(key);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string_view(value->get_string());
}

base::Descriptor Order::take(std::string_view descriptor_name) {
  for (auto& [name, descriptor] : descriptors)
    if (name == descriptor_name && descriptor.valid()) return std::move(descriptor);
  return base::Descriptor();
}

Result<void> send_order(int socket, boost::json::object body, const std::vector<std::pair<std::string, int>>& descriptors) {
  std::vector<int> numbers;
  if (!descriptors.empty()) {
    boost::json::array names;
    for (const auto& [name, number] : descriptors) {
      names.emplace_back(name);
      numbers.push_back(number);
    }
    body["descriptors"] = std::move(names);
  }
  const std::string bytes = boost::json::serialize(body);
  if (bytes.size() > kOrderBytes) return Error{Kind::invalid, "message between processes is too long"};
  return base::send_with_descriptors(socket, bytes, numbers);
}

Result<Order> receive_order(int socket, bool wait) {
  if (!wait) {
    // Asked beforehand: the error of a recvmsg() that finds nothing looks like others.
    pollfd waiting{socket, POLLIN, 0};
    if (::poll(&waiting, 1, 0) <= 0) return Error{Kind::not_found, "no message is waiting"};
  }
  auto received = base::receive_with_descriptors(socket, kOrderBytes);
  if (!received) return received.error();
  Order order;
  if (received->end) {
    order.end = true;
    return order;
  }
  boost::system::error_code error;
  boost::json::value value = boost::json::parse(received->bytes, error);
  if (error || !value.is_object()) return Error{Kind::invalid, "message between processes is not a JSON object"};
  order.body = std::move(value.get_object());
  std::size_t named = 0;
  if (const auto* const names = order.body.if_contains("descriptors")) {
    if (!names->is_array() || names->get_array().size() != received->descriptors.size())
      return Error{Kind::invalid, "names and descriptors don't match"};
    for (const auto& name : names->get_array()) {
      if (!name.is_string()) return Error{Kind::invalid, "names and descriptors don't match"};
      order.descriptors.emplace_back(std::string(name.get_string()), std::move(received->descriptors[named++]));
    }
  }
  if (named != received->descriptors.size()) return Error{Kind::invalid, "names and descriptors don't match"};
  return order;
}

}  // namespace postern::net
