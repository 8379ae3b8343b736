// SPDX-License-Identifier: Apache-2.0
#include "tools/compile_site.h"

#include "base/files.h"
#include "base/text.h"
#include "conf/configuration.h"
#include "conversion/entries.h"
#include "delivery/filter_check.h"
#include "mapping/compile.h"
#include "mapping/tables.h"
#include "policy/channels.h"
#include "tools/generations.h"
#include "tools/progress.h"
#include "tools/replay_report.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>

namespace postern::tools {
namespace {

constexpr int kFine = 0, kWarnings = 1, kErrors = 2;
constexpr mode_t kFileMode = 0644;

struct Options {
  std::string directory, output;
  bool check = false, strict = false, stats = false, help = false, json = false;
  std::optional<unsigned> replay_days;  // --replay; 0: all that is kept
};

constexpr char kUsageText[] =
    "Usage: postern-compile [--config DIR|FILE] [--output FILE] [--check] [--strict] [--stats]\n"
    "       postern-compile [--config DIR|FILE] --replay[=DAYS] [--json]\n"
    "\n"
    "Compiles DIR/mappings, DIR/general.txt and DIR/aliases into DIR/tables.db, and checks conversions and system filters.\n"
    "  -c, --config DIR   the configuration directory, or a file in it (postern.conf)\n"
    "  -o, --output FILE  write this one file instead, without a number\n"
    "      --check        write nothing\n"
    "      --strict       warnings count as errors: exit status 1, nothing is written\n"
    "      --stats        tables, entries, bytes and times\n"
    "      --replay[=DAYS] write nothing; ask the new tables what was asked in the last days (rehearsal in postern.conf),\n"
    "                     and print what would change\n"
    "      --json         with --replay: for programs\n"
    "  -h, --help         this text\n"
    "      --version      print the version\n"
    "\n"
    "Exit status: 0 fine, 1 warnings with --strict, or something changes with --replay, 2 errors or wrong usage (tables.db stays as it\n"
    "was). More: postern-compile(8)\n";

std::optional<Options> options_from(const std::string& program, const std::string& default_directory, const std::vector<std::string>& arguments) {
  Options options;
  options.directory = default_directory;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string name = arguments[i];
    std::optional<std::string> value;
    if (const std::size_t equals = name.find('='); name.starts_with("--") && equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    const bool takes_value = name == "--config" || name == "-c" || name == "--output" || name == "-o";
    if (takes_value && !value) {
      if (++i == arguments.size()) {
        std::cerr << program << ": " << name << " needs a value\n";
        return std::nullopt;
      }
      value = arguments[i];
    }
    if (takes_value) {
      (name == "--config" || name == "-c" ? options.directory : options.output) = *value;
    } else if (name == "--replay") {
      options.replay_days = value ? base::number_from<unsigned>(*value) : 0U;
      if (!options.replay_days || (value && *options.replay_days == 0)) {
        std::cerr << program << ": --replay wants a number of days, found " << *value << "\n";
        return std::nullopt;
      }
    } else if (!value && name == "--json") {
      options.json = true;
    } else if (!value && name == "--check") {
      options.check = true;
    } else if (!value && name == "--strict") {
      options.strict = true;
    } else if (!value && name == "--stats") {
      options.stats = true;
    } else if (!value && (name == "--help" || name == "-h")) {
      options.help = true;
    } else {
      std::cerr << program << ": unknown argument " << arguments[i] << "\n" << kUsageText;
      return std::nullopt;
    }
  }
  if (options.replay_days && !options.output.empty()) {
    std::cerr << program << ": --replay writes nothing: --output can't go with it\n";
    return std::nullopt;
  }
  if (options.json && !options.replay_days) {
    std::cerr << program << ": --json goes with --replay\n";
    return std::nullopt;
  }
  // The paths of the sources go into the compiled file and from there into the log: they must say where.
  options.directory = std::filesystem::absolute(options.directory).lexically_normal().string();
  while (options.directory.size() > 1 && options.directory.ends_with('/')) options.directory.pop_back();
  // A file in it, as posternd and posternctl take it, means the directory.
  std::error_code ignored;
  if (std::filesystem::is_regular_file(options.directory, ignored)) options.directory = std::filesystem::path(options.directory).parent_path().string();
  return options;
}

// Files of the directory are read through its descriptor: its owner may be unable to pass the directories above it.
Result<std::string> read_below(const Place& place, const std::string& path) {
  const std::string prefix = place.path + "/";
  if (path.starts_with(prefix)) return mapping::read_source_file("/proc/self/fd/" + std::to_string(place.descriptor.get()) + "/" + path.substr(prefix.size()));
  return mapping::read_source_file(path);
}

// The user that the server's sessions run as; nothing if there is no such user.
struct ServiceUser {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
};
std::optional<ServiceUser> service_user(const std::string& name) {
  const passwd* const entry = ::getpwnam(name.c_str());
  if (entry == nullptr) return std::nullopt;
  return ServiceUser{name, entry->pw_uid, entry->pw_gid};
}

// By the file's own mode: what the directories above let through is the site's affair.
bool may_read(const ServiceUser& user, const struct stat& file) {
  const mode_t bit = file.st_uid == user.uid ? S_IRUSR : file.st_gid == user.gid ? S_IRGRP : S_IROTH;
  return user.uid == 0 || (file.st_mode & bit) != 0;
}

bool is_there(const Place& place, const std::string& name) { return ::faccessat(place.descriptor.get(), name.c_str(), F_OK, 0) == 0; }

std::uint64_t generation_of(int directory, const std::string& name) {
  const auto file = base::system_files().open(directory, name, O_RDONLY);
  if (!file) return 0;
  const auto header = keyfile::check_compiled(file->get());
  return header ? header->generation : 0;
}

// Reads back what was written, by the way that the server takes.
Result<void> prove(int directory, const std::string& name) {
  auto file = base::system_files().open(directory, name, O_RDONLY);
  if (!file) return file.error();
  auto image = mapping::image_of_compiled(file->get());
  if (!image) return image.error();
  auto tables = mapping::Tables::from_bytes(std::move(*image));
  if (!tables) return tables.error();
  return {};
}

// Writes the next numbered file and makes it the one in use; returns its number.
Result<std::uint64_t> install(const mapping::Compilation& compilation, const Place& target, std::size_t kept) {
  auto numbered = lock_generations(target);
  if (!numbered) return numbered.error();
  const auto numbers = generation_numbers(target);
  if (!numbers) return numbers.error();
  const std::uint64_t number = std::max(number_in_force(target), numbers->empty() ? 0 : numbers->back()) + 1;
  const std::string name = name_of_tables(number);
  if (auto written = mapping::write_tables(compilation, numbered->get(), name, kFileMode, number, false); !written) return written.error();
  if (auto proved = prove(numbered->get(), name); !proved) {
    [[maybe_unused]] const auto removed = base::system_files().unlink(numbered->get(), name);
    return proved.error().in("what was written does not read back");
  }
  if (auto put = put_in_force(target, numbered->get(), number); !put) return put.error();
  remove_oldest(target, numbered->get(), kept);
  return number;
}

Result<std::uint64_t> write_output(const mapping::Compilation& compilation, const Place& target, const std::string& name) {
  const std::uint64_t number = generation_of(target.descriptor.get(), name) + 1;
  if (auto written = mapping::write_tables(compilation, target.descriptor.get(), name, kFileMode, number, true); !written) return written.error();
  if (auto proved = prove(target.descriptor.get(), name); !proved) return proved.error();
  return number;
}

double seconds_since(std::chrono::steady_clock::time_point start) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); }

}  // namespace

