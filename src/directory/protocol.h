// SPDX-License-Identifier: Apache-2.0
#pragma once
// What goes over run/directory.sock: one JSON object a frame (net/frames.h), questions answered in any order, matched by "id".
//
//   {"id":7,"ask":"account","name":"user@example.com"}  →  {"id":7,"found":true,"account":{…}}
//   {"id":8,"ask":"verify","name":…,"password_hex":…}   →  {"id":8,"accepted":false,"reason":"password"}
//   anything that failed                                →  {"id":9,"error":{"kind":"temporary","text":"…"}}
// The list of questions is in doc/design/directory.md.
//
// Failure: reading gives Kind::invalid for an object that is not of the expected form.
#include "directory/directory.h"

#include <boost/json/object.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace postern::directory {

boost::json::object to_json(const Domain& domain, bool with_filter);
boost::json::object to_json(const Account& account, bool with_filter);
Result<Domain> domain_from(const boost::json::object& object);
Result<Account> account_from(const boost::json::object& object);

boost::json::object error_answer(const Error& error);
// The error that an answer carries; nothing if it carries none.
std::optional<Error> error_in(const boost::json::object& answer);

// Members of an object, each with its type checked: nothing if it is missing or of another type.
std::optional<std::string> text_in(const boost::json::object& object, std::string_view name);
std::optional<std::uint64_t> number_in(const boost::json::object& object, std::string_view name);
std::optional<bool> truth_in(const boost::json::object& object, std::string_view name);

// Passwords are bytes, JSON is UTF-8.
std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view text);

}  // namespace postern::directory
