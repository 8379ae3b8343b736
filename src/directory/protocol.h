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
#include "net/frames.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <optional>
#include <string_view>
#include <vector>

namespace postern::directory {

boost::json::object to_json(const Domain& domain, bool with_filter);
boost::json::object to_json(const Account& account, bool with_filter);
boost::json::object to_json(const Alias& alias);
boost::json::object to_json(const ScriptEntry& script);
boost::json::object to_json(const SigningKey& key);
Result<Domain> domain_from(const boost::json::object& object);
Result<Account> account_from(const boost::json::object& object);
Result<Alias> alias_from(const boost::json::object& object);
Result<ScriptEntry> script_from(const boost::json::object& object);
Result<SigningKey> signing_key_from(const boost::json::object& object);
// "rsa", "ed25519", and back.
std::string_view to_string(SigningKey::Type type);
std::optional<SigningKey::Type> signing_type_from(std::string_view text);
Result<ScriptOutcome> script_outcome_in(const boost::json::object& answer);

// A list of texts; nothing if there is no such member or not all of it is text.
std::optional<std::vector<std::string>> texts_in(const boost::json::object& object, std::string_view member);
boost::json::array to_json(const std::vector<std::string>& texts);

// Errors and members of objects are read and written as by all our processes.
using net::error_answer, net::error_in, net::text_in, net::number_in, net::truth_in, net::to_hex, net::from_hex;

}  // namespace postern::directory