int compile_site(const std::string& program, const std::string& default_directory, const std::vector<std::string>& arguments) {
  const auto options = options_from(program, default_directory, arguments);
  if (!options) return kErrors;
  if (options->help) {
    std::fputs(kUsageText, stdout);
    return kFine;
  }
  const auto fail = [&](const Error& error) {
    std::cerr << program << ": " << error.what << "\n";
    return kErrors;
  };
  auto source = open_place(options->directory);
  if (!source) return fail(source.error());

  // Where to: --output, or what postern.conf says, or beside the sources.
  std::string target_path = options->directory, output_name;
  std::optional<std::set<std::string>> throttles, channels;
  std::vector<conf::Mistake> beside;  // in conversions and the administrator's filters
  std::optional<ServiceUser> user;
  std::optional<bool> access_orcpt;
  std::size_t kept = conf::Configuration().tables_kept;
  ReplayRequest replay;
  if (!options->output.empty()) {
    const std::size_t slash = options->output.rfind('/');
    target_path = slash == std::string::npos ? "." : slash == 0 ? "/" : options->output.substr(0, slash);
    output_name = options->output.substr(slash == std::string::npos ? 0 : slash + 1);
    if (output_name.empty()) return fail({Kind::invalid, options->output + " is a directory"});
  } else if (source->status.st_uid == 0 || ::geteuid() != 0) {
    // Root reads a configuration only from a directory of root's; the owner of another one could have it include what he may not read.
    if (is_there(*source, "postern.conf")) {
      const conf::Loaded loaded = conf::load(options->directory + "/postern.conf");
      for (const auto& mistake : loaded.mistakes)
        if (!mistake.warning) std::cerr << mistake.to_string() << "\n";
      if (!loaded.usable()) return fail({Kind::invalid, "postern.conf must be right first: it says where tables.db is"});
      access_orcpt = loaded.configuration.access.access_orcpt;
      throttles.emplace();
      for (const auto& table : loaded.configuration.throttle) throttles->insert(base::lower(table.name));
      std::vector<conf::Mistake> mistakes;
      const policy::Channels known = policy::Channels::parse(loaded.configuration.channels, mistakes);
      channels.emplace();
      for (const auto& [name, channel] : known.all()) channels->insert(name);
      beside = conversion::check(loaded.configuration);
      for (conf::Mistake& mistake : delivery::check_filters(loaded.configuration)) beside.push_back(std::move(mistake));
      if (!loaded.configuration.tables_directory.empty()) target_path = loaded.configuration.tables_directory;
      kept = loaded.configuration.tables_kept;
      // Without root the server runs as whoever starts it.
      if (::geteuid() == 0) user = service_user(loaded.configuration.users.network);
      replay.base_directory = loaded.configuration.base_directory;
      replay.clients = loaded.configuration.client_addresses;
      replay.kept_now = loaded.configuration.rehearsal.enabled;
    }
  }
  auto target = open_place(target_path);
  if (!target) return fail(target.error());
  if (options->replay_days) {
    replay.program = program;
    replay.days = *options->replay_days;
    replay.json = options->json;
    // While this process may still read everything.
    if (auto opened = open_replay(replay, *target); !opened) return fail(opened.error());
  }
  // A source directory that is not root's is not read by root either.
  if (auto became = become_owner(*source); !became) return fail(became.error());

  const auto started = std::chrono::steady_clock::now();
  Progress progress;
  mapping::CompileInput input;
  // access-control.md 1.1: the service's user can read the text, too.
  std::vector<std::string> unreadable;
  input.read = [&](const std::string& path) {
    struct stat status {};
    if (user && ::stat(path.c_str(), &status) == 0 && !may_read(*user, status)) unreadable.push_back(path);
    return read_below(*source, path);
  };
  input.throttles = std::move(throttles);
  input.access_orcpt = access_orcpt;
  input.channels = std::move(channels);
  input.progress = [&](std::uint64_t done, std::uint64_t all) { progress.show(done, all); };
  if (is_there(*source, "mappings")) input.mappings = options->directory + "/mappings";
  if (is_there(*source, "general.txt")) input.general = options->directory + "/general.txt";
  if (is_there(*source, "aliases")) input.aliases = options->directory + "/aliases";
  const mapping::Compilation compilation = mapping::compile(input);
  const double compile_seconds = seconds_since(started);
  progress.clear();

  std::size_t warnings = compilation.warnings, errors = compilation.errors;
  if (input.mappings.empty()) {
    std::cerr << options->directory << "/mappings: warning W16: there is no such file: the tables are empty\n";
    ++warnings;
  }
  for (const std::string& path : unreadable) {
    std::cerr << path << ": warning W24: the server's user " << user->name << " can't read it (chmod o+r, or give it that user's group)\n";
    ++warnings;
  }
  for (const mapping::Message& message : compilation.messages) std::cerr << message.to_string() << "\n";
  for (const conf::Mistake& mistake : beside) {
    ++(mistake.warning ? warnings : errors);
    std::cerr << mistake.place.file << ":" << mistake.place.line << (mistake.warning ? ": warning W30: " : ": error E17: ") << mistake.setting << ": " << mistake.text << "\n";
  }
  if (compilation.errors + compilation.warnings > mapping::kMaxMessages)
    std::cerr << program << ": … " << compilation.errors << " errors and " << compilation.warnings << " warnings in all\n";
  if (errors != 0) {
    std::cerr << program << ": " << errors << (errors == 1 ? " error" : " errors") << ": nothing was written\n";
    return kErrors;
  }
  if (options->strict && warnings != 0) {
    std::cerr << program << ": " << warnings << (warnings == 1 ? " warning" : " warnings") << ": nothing was written\n";
    return kWarnings;
  }

  if (options->replay_days) return run_replay(replay, compilation);

  const auto writing = std::chrono::steady_clock::now();
  std::string result = "fine, nothing was written";
  if (!options->check) {
    progress.show("writing");
    if (auto became = become_owner(*target); !became) return fail(became.error());
    auto number = output_name.empty() ? install(compilation, *target, kept) : write_output(compilation, *target, output_name);
    progress.clear();
    if (!number) return fail(number.error());
    result = (output_name.empty() ? target->path + "/tables.db" : options->output) + " is number " + std::to_string(*number);
  }
  std::cout << result << ": " << compilation.tables.size() << (compilation.tables.size() == 1 ? " table, " : " tables, ") << compilation.entries()
            << (compilation.entries() == 1 ? " entry\n" : " entries\n");
  if (options->stats) {
    std::size_t bytes = 0;
    for (const auto& table : compilation.tables) {
      std::printf("%-32s %10zu entries %12zu bytes\n", table.name.c_str(), table.entries, table.records.size());
      bytes += table.records.size();
    }
    std::printf("%-32s %10zu entries\n%-32s %10zu entries\n", "general.txt", compilation.general.size(), "aliases", compilation.aliases.size());
    std::printf("%-32s %10zu entries %12zu bytes\n", "all tables", compilation.entries(), bytes);
    std::printf("read and compiled in %.3f s, written in %.3f s\n", compile_seconds, seconds_since(writing));
  }
  return kFine;
}

}  // namespace postern::tools
