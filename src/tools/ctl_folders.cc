// SPDX-License-Identifier: Apache-2.0
// posternctl folder: the folders of an account with their ids, uses and annotations (doc/man/posternctl-folder.8), which filters can
// look at. Works on the files, with the server running or not.
#include "base/files.h"
#include "base/text.h"
#include "directory/directory.h"
#include "store/folder_facts.h"
#include "tools/mailbox_access.h"
#include "tools/options.h"
#include "tools/posternctl.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <iostream>

namespace postern::tools {
namespace {

constexpr std::size_t kMostValueBytes = 4096;

// RFC 6154: a backslash and letters, digits and hyphens.
bool is_use(std::string_view text) {
  return text.size() > 1 && text.size() <= 64 && text.front() == '\\' &&
         std::all_of(text.begin() + 1, text.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-' || c == '_'; });
}

// RFC 5464 section 3.
bool is_entry(std::string_view name) {
  return (base::starts_with_ignoring_case(name, "/private/") || base::starts_with_ignoring_case(name, "/shared/")) && name.size() <= 200 && name.back() != '/' &&
         name.find("//") == std::string_view::npos && std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f && c != '*' && c != '%'; });
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : " ") + text;
  return all.empty() ? "-" : all;
}

Result<void> list(const Context& context, int mail, const std::string& directory) {
  auto folders = store::list_folders(mail, directory);
  if (!folders) return folders.error();
  boost::json::array all;
  std::vector<std::vector<std::string>> rows;
  for (store::NamedFolder& folder : *folders) {
    // Whoever looks may want to name it in a script.
    if (folder.facts.id.empty()) {
      folder.facts.id = store::new_folder_id();
      if (auto written = store::write_folder_facts(base::system_files(), mail, directory, folder.name, folder.facts); !written) return written.error();
    }
    boost::json::object notes;
    for (const auto& [entry, value] : folder.facts.annotations) notes[entry] = base::is_utf8(value) ? value : base::printable(value, kMostValueBytes);
    rows.push_back({folder.name, folder.facts.id, joined(folder.facts.uses), std::to_string(notes.size())});
    boost::json::array uses;
    for (const std::string& use : folder.facts.uses) uses.emplace_back(use);
    all.push_back(boost::json::object{{"folder", folder.name}, {"id", folder.facts.id}, {"uses", std::move(uses)}, {"annotations", std::move(notes)}});
  }
  if (context.json) std::cout << boost::json::serialize(boost::json::object{{"folders", std::move(all)}}) << "\n";
  else print_table({"FOLDER", "ID", "USES", "ANNOTATIONS"}, rows);
  return {};
}

}  // namespace

const char* const kFolderDetails =
    "  list ACCOUNT                        the folders with their ids, special uses and annotations\n"
    "  use ACCOUNT FOLDER [USE …]          special uses, \\Junk or \\Archive for instance; none: it has none any more\n"
    "  note ACCOUNT FOLDER ENTRY [VALUE]   an annotation, /private/comment for instance; no value: it is removed\n";

int run_folder(const Context& context, const std::vector<std::string>& arguments) {
  static const Verbs verbs{{"list", {"ACCOUNT"}}, {"use", {"ACCOUNT", "FOLDER", "[USE] ..."}}, {"note", {"ACCOUNT", "FOLDER", "ENTRY", "[VALUE]"}}};
  const auto given = read_verb("folder", verbs, arguments);
  if (!given) {
    print_error(context, given.error().what);
    std::cerr << "usage: posternctl folder …\n" << kFolderDetails;
    return kUsage;
  }
  const std::vector<std::string>& words = *given;
  const std::string& action = words[0];
  const auto complain = [&](const std::string& text) {
    print_error(context, text);
    return kFailed;
  };
  const auto account = directory::canonical_account(words[1]);
  if (!account) return complain(account.error().what);
  const std::vector<std::string> uses(words.begin() + std::min<std::ptrdiff_t>(3, static_cast<std::ptrdiff_t>(words.size())), words.end());
  if (action == "use" && !std::all_of(uses.begin(), uses.end(), is_use)) return complain("expected special uses such as \\Junk, found \"" + joined(uses) + "\"");
  if (action == "note" && !is_entry(words[3])) return complain("expected the name of an annotation such as /private/comment, found \"" + base::printable(words[3], 200) + "\"");
  if (words.size() == 5 && words[4].size() > kMostValueBytes) return complain("expected a value of at most " + std::to_string(kMostValueBytes) + " bytes");
  auto mail = open_mailboxes(context);
  if (!mail) return complain(mail.error().what);
  const std::string directory = directory::mailbox_directory_for(*account);
  if (action == "list") {
    auto listed = list(context, mail->get(), directory);
    return listed ? kDone : complain(listed.error().what);
  }
  const std::string folder = base::equal_ignoring_case(words[2], "INBOX") ? "" : words[2];
  auto facts = store::read_folder_facts(mail->get(), directory, folder);
  if (!facts) return complain(facts.error().kind == Kind::not_found ? "there is no folder " + words[2] + " of " + *account : facts.error().what);
  if (facts->id.empty()) facts->id = store::new_folder_id();
  if (action == "use") facts->uses = uses;
  else if (words.size() == 5) facts->annotations[base::lower(words[3])] = words[4];
  else facts->annotations.erase(base::lower(words[3]));
  auto written = store::write_folder_facts(base::system_files(), mail->get(), directory, folder, *facts);
  if (!written) return complain(written.error().what);
  if (context.json) std::cout << boost::json::serialize(boost::json::object{{"folder", words[2]}, {"id", facts->id}}) << "\n";
  else std::cout << "changed folder " << words[2] << " of " << *account << "\n";
  return kDone;
}

}  // namespace postern::tools
