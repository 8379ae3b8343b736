// SPDX-License-Identifier: Apache-2.0
// posternctl compile: the tables from their texts, as postern-compile makes them. posternctl tables: the compiled files that are kept,
// what is in them, and the way back to one of them (posternctl-tables(8)).
#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "keyfile/compiled.h"
#include "mapping/compile.h"
#include "mapping/listing.h"
#include "tools/compile_site.h"
#include "tools/ctl_ask.h"
#include "tools/generations.h"
#include "tools/posternctl.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <optional>
#include <thread>

namespace postern::tools {
namespace {

using boost::json::array;
using boost::json::object;

// How long a server may take to notice another file (access-control.md 5.2: within a second), and to lay out large tables.
constexpr std::chrono::seconds kNoticed(10);

int usage(const Context& context, const std::string& text) {
  print_error(context, text + "; try: posternctl help tables");
  return kUsage;
}

int failed(const Context& context, const Error& error) {
  print_error(context, error.what);
  return kFailed;
}

struct Listed {
  std::string pattern, expansion, place;
};
// The entries of one file, by table; aliases and the general table under the names of their files.
struct Contents {
  keyfile::CompiledHeader header;
  std::vector<std::string> names;  // as written, in the order of the source
  std::map<std::string, std::vector<Listed>> tables;  // by name in lower case
  [[nodiscard]] std::size_t entries() const {
    std::size_t sum = 0;
    for (const auto& [name, list] : tables) sum += list.size();
    return sum;
  }
};

constexpr const char* kAliases = "aliases";
constexpr const char* kGeneral = "general.txt";

Result<Contents> read_contents(int file) {
  Contents contents;
  auto bytes = mapping::image_of_compiled(file);
  if (!bytes) return bytes.error();
  auto image = mapping::Image::own(std::move(*bytes));
  if (!image) return image.error();
  for (const auto& table : (*image)->tables()) {
    contents.names.emplace_back(table.name);
    contents.tables[base::lower(table.name)];
  }
  mapping::list_entries(**image, [&](const mapping::ListedEntry& entry) {
    contents.tables[base::lower(entry.table)].push_back({base::printable(mapping::pattern_text(entry.pattern), 4096),
                                                         base::printable(mapping::template_text(entry.expansion), 4096),
                                                         std::string(entry.file) + ":" + std::to_string(entry.line)});
  });
  auto header = keyfile::read_compiled(file, [&](std::string_view key, std::string_view value) {
    if (key[0] != 'A' && key[0] != 'G') return key[0] < 'G';
    std::string text(value);
    std::replace(text.begin(), text.end(), '\0', ',');
    contents.tables[key[0] == 'A' ? kAliases : kGeneral].push_back({base::printable(key.substr(1), 4096), base::printable(text, 4096), {}});
    return true;
  });
  if (!header) return header.error();
  contents.header = *header;
  for (const char* const name : {kAliases, kGeneral})
    if (contents.tables.contains(name)) contents.names.emplace_back(name);
  return contents;
}

// A directory of tables, and what is in it.
struct Site {
  Place target;
  std::vector<std::uint64_t> numbers;
  std::uint64_t in_force = 0;
};

Result<Site> open_site(const Context& context) {
  Site site;
  auto target = open_place(context.configuration().tables_directory);
  if (!target) return target.error();
  site.target = std::move(*target);
  if (auto became = become_owner(site.target); !became) return became.error();
  auto numbers = generation_numbers(site.target);
  if (!numbers && numbers.error().kind != Kind::not_found) return numbers.error();
  if (numbers) site.numbers = std::move(*numbers);
  site.in_force = number_in_force(site.target);
  return site;
}

std::string numbers_text(const std::vector<std::uint64_t>& numbers) {
  std::string text;
  for (const std::uint64_t number : numbers) text += (text.empty() ? "" : ", ") + std::to_string(number);
  return text.empty() ? "none" : text;
}

// The number named, or `otherwise`; says what is there if it is not.
Result<std::uint64_t> chosen(const Site& site, const std::string* argument, std::uint64_t otherwise, const char* which) {
  std::uint64_t number = otherwise;
  if (argument != nullptr) {
    const auto given = base::number_from<std::uint64_t>(argument->ends_with(".db") ? argument->substr(0, argument->size() - 3) : *argument);
    if (!given) return Error{Kind::invalid, "\"" + base::printable(*argument) + "\" is no number of compiled tables"};
    number = *given;
  }
  if (number == 0) return Error{Kind::not_found, std::string("there is no ") + which + " file; there are: " + numbers_text(site.numbers)};
  if (!std::binary_search(site.numbers.begin(), site.numbers.end(), number))
    return Error{Kind::not_found, "there are no compiled tables of number " + std::to_string(number) + " in " + site.target.path +
                                      "/tables; there are: " + numbers_text(site.numbers)};
  return number;
}

// What is no number at all is wrong usage; a number that is not there is not.
int not_chosen(const Context& context, const Error& error) { return error.kind == Kind::invalid ? usage(context, error.what) : failed(context, error); }

std::uint64_t before_the_one_in_force(const Site& site) {
  const auto at = std::lower_bound(site.numbers.begin(), site.numbers.end(), site.in_force);
  return at == site.numbers.begin() ? 0 : *std::prev(at);
}

// What the running server has; nothing if none answers.
std::optional<std::uint64_t> number_in_server(const Context& context) {
  const auto answer = ask(context, "status", std::chrono::seconds(2));
  if (!answer) return std::nullopt;
  const auto* const tables = answer->if_contains("tables");
  if (tables == nullptr || !tables->is_object()) return std::nullopt;
  return base::number_from<std::uint64_t>(text(tables->get_object(), "generation"));
}

Result<Contents> contents_of(const Site& site, std::uint64_t number) {
  auto file = open_generation(site.target, number);
  if (!file) return file.error();
  auto contents = read_contents(file->get());
  if (!contents) return contents.error().in("tables/" + name_of_tables(number));
  return contents;
}

int list(const Context& context) {
  // Asked first: becoming the owner of the tables may take the right to ask away.
  const auto in_server = number_in_server(context);
  auto site = open_site(context);
  if (!site) return failed(context, site.error());
  array all;
  std::vector<std::vector<std::string>> rows;
  for (const std::uint64_t number : site->numbers) {
    auto file = open_generation(site->target, number);
    struct stat status {};
    if (!file || ::fstat(file->get(), &status) != 0) continue;
    const auto contents = read_contents(file->get());
    const bool served = in_server == number, linked = site->in_force == number;
    object one{{"number", number}, {"bytes", static_cast<std::uint64_t>(status.st_size)}, {"in_force", linked}, {"in_server", served}};
    if (contents) {
      one["built"] = base::iso8601(base::from_microseconds(contents->header.built_microseconds));
      one["tables"] = contents->names.size();
      one["entries"] = contents->entries();
    } else {
      one["error"] = contents.error().what;
    }
    rows.push_back({name_of_tables(number), contents ? text(one, "built") : "-", contents ? std::to_string(contents->names.size()) : "-",
                    contents ? std::to_string(contents->entries()) : "-", std::to_string(status.st_size),
                    contents ? std::string(linked ? "tables.db" : "") + (linked && served ? ", " : "") + (served ? "server" : "") : contents.error().what});
    all.push_back(std::move(one));
  }
  if (context.json) {
    std::cout << boost::json::serialize(all) << "\n";
    return kDone;
  }
  print_table({"FILE", "BUILT", "TABLES", "ENTRIES", "BYTES", "IN USE"}, rows);
  if (site->in_force == 0) {
    // Then a server that starts takes no mail (access-control.md 3.4).
    const auto file = base::system_files().open(site->target.descriptor.get(), "tables.db", O_RDONLY | O_NONBLOCK);
    const auto checked = file ? keyfile::check_compiled(file->get()) : Result<keyfile::CompiledHeader>(file.error());
    std::cout << "tables.db can't be used: " << (checked ? "it has no number" : checked.error().what) << "\n";
  }
  if (!in_server) std::cout << "no server answers\n";
  return kDone;
}

int show(const Context& context, const std::string* which, const std::string* table) {
  auto site = open_site(context);
  if (!site) return failed(context, site.error());
  const auto number = chosen(*site, which, site->in_force, "compiled");
  if (!number) return not_chosen(context, number.error());
  const auto contents = contents_of(*site, *number);
  if (!contents) return failed(context, contents.error());
  if (table != nullptr && !contents->tables.contains(base::lower(*table)))
    return failed(context, {Kind::not_found, "there is no table " + base::printable(*table) + " in number " + std::to_string(*number)});
  array all;
  for (const std::string& name : contents->names) {
    if (table != nullptr && !base::equal_ignoring_case(name, *table)) continue;
    if (!context.json) std::cout << name << "\n";
    for (const Listed& entry : contents->tables.at(base::lower(name))) {
      if (context.json) all.push_back(object{{"table", name}, {"pattern", entry.pattern}, {"template", entry.expansion}, {"place", entry.place}});
      else std::cout << "  " << entry.pattern << "  " << entry.expansion << (entry.place.empty() ? "" : "    ! " + entry.place) << "\n";
    }
    if (!context.json) std::cout << "\n";
  }
  if (context.json) std::cout << boost::json::serialize(all) << "\n";
  return kDone;
}

struct Difference {
  char sign;  // '+', '-', '~'
  std::string table;
  const Listed* before = nullptr;
  const Listed* after = nullptr;
};

// Entries are the same if pattern and template are; one whose template alone differs was changed. `reordered`: tables whose common
// entries stand in another order, which may matter as much.
std::vector<Difference> differences(const Contents& before, const Contents& after, std::vector<std::string>& reordered) {
  std::vector<Difference> out;
  std::vector<std::string> names = before.names;
  for (const std::string& name : after.names)
    if (!before.tables.contains(base::lower(name))) names.push_back(name);
  static const std::vector<Listed> kNone;
  for (const std::string& name : names) {
    const auto list_of = [&](const Contents& contents) -> const std::vector<Listed>& {
      const auto found = contents.tables.find(base::lower(name));
      return found == contents.tables.end() ? kNone : found->second;
    };
    const std::vector<Listed>&old_list = list_of(before), &new_list = list_of(after);
    std::multimap<std::string, std::size_t> old_whole;
    for (std::size_t i = old_list.size(); i-- > 0;) old_whole.emplace(old_list[i].pattern + '\0' + old_list[i].expansion, i);
    std::vector<bool> kept(old_list.size());
    std::vector<const Listed*> fresh;
    std::optional<std::size_t> last;
    bool another_order = false;
    for (const Listed& entry : new_list) {
      auto [first, end] = old_whole.equal_range(entry.pattern + '\0' + entry.expansion);
      if (first == end) {
        fresh.push_back(&entry);
        continue;
      }
      // The lowest that is left stands last.
      const auto lowest = std::prev(end);
      another_order |= last && lowest->second < *last;
      last = lowest->second;
      kept[lowest->second] = true;
      old_whole.erase(lowest);
    }
    std::multimap<std::string, const Listed*> by_pattern;
    for (const Listed* entry : fresh) by_pattern.emplace(entry->pattern, entry);
    for (std::size_t i = 0; i < old_list.size(); ++i) {
      if (kept[i]) continue;
      const auto match = by_pattern.find(old_list[i].pattern);
      if (match == by_pattern.end()) {
        out.push_back({'-', name, &old_list[i], nullptr});
      } else {
        out.push_back({'~', name, &old_list[i], match->second});
        by_pattern.erase(match);
      }
    }
    for (const Listed* entry : fresh) {
      auto [first, end] = by_pattern.equal_range(entry->pattern);
      if (std::any_of(first, end, [&](const auto& one) { return one.second == entry; })) out.push_back({'+', name, nullptr, entry});
    }
    if (another_order) reordered.push_back(name);
  }
  return out;
}

int diff(const Context& context, const std::string* first, const std::string* second) {
  auto site = open_site(context);
  if (!site) return failed(context, site.error());
  const auto from = chosen(*site, first, before_the_one_in_force(*site), "older");
  if (!from) return not_chosen(context, from.error());
  const auto to = chosen(*site, second, site->in_force, "compiled");
  if (!to) return not_chosen(context, to.error());
  const auto before = contents_of(*site, *from), after = contents_of(*site, *to);
  if (!before) return failed(context, before.error());
  if (!after) return failed(context, after.error());
  std::vector<std::string> reordered;
  const auto found = differences(*before, *after, reordered);
  const auto count = [&](char sign) { return std::count_if(found.begin(), found.end(), [&](const Difference& one) { return one.sign == sign; }); };
  if (context.json) {
    const auto entry = [](const Listed& listed) { return object{{"pattern", listed.pattern}, {"template", listed.expansion}, {"place", listed.place}}; };
    array list;
    for (const Difference& one : found) {
      object item{{"table", one.table}, {"change", one.sign == '+' ? "added" : one.sign == '-' ? "removed" : "changed"}};
      if (one.before != nullptr) item["before"] = entry(*one.before);
      if (one.after != nullptr) item["after"] = entry(*one.after);
      list.push_back(std::move(item));
    }
    array order;
    for (const std::string& name : reordered) order.emplace_back(name);
    std::cout << boost::json::serialize(object{{"from", *from}, {"to", *to}, {"entries", std::move(list)}, {"another_order", std::move(order)}}) << "\n";
    return kDone;
  }
  std::cout << "from " << *from << " to " << *to << ": " << count('+') << " added, " << count('-') << " removed, " << count('~') << " changed\n";
  std::string table;
  for (const Difference& one : found) {
    if (one.table != table) std::cout << "\n" << one.table << "\n";
    table = one.table;
    const auto line = [](char sign, const Listed& entry) {
      std::cout << sign << " " << entry.pattern << "  " << entry.expansion << (entry.place.empty() ? "" : "    ! " + entry.place) << "\n";
    };
    if (one.before != nullptr) line('-', *one.before);
    if (one.after != nullptr) line('+', *one.after);
  }
  for (const std::string& name : reordered) std::cout << "\n" << name << ": its entries stand in another order\n";
  return kDone;
}

int rollback(const Context& context, const std::string* which) {
  const auto server_before = number_in_server(context);
  auto site = open_site(context);
  if (!site) return failed(context, site.error());
  const auto number = chosen(*site, which, before_the_one_in_force(*site), "older");
  if (!number) return not_chosen(context, number.error());
  if (*number == site->in_force) return failed(context, {Kind::invalid, "number " + std::to_string(*number) + " is in force already"});
  // One that a server would refuse is no way back.
  if (const auto contents = contents_of(*site, *number); !contents) return failed(context, contents.error());
  auto numbered = lock_generations(site->target);
  if (!numbered) return failed(context, numbered.error());
  if (auto put = put_in_force(site->target, numbered->get(), *number); !put) return failed(context, put.error());

  bool taken = false;
  if (server_before) {
    const auto until = std::chrono::steady_clock::now() + kNoticed;
    for (;;) {
      const auto now = number_in_server(context);
      taken = now == *number;
      if (taken || !now || std::chrono::steady_clock::now() >= until) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
  if (context.json) {
    std::cout << boost::json::serialize(object{{"number", *number}, {"before", site->in_force}, {"in_server", taken}}) << "\n";
  } else {
    std::cout << "number " << *number << " is in the place of " << site->in_force
              << (taken ? ": the server has it\n" : server_before ? ": the server has not said so yet, see its log\n" : ": no server answers\n");
    std::cout << "the texts are as they were: the next postern-compile makes tables of them again\n";
  }
  return kDone;
}

int observed(const Context& context) {
  const auto answer = ask(context, "status");
  if (!answer) return fail(context, answer.error());
  if (context.json) {
    const auto* const list = answer->if_contains("observed");
    std::cout << (list == nullptr ? "[]" : boost::json::serialize(*list)) << "\n";
    return kDone;
  }
  std::vector<std::vector<std::string>> rows;
  each(*answer, "observed", [&](const object& one) { rows.push_back({text(one, "table"), text(one, "probes"), text(one, "differs"), text(one, "open")}); });
  if (rows.empty()) std::cout << "nothing was observed since these tables are in force\n";
  else print_table({"TABLE", "PROBES", "DIFFER", "OPEN"}, rows);
  return kDone;
}

}  // namespace

const char* const kTablesDetails =
    "  list                   the compiled files that are kept, and which is in use\n"
    "  show [N [TABLE]]       the entries of one, as the compiler keeps them (default: the one in use)\n"
    "  diff [N [M]]           entries added, removed and changed from N to M (default: from the one before to the one in use)\n"
    "  rollback [N]           put an older one in force at once (default: the one before)\n"
    "  observed               how often the tables OBSERVE_X would have said something else, since these tables are in force\n"
    "More: posternctl-tables(8)\n";

int run_compile(const Context& context, const std::vector<std::string>& arguments) {
  const std::string& path = context.configuration_path;
  const std::size_t slash = path.rfind('/');
  std::vector<std::string> all = arguments;
  const bool replay = std::any_of(all.begin(), all.end(), [](const std::string& argument) { return argument.starts_with("--replay"); });
  if (context.json && replay) all.emplace_back("--json");
  return compile_site("posternctl compile", slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash), all);
}

int run_tables(const Context& context, const std::vector<std::string>& arguments) {
  if (arguments.empty()) return usage(context, "tables wants list, show, diff, rollback or observed");
  const std::string& what = arguments[0];
  const std::string* const first = arguments.size() > 1 ? &arguments[1] : nullptr;
  const std::string* const second = arguments.size() > 2 ? &arguments[2] : nullptr;
  const std::map<std::string, std::size_t> most{{"list", 1}, {"show", 3}, {"diff", 3}, {"rollback", 2}, {"observed", 1}};
  const auto known = most.find(what);
  if (known == most.end()) return usage(context, "there is no command tables " + base::printable(what));
  if (arguments.size() > known->second) return usage(context, "tables " + what + ": too many arguments");
  if (what == "list") return list(context);
  if (what == "show") return show(context, first, second);
  if (what == "diff") return diff(context, first, second);
  if (what == "rollback") return rollback(context, first);
  return observed(context);
}

}  // namespace postern::tools
