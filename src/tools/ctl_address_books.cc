// SPDX-License-Identifier: Apache-2.0
// posternctl addressbook: the address books of an account (doc/man/posternctl-addressbook.8), which filters can ask. Works on the files,
// with the server running or not.
#include "base/files.h"
#include "base/text.h"
#include "store/address_books.h"
#include "tools/mailbox_access.h"
#include "tools/options.h"
#include "tools/posternctl.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>

namespace postern::tools {
namespace {

using store::AddressBooks;

constexpr std::size_t kMostValueBytes = 320;

// What stands in a book, line by line: values and comments.
std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (std::string_view line : base::split(text, '\n')) {
    line = base::trim(line.ends_with('\r') ? line.substr(0, line.size() - 1) : line);
    if (!line.empty()) lines.emplace_back(line);
  }
  return lines;
}

bool is_value(std::string_view line) { return !line.starts_with('#'); }

std::vector<std::string> values_of(std::string_view text) {
  std::vector<std::string> values = lines_of(text);
  std::erase_if(values, [](const std::string& line) { return !is_value(line); });
  return values;
}

bool contains(const std::vector<std::string>& lines, std::string_view value) {
  return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) { return base::equal_ignoring_case(line, value); });
}

std::string text_of(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text.append(line).append("\n");
  return text;
}

// Why this can't be an entry; empty: it can.
std::string problem_with(std::string_view value) {
  if (value.empty() || value.size() > kMostValueBytes || !base::is_utf8(value) || value.starts_with('#') || std::any_of(value.begin(), value.end(), base::is_control))
    return "expected a mail address, or another value of at most " + std::to_string(kMostValueBytes) + " bytes on one line, found \"" + base::printable(value, 80) + "\"";
  return {};
}

Result<void> list(const Context& context, const AddressBooks& books) {
  auto names = books.names();
  if (!names) return names.error();
  boost::json::array all;
  std::vector<std::vector<std::string>> rows;
  for (const std::string& name : *names) {
    auto text = books.text(name);
    if (!text) return text.error();
    const std::size_t entries = values_of(text->value_or("")).size();
    rows.push_back({name, std::to_string(entries)});
    all.push_back(boost::json::object{{"book", name}, {"entries", entries}});
  }
  if (context.json) std::cout << boost::json::serialize(boost::json::object{{"address_books", std::move(all)}}) << "\n";
  else print_table({"BOOK", "ENTRIES"}, rows);
  return {};
}

Result<void> show(const Context& context, const AddressBooks& books, const std::string& name) {
  auto text = books.text(name);
  if (!text) return text.error();
  if (!*text) return Error{Kind::not_found, "there is no address book " + name};
  const std::vector<std::string> values = values_of(**text);
  boost::json::array entries;
  for (const std::string& value : values) {
    if (context.json) entries.emplace_back(value);
    else std::cout << base::printable(value, kMostValueBytes) << "\n";
  }
  if (context.json) std::cout << boost::json::serialize(boost::json::object{{"book", name}, {"entries", std::move(entries)}}) << "\n";
  return {};
}

using Change = std::function<Result<std::optional<std::string>>(const std::string& before)>;

// Comments stay.
Change adding(const std::vector<std::string>& values) {
  return [values](const std::string& before) -> Result<std::optional<std::string>> {
    std::vector<std::string> lines = lines_of(before);
    for (const std::string& value : values)
      if (!contains(lines, value)) lines.push_back(value);
    return std::optional(text_of(lines));
  };
}

Change removing(const std::vector<std::string>& values) {
  return [values](const std::string& before) -> Result<std::optional<std::string>> {
    std::vector<std::string> lines = lines_of(before);
    for (const std::string& value : values) {
      if (!contains(lines, value)) return Error{Kind::not_found, base::printable(value, 80) + " is not in it"};
      std::erase_if(lines, [&](const std::string& line) { return base::equal_ignoring_case(line, value); });
    }
    return std::optional(text_of(lines));
  };
}

