// SPDX-License-Identifier: Apache-2.0
// posternctl alias and group (doc/man/posternctl-alias.8).
#include "base/text.h"
#include "tools/directory_answers.h"
#include "tools/options.h"

#include <cstdio>
#include <iostream>

namespace postern::tools {
namespace {

using boost::json::array;
using boost::json::object;
using Arguments = std::vector<std::string>;

constexpr std::size_t kMembersFileBytes = 8 * 1024 * 1024;

// Addresses, one a line; empty lines and those that begin with # are passed over.
Result<void> add_from_file(const std::string& file, std::vector<std::string>& members) {
  const auto text = read_text(file, kMembersFileBytes);
  if (!text) return text.error();
  int number = 0;
  for (const std::string_view line : base::split(*text, '\n')) {
    ++number;
    std::string_view address = base::trim(line);
    if (address.ends_with('\r')) address = base::trim(address.substr(0, address.size() - 1));
    if (address.empty() || address.front() == '#') continue;
    auto canonical = directory::canonical_target(address);
    if (!canonical) return Error{Kind::invalid, file + ":" + std::to_string(number) + ": " + canonical.error().what};
    members.push_back(std::move(*canonical));
  }
  return {};
}

struct Family {
  const char* kind;  // "alias" or "group"
  const char* heading;
  const char* details;
};

const Family kAlias{"alias", "ALIAS",
                    "  posternctl alias add NAME ADDRESS ... [--members FILE] [--description TEXT]\n"
                    "  posternctl alias change NAME [--add ADDRESS] [--drop ADDRESS] [--members FILE]\n"
                    "                               [--description TEXT]\n"
                    "  posternctl alias list [DOMAIN]\n"
                    "  posternctl alias show NAME\n"
                    "  posternctl alias remove NAME\n"
                    "NAME is an address, or @example.com for every address of the domain that nobody else\n"
                    "has. ADDRESS is where its mail goes, here or anywhere. --add and --drop may be given\n"
                    "several times; --members takes all addresses from FILE (-: standard input), one a line.\n"};
const Family kGroup{"group", "GROUP",
                    "  posternctl group add NAME [ADDRESS ...] [--members FILE] [--owner ADDRESS]\n"
                    "                            [--description TEXT]\n"
                    "  posternctl group change NAME [--add ADDRESS] [--drop ADDRESS] [--members FILE]\n"
                    "                               [--owner ADDRESS] [--description TEXT]\n"
                    "  posternctl group list [DOMAIN]\n"
                    "  posternctl group show NAME\n"
                    "  posternctl group remove NAME\n"
                    "A group is a list: mail for it goes to each of its members. --add and --drop may be\n"
                    "given several times; --members takes all members from FILE (-: standard input), one a\n"
                    "line; --owner ''  takes the owner away.\n"};

int add(const Context& context, const Family& family, const Arguments& arguments) {
  object request{{"ask", "alias-add"}, {"kind", family.kind}};
  std::string owner, description;
  std::vector<std::string> files;
  std::vector<Option> options{{"--description", &description}, {"--members", &files}};
  const bool group = &family == &kGroup;
  if (group) options.push_back({"--owner", &owner});
  const auto rest = read_options(std::string(family.kind) + " add", options, {arguments.begin() + 1, arguments.end()});
  if (!rest) return wrong_usage(context, rest.error().what, family.details);
  if (rest->empty()) return wrong_usage(context, std::string(family.kind) + " add wants NAME", family.details);
  std::vector<std::string> members(rest->begin() + 1, rest->end());
  for (const std::string& file : files)
    if (auto read = add_from_file(file, members); !read) return could_not(context, read.error().what);
  if (members.empty() && !group) return wrong_usage(context, "an alias leads to one address at least", family.details);
  request["name"] = rest->front();
  request["members"] = directory::to_json(members);
  request["owner"] = owner;
  request["description"] = description;
  return change(context, std::move(request), [&](const object& answer) {
    const object* const alias = record_in(answer, "alias");
    const auto count = alias != nullptr ? directory::texts_in(*alias, "members").value_or(std::vector<std::string>()).size() : 0;
    if (count == 0) std::cerr << "warning: a group without members refuses its mail; add them with  posternctl group change " << value_in(answer, "alias", "name") << " --add ADDRESS\n";
    return "added " + std::string(family.kind) + " " + value_in(answer, "alias", "name") + " with " + std::to_string(count) + (count == 1 ? " member" : " members");
  });
}

int change_one(const Context& context, const Family& family, const Arguments& arguments) {
  std::optional<std::string> owner, description;
  std::vector<std::string> added, dropped, files;
  std::vector<Option> options{{"--add", &added}, {"--drop", &dropped}, {"--members", &files}, {"--description", &description}};
  if (&family == &kGroup) options.push_back({"--owner", &owner});
  const auto rest = read_options(std::string(family.kind) + " change", options, {arguments.begin() + 1, arguments.end()});
  if (!rest) return wrong_usage(context, rest.error().what, family.details);
  const std::string command = std::string(family.kind) + " change";
  if (const std::string mistake = words_mistake(command, {"NAME"}, *rest); !mistake.empty()) return wrong_usage(context, mistake, family.details);
  if (!owner && !description && added.empty() && dropped.empty() && files.empty()) return wrong_usage(context, command + ": say what is to change", family.details);
  object request{{"ask", "alias-change"}, {"name", rest->front()}, {"kind", family.kind}};
  if (!files.empty()) {
    std::vector<std::string> members;
    for (const std::string& file : files)
      if (auto read = add_from_file(file, members); !read) return could_not(context, read.error().what);
    request["members"] = directory::to_json(members);
  }
  if (!added.empty()) request["add"] = directory::to_json(added);
  if (!dropped.empty()) request["drop"] = directory::to_json(dropped);
  if (owner) request["owner"] = *owner;
  if (description) request["description"] = *description;
  return change(context, std::move(request), [&](const object& answer) { return "changed " + std::string(family.kind) + " " + value_in(answer, "alias", "name"); });
}

int list(const Context& context, const Family& family, const std::string& domain) {
  const auto all = list_of_domain(context, {{"ask", "alias-list"}, {"kind", family.kind}, {"domain", domain}}, "aliases");
  if (!all) return could_not(context, all.error().what);
  if (context.json) {
    print_answer(*all);
    return kDone;
  }
  const bool group = &family == &kGroup;
  std::vector<std::vector<std::string>> rows;
  for (const auto& entry : *all) {
    const object& alias = entry.get_object();
    const auto members = directory::texts_in(alias, "members").value_or(std::vector<std::string>());
    const std::string shown = group ? std::to_string(members.size()) : members.size() <= 3 ? joined(alias, "members")
                                                                                            : members.front() + " and " + std::to_string(members.size() - 1) + " more";
    std::vector<std::string> row{directory::text_in(alias, "name").value_or(""), shown};
    if (group) row.push_back(text_or_dash(alias, "owner"));
    row.push_back(directory::text_in(alias, "description").value_or(""));
    rows.push_back(std::move(row));
  }
  if (group) print_table({family.heading, "MEMBERS", "OWNER", "DESCRIPTION"}, rows);
  else print_table({family.heading, "LEADS TO", "DESCRIPTION"}, rows);
  return kDone;
}

int show(const Context& context, const Family& family, const std::string& name) {
  DirectoryAccess directory(context);
  const auto answer = directory.ask({{"ask", "account"}, {"name", name}});
  if (!answer) return could_not(context, answer.error().what);
  const object* const alias = record_in(*answer, "alias");
  if (alias == nullptr || directory::text_in(*alias, "kind") != family.kind) return could_not(context, there_is_no(directory, family.kind, name));
  if (context.json) {
    print_answer(object{{"alias", *alias}});
    return kDone;
  }
  const auto line = [](const char* what, const std::string& text) { std::printf("%-12s %s\n", what, text.c_str()); };
  line(family.kind, directory::text_in(*alias, "name").value_or(""));
  if (&family == &kGroup) line("owner", text_or_dash(*alias, "owner"));
  line("description", text_or_dash(*alias, "description"));
  line("created", created(*alias));
  for (const std::string& member : directory::texts_in(*alias, "members").value_or(std::vector<std::string>())) line("member", member);
  return kDone;
}

int run(const Context& context, const Family& family, const Arguments& arguments) {
  const std::string verb = arguments.empty() ? "" : arguments[0];
  if (verb == "add") return add(context, family, arguments);
  if (verb == "change") return change_one(context, family, arguments);
  const auto words = read_verb(family.kind, {{"list", {"[DOMAIN]"}}, {"show", {"NAME"}}, {"remove", {"NAME"}}}, arguments);
  if (!words) return wrong_usage(context, words.error().what, family.details);
  const std::string name = words->size() < 2 ? std::string() : (*words)[1];
  if (verb == "list") return list(context, family, name);
  if (verb == "show") return show(context, family, name);
  return change(context, {{"ask", "alias-remove"}, {"name", name}, {"kind", family.kind}},
                [&](const object& answer) { return "removed " + std::string(family.kind) + " " + value_in(answer, "alias", "name"); });
}

}  // namespace

const char* const kAliasDetails = kAlias.details;
const char* const kGroupDetails = kGroup.details;

int run_alias(const Context& context, const Arguments& arguments) { return run(context, kAlias, arguments); }
int run_group(const Context& context, const Arguments& arguments) { return run(context, kGroup, arguments); }

}  // namespace postern::tools
