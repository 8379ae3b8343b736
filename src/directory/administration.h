// SPDX-License-Identifier: Apache-2.0
#pragma once
// The questions that change or list records, in the words of the directory's protocol: answered by the directory child for
// administrators, and by posternctl itself on the store when no server runs. One piece of code, so that both say the same.
//
//   {"ask":"domain-add","name":…}                       {"ask":"domain-remove","name":…}
//   {"ask":"domain-list","after":…,"limit":…}           {"ask":"domain-filter","name":…,"filter":…}
//   {"ask":"account-add","name":…,"password_hash":…,"description":…}       {"ask":"account-remove","name":…}
//   {"ask":"account-password","name":…,"password_hash":…}                  {"ask":"account-filter","name":…,"filter":…}
//   {"ask":"account-enable","name":…,"enabled":…}                          {"ask":"account-list","domain":…,"after":…,"limit":…}
// Answers carry "domain", "account", "domains" or "accounts", with "more" if a list was cut; or "error" (protocol.h).
// Hashes are made by who asks: they take long, and the one that answers has others waiting.
#include "directory/database.h"

#include <boost/json/object.hpp>

namespace postern::directory {

// Most entries of one list in an answer; the rest is asked for with "after".
inline constexpr std::size_t kListLimit = 1000;

struct Administered {
  boost::json::object answer;
  bool changed = false;  // something is different now: the generation must be raised
};

// Empty if the question is not one of administration.
std::optional<Administered> administer(Database& database, const boost::json::object& request);

// {"ask":"domain"|"account","name":…}: "found", and with it the whole record but for the hash. A name that can't be one is not
// found; a record that can't be read is logged, and an error of Kind::temporary: unknown is not absent. Empty: another question.
std::optional<boost::json::object> look_up(Database& database, const boost::json::object& request);

}  // namespace postern::directory
