// SPDX-License-Identifier: Apache-2.0
#pragma once
// What goes over run/resolver.sock: one JSON object a frame (net/frames.h), answers in any order, matched by "id".
//
//   {"id":7,"ask":"records","name":"example.com","type":15}
//     →  {"id":7,"name":"example.com","type":15,"records":["000a026d78…"],"secure":false,"cut":false,"ttl":300}
//     →  {"id":7,"error":{"kind":"not-found","text":"…"}}
// Failure: reading gives Kind::invalid for an object that is not of the expected form. More: doc/design/resolver.md.
#include "net/dns_answer.h"

#include <boost/json/object.hpp>

namespace postern::net {

struct DnsQuestion {
  std::string name;  // canonical
  std::uint16_t type = 0;
  friend auto operator<=>(const DnsQuestion&, const DnsQuestion&) = default;
};

boost::json::object to_json(const DnsQuestion& question);
Result<DnsQuestion> dns_question_from(const boost::json::object& object);
boost::json::object to_json(const DnsAnswer& answer);
// The answer to a question of type `type`.
Result<DnsAnswer> dns_answer_from(const boost::json::object& object, std::uint16_t type);

}  // namespace postern::net