// The text of a file, or of standard input, with what is wrong in it.
Result<std::string> imported(const std::string& path) {
  std::ifstream file;
  if (path != "-") file.open(path, std::ios::binary);
  std::istream& in = path == "-" ? std::cin : file;
  if (path != "-" && !file.is_open()) return Error{Kind::not_found, "can't read " + path};
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) return Error{Kind::temporary, "can't read " + path};
  int number = 0;
  for (const std::string_view line : base::split(text, '\n')) {
    ++number;
    const std::string_view value = base::trim(line.ends_with('\r') ? line.substr(0, line.size() - 1) : line);
    if (value.empty() || !is_value(value)) continue;
    if (const std::string problem = problem_with(value); !problem.empty()) return Error{Kind::invalid, path + ":" + std::to_string(number) + ": " + problem};
  }
  return text_of(lines_of(text));
}

}  // namespace

const char* const kAddressBookDetails =
    "  list ACCOUNT                    the books of the account\n"
    "  show ACCOUNT BOOK               the entries of one\n"
    "  add ACCOUNT BOOK ENTRY …        mail addresses, or @example.com for all of a domain; the book is made if it is missing\n"
    "  remove ACCOUNT BOOK [ENTRY …]   entries; none: the whole book\n"
    "  import ACCOUNT BOOK FILE        what the file says, an entry a line, takes the place of what is there; \"-\" is standard input\n"
    "BOOK is \"default\", which everybody has, or another name: a-z, 0-9, '.', '_' and '-'. Filters know it as :addrbook:BOOK.\n";

int run_address_book(const Context& context, const std::vector<std::string>& arguments) {
  static const Verbs verbs{{"list", {"ACCOUNT"}},
                           {"show", {"ACCOUNT", "BOOK"}},
                           {"add", {"ACCOUNT", "BOOK", "ENTRY ..."}},
                           {"remove", {"ACCOUNT", "BOOK", "[ENTRY] ..."}},
                           {"import", {"ACCOUNT", "BOOK", "FILE"}}};
  const auto given = read_verb("addressbook", verbs, arguments);
  if (!given) {
    print_error(context, given.error().what);
    std::cerr << "usage: posternctl addressbook …\n" << kAddressBookDetails;
    return kUsage;
  }
  const std::vector<std::string>& words = *given;
  const std::string& action = words[0];
  const auto complain = [&](const std::string& text) {
    print_error(context, text);
    return kFailed;
  };
  const std::string name = words.size() > 2 ? base::lower(words[2]) : std::string(AddressBooks::kDefault);
  if (!AddressBooks::is_name(name)) return complain("expected the name of an address book, 1 to 64 of a-z, 0-9, '.', '_' and '-', found \"" + base::printable(words[2], 80) + "\"");
  std::vector<std::string> values;
  for (std::size_t i = 3; i < words.size() && action != "import"; ++i) {
    values.emplace_back(base::trim(words[i]));
    if (const std::string problem = problem_with(values.back()); !problem.empty()) return complain(problem);
  }
  std::string text;
  if (action == "import") {
    // Read before this process becomes somebody else.
    auto read = imported(words[3]);
    if (!read) return complain(read.error().what);
    text = std::move(*read);
  }
  const auto account = look_up_account(context, words[1]);
  if (!account) return complain(account.error().what);
  auto mail = open_mailboxes(context);
  if (!mail) return complain(mail.error().what);
  AddressBooks books(base::system_files(), mail->get(), account->mailbox_directory);
  if (action == "list" || action == "show") {
    const auto shown = action == "list" ? list(context, books) : show(context, books, name);
    return shown ? kDone : complain(shown.error().what);
  }
  if (action == "remove") {
    const auto before = books.text(name);
    if (!before) return complain(before.error().what);
    if (!*before) return complain("there is no address book " + name + " of " + account->name);
  }
  Change change = [&](const std::string&) -> Result<std::optional<std::string>> { return action == "import" ? std::optional(text) : std::nullopt; };
  if (action == "add") change = adding(values);
  else if (action == "remove" && !values.empty()) change = removing(values);
  if (auto changed = books.change(name, change); !changed) return complain(changed.error().what);
  const auto after = books.text(name);
  const std::size_t entries = after && *after ? values_of(**after).size() : 0;
  if (context.json) std::cout << boost::json::serialize(boost::json::object{{"book", name}, {"entries", entries}}) << "\n";
  else std::cout << "address book " << name << " of " << account->name << " has " << entries << (entries == 1 ? " entry" : " entries") << "\n";
  return kDone;
}

}  // namespace postern::tools
