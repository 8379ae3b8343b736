// SPDX-License-Identifier: Apache-2.0
#include "tools/replay_report.h"

#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "mapping/effect.h"
#include "mapping/listing.h"
#include "net/address.h"
#include "tools/progress.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <map>
#include <tuple>

namespace postern::tools {
namespace {

constexpr int kSame = 0, kChanges = 1, kFailed = 2;
constexpr std::int64_t kMicrosecondsADay = std::int64_t{24} * 3600 * 1'000'000;
// Wider columns are not padded to: one long text would push everything out of the window.
constexpr std::size_t kWidestEffect = 44, kWidestPlace = 44;

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string plural(std::uint64_t number, const char* one, const char* more) { return grouped(number) + " " + (number == 1 ? one : more); }

// Texts of the entries that decided, by table, file and line.
using Key = std::tuple<std::string, std::string, int>;
using Texts = std::map<Key, std::string>;

Key key_of(const mapping::AccessResult& result) { return {base::lower(result.table), result.file, result.line}; }

// Fills in the texts of those that are asked for.
Result<void> find_texts(Result<std::string> bytes, Texts& texts) {
  if (!bytes) return bytes.error();
  const auto image = mapping::Image::own(std::move(*bytes));
  if (!image) return image.error();
  mapping::list_entries(**image, [&](const mapping::ListedEntry& entry) {
    const auto wanted = texts.find({base::lower(entry.table), std::string(entry.file), static_cast<int>(entry.line)});
    if (wanted != texts.end()) wanted->second = entry.text();
  });
  return {};
}

std::string place_of(const mapping::AccessResult& result) { return result.line == 0 ? "-" : result.file + ":" + std::to_string(result.line); }

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

void print_text(const ReplayRequest& request, const rehearsal::ProbeStore::Replayed& replayed, const Texts& before, const Texts& after) {
  std::string first = "of " + plural(replayed.probes, "probe", "probes") + ", " + plural(replayed.changed, "changes", "change");
  if (replayed.distinct != replayed.probes) first += " (" + grouped(replayed.distinct) + " different probes)";
  std::cout << first << "\n";
  if (replayed.open != 0) {
    std::cout << plural(replayed.open, "depends", "depend") << " on what is asked outside, and can't be told:";
    for (const auto& [why, count] : replayed.open_because) std::cout << " " << why << " " << grouped(count);
    std::cout << "\n";
  }
  std::size_t effect_width = 0, place_width = 0;
  for (const auto& change : replayed.changes)
    for (const auto* result : {&change.before, &change.after}) {
      effect_width = std::max(effect_width, std::min(kWidestEffect, mapping::effect_text(*result).size()));
      place_width = std::max(place_width, std::min(kWidestPlace, place_of(*result).size()));
    }
  for (const auto& change : replayed.changes) {
    const std::string flags = change.probe.input.letters();
    std::cout << "\n" << mapping::kAskedTables[change.probe.table] << "  " << base::printable(change.probe.text, mapping::kMaxProbeBytes)
              << (flags.empty() ? "" : "  flags " + flags) << "  (" << plural(change.count, "time", "times") << ")\n";
    const auto line = [&](const char* name, const mapping::AccessResult& result, const Texts& texts) {
      const auto text = texts.find(key_of(result));
      std::string out = std::string("  ") + name + "  " + padded(mapping::effect_text(result), effect_width) + "  " + padded(place_of(result), place_width) +
                        "  " + (text == texts.end() ? "" : base::printable(text->second, 2000));
      while (out.ends_with(' ')) out.pop_back();
      std::cout << out << "\n";
    };
    line("now", change.before, before);
    line("new", change.after, after);
  }
  if (replayed.changes_left_out != 0) std::cout << "\n… and " << plural(replayed.changes_left_out, "more probe", "more probes") << " that change\n";
  if (replayed.damaged != 0) std::cerr << request.program << ": " << plural(replayed.damaged, "probe makes", "probes make") << " no sense\n";
}

boost::json::object to_json(const mapping::AccessResult& result, const Texts& texts) {
  boost::json::object out{{"answer", result.refuse || result.step_limit_exceeded ? "deny" : result.restricted ? "restrict" : "allow"},
                          {"matched", result.matched},
                          {"effect", mapping::effect_text(result)}};
  if (result.line == 0) return out;
  out["file"] = base::printable(result.file, 4096);
  out["line"] = result.line;
  if (const auto text = texts.find(key_of(result)); text != texts.end()) out["entry"] = base::printable(text->second, 4096);
  return out;
}

void print_json(const rehearsal::ProbeStore::Replayed& replayed, std::uint64_t generation, const Texts& before, const Texts& after) {
  boost::json::array changes;
  for (const auto& change : replayed.changes)
    changes.push_back(boost::json::object{{"table", mapping::kAskedTables[change.probe.table]},
                                          {"probe", base::printable(change.probe.text, mapping::kMaxProbeBytes)},
                                          {"flags", change.probe.input.letters()},
                                          {"count", change.count},
                                          {"now", to_json(change.before, before)},
                                          {"new", to_json(change.after, after)}});
  boost::json::object open_because;
  for (const auto& [why, count] : replayed.open_because) open_because[base::printable(why)] = count;
  const boost::json::object out{{"probes", replayed.probes},   {"different", replayed.distinct},         {"changed", replayed.changed},
                                {"open", replayed.open},       {"open_because", std::move(open_because)}, {"generation", generation},
                                {"changes", std::move(changes)}, {"changes_left_out", replayed.changes_left_out}};
  std::cout << boost::json::serialize(out) << "\n";
}

}  // namespace

Result<void> open_replay(ReplayRequest& request, const Place& target) {
  if (request.base_directory.empty())
    return Error{Kind::denied, "--replay needs a postern.conf that this user may rely on: it says where probes are kept"};
  auto file = base::system_files().open(target.descriptor.get(), "tables.db", O_RDONLY);
  if (!file) return file.error().in("there are no tables in force to compare with: " + target.path);
  request.tables_in_force = std::move(*file);

  // Each file stays open until it was read.
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  const std::int64_t since = request.days == 0 ? 0 : base::to_microseconds(base::wall_now()) - request.days * kMicrosecondsADay;
  for (const char* const name : {"network", "mail"}) {
    auto directory = open_place(request.base_directory + "/rehearsal/" + name);
    if (!directory) {
      if (directory.error().kind == Kind::not_found) continue;
      return directory.error();
    }
    if (std::string_view(name) == "network") {
      request.owner = directory->status.st_uid;
      request.group = directory->status.st_gid;
    }
    for (auto& opened : rehearsal::open_probe_files(directory->descriptor.get(), since, [&](const std::string& trouble) {
           std::cerr << request.program << ": rehearsal/" << name << "/" << trouble << "\n";
         }))
      request.files.push_back(std::move(opened));
  }
  if (request.files.empty())
    return Error{Kind::not_found, std::string("no probes are kept") + (request.days == 0 ? "" : " of this time") +
                                      (request.kept_now ? ": there were none yet" : ": rehearsal.enabled in postern.conf is false")};
  return {};
}

int run_replay(ReplayRequest& request, const mapping::Compilation& compilation) {
  const auto fail = [&](const Error& error) {
    std::cerr << request.program << ": " << error.what << "\n";
    return kFailed;
  };
  // What the sessions of another user wrote is read as that user.
  if (::geteuid() == 0 && request.owner != 0 &&
      (::setgroups(0, nullptr) != 0 || ::setresgid(request.group, request.group, request.group) != 0 ||
       ::setresuid(request.owner, request.owner, request.owner) != 0))
    return fail(system_error(errno, "become the owner of the probes"));

  const auto as_tables = [](Result<std::string> image) -> Result<mapping::Tables> {
    if (!image) return image.error();
    return mapping::Tables::from_bytes(std::move(*image));
  };
  const auto before = as_tables(mapping::image_of_compiled(request.tables_in_force.get()));
  if (!before) return fail(before.error().in("the tables in force"));
  const auto after = as_tables(mapping::lay_out(compilation, 0, 0));
  if (!after) return fail(after.error());

  Progress progress;
  const std::int64_t since = request.days == 0 ? 0 : base::to_microseconds(base::wall_now()) - request.days * kMicrosecondsADay;
  rehearsal::ProbeStore store;
  store.load(request.files, since, [&](const std::string& trouble) {
    progress.clear();
    std::cerr << request.program << ": " << trouble << "\n";
  }, [&](std::uint64_t done, std::uint64_t all) { progress.show(done, all, "reading probes"); });
  const rehearsal::KnownAnswer known = [&](const mapping::Question& question) -> std::optional<std::optional<std::string>> {
    if (question.kind != mapping::Question::Kind::call_out || question.name != "postern" || question.routine != "client") return std::nullopt;
    const auto address = net::Address::parse(question.argument);
    return address && request.clients.contains(*address) ? std::optional<std::string>("") : std::optional<std::string>();
  };
  const auto replayed = store.replay(*before, *after, known, [&](std::uint64_t done, std::uint64_t all) { progress.show(done, all, "asking again"); });
  progress.clear();

  // Only now, and only if there is something to show, the tables are laid out once more to find the texts.
  Texts old_texts, new_texts;
  for (const auto& change : replayed.changes) {
    if (change.before.line != 0) old_texts[key_of(change.before)];
    if (change.after.line != 0) new_texts[key_of(change.after)];
  }
  if (!old_texts.empty())
    if (auto found = find_texts(mapping::image_of_compiled(request.tables_in_force.get()), old_texts); !found) return fail(found.error());
  if (!new_texts.empty())
    if (auto found = find_texts(mapping::lay_out(compilation, 0, 0), new_texts); !found) return fail(found.error());
  if (request.json) print_json(replayed, before->generation(), old_texts, new_texts);
  else print_text(request, replayed, old_texts, new_texts);
  return replayed.changed == 0 ? kSame : kChanges;
}

}  // namespace postern::tools
