// SPDX-License-Identifier: Apache-2.0
#pragma once
// What posternctl domain, account, alias, group and directory have in common: questions, lists, and how answers are printed.
#include "directory/protocol.h"
#include "tools/directory_access.h"
#include "tools/posternctl.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::tools {

// Says why not; kFailed.
int could_not(const Context& context, const std::string& text);
// Says what is wrong, and how it is used; kUsage.
int wrong_usage(const Context& context, const std::string& text, const char* details);

// For people's programs: times as text, nothing of the protocol.
void print_answer(boost::json::object answer);
void print_answer(boost::json::array list);

std::string created(const boost::json::object& record);
std::string text_or_dash(const boost::json::object& record, std::string_view member);
// The texts of a list with ", " between them; "-" if there are none.
std::string joined(const boost::json::object& record, std::string_view member);
// The member `name` of the record of kind `kind` in an answer.
std::string value_in(const boost::json::object& answer, const char* kind, const char* name);
// The record of kind `kind` in an answer; null if there is none.
const boost::json::object* record_in(const boost::json::object& answer, const char* kind);

// Why the account database says nothing about the accounts of a domain, or of the domain of an address; empty: it has them.
std::string kept_elsewhere(DirectoryAccess& directory, const std::string& name);
// What was not found, for people: that it is kept elsewhere, if it is.
Error explained(DirectoryAccess& directory, const std::string& name, const Error& error);
// The words about an account or alias of that name that is not there.
std::string there_is_no(DirectoryAccess& directory, const std::string& kind, const std::string& name);

// All entries of a list, asked for a piece at a time.
Result<boost::json::array> whole_list(DirectoryAccess& directory, boost::json::object request, const char* member);

// The same of one domain, or of all: then "domain" is empty. An error, with the reason, if the domain has none because they are kept elsewhere; if it
// has some that were here before, standard error says so.
Result<boost::json::array> list_of_domain(const Context& context, boost::json::object request, const char* member);

// Asks for one change and says what was done.
int change(const Context& context, boost::json::object request, const std::function<std::string(const boost::json::object& answer)>& said);

// Up to `limit_bytes` of a file, or of standard input for "-".
Result<std::string> read_text(const std::string& file, std::size_t limit_bytes);
// The text of a filter, checked: mistakes are printed as FILE:LINE:COLUMN.
Result<std::string> read_filter(const Context& context, const std::string& file, bool system_script);
// Whether the text is a correct filter of an account; mistakes are printed, `name` in front.
bool is_correct_filter(const Context& context, const std::string& source, const std::string& name, bool system_script);

// "10 MiB", "1GB", "1000": a number of bytes; nothing if it is none.
std::optional<std::uint64_t> bytes_from(std::string_view text);
// "10 MiB" where that is exact, else "1000 bytes".
std::string bytes_text(std::uint64_t bytes);

// account script …, from the words behind "script" (ctl_scripts.cc).
int run_scripts(const Context& context, const std::vector<std::string>& arguments);
extern const char* const kScriptDetails;

}  // namespace postern::tools
