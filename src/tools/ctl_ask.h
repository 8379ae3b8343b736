// SPDX-License-Identifier: Apache-2.0
#pragma once
// Asking the running master over run/control.sock, and reading what it answers. Every field is checked as it is used: another
// version may run.
#include "tools/posternctl.h"

#include "base/result.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace postern::tools {

// The master's control socket, relative to the base directory.
inline constexpr const char* kSocket = "run/control.sock";
// A reload waits for the children, an answer for nobody.
inline constexpr std::chrono::seconds kPatience(30);

// Says why there is no answer from server_directory() or ask(); the exit status.
int fail(const Context& context, const Error& error);
int wrong_usage(const Context& context, const std::string& command);
// The base directory of the server. A mistake in the file must keep nobody from asking the server that runs, or stopping it; but
// one that names no directory is Kind::invalid.
Result<base::Descriptor> server_directory(const Context& context);
// What the master answers. Kind::invalid: the configuration, or an argument that the master does not understand; Kind::permanent:
// the master's own error ("unknown command" of an older one); Kind::denied; Kind::temporary: it does not answer.
Result<boost::json::object> ask(const Context& context, boost::json::object order, std::chrono::seconds patience = kPatience);
Result<boost::json::object> ask(const Context& context, const char* command, std::chrono::seconds patience = kPatience);

// The member as text; "-" if there is none.
std::string text(const boost::json::object& from, std::string_view key);
bool truth(const boost::json::object& from, std::string_view key);
// The texts of a list.
std::vector<std::string> texts(const boost::json::object& from, std::string_view key);
// A number of seconds in words: "3 d 4 h", "5 min 6 s".
std::string duration(const boost::json::object& from, std::string_view key);
void print_json(const boost::json::object& answer);

// The objects of a list, one after another.
template <class Visit>
void each(const boost::json::object& from, std::string_view key, Visit visit) {
  const boost::json::value* const found = from.if_contains(key);
  if (found == nullptr || !found->is_array()) return;
  for (const boost::json::value& entry : found->get_array())
    if (entry.is_object()) visit(entry.get_object());
}

}  // namespace postern::tools
