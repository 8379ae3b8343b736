// SPDX-License-Identifier: Apache-2.0
// posternctl: the administrator's one command (posternctl(8)).
#include "config.h"

#include "tools/posternctl.h"

#include "base/files.h"
#include "base/text.h"
#include "install_directories.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <optional>

namespace postern::tools {
namespace {

const Command kCommands[] = {
    {"status", "", "what the server does: listeners, sockets, refusals, children, backlog", "posternctl", run_status},
    {"sessions", "", "the present sessions", "posternctl", run_sessions},
    {"limits", "ADDRESS", "which limits hold for an address, and why", "posternctl-gate", run_limits},
    {"address", "ADDRESS", "what the server knows of an address: sessions, refusals, failures, blocks", "posternctl-gate", run_address},
    {"block", "ADDRESS|NETWORK [--for TIME|--for-ever] [--reason TEXT]", "refuse connections from there from now on", "posternctl-gate", run_block, kBlockDetails},
    {"unblock", "ADDRESS|NETWORK", "end a block, and those inside the network", "posternctl-gate", run_unblock},
    {"blocked", "", "who is blocked, by whom and for how long", "posternctl-gate", run_blocked},
    {"throttle", "list|show|reset …", "the counters behind $[postern:throttle] in mappings", "posternctl", run_throttle, kThrottleDetails},
    {"listener", "show|check [FILE]", "listeners with settings, sockets and figures; what a reload would do", "posternctl", run_listener, kListenerDetails},
    {"reload", "", "take the configuration over as a whole, or say what is wrong with it", "posternctl", run_reload},
    {"upgrade", "", "execute the program file anew, with all sockets and sessions kept; waits for the end", "posternctl", run_upgrade},
    {"stop", "", "finish what is in flight, then stop; waits for the end", "posternctl", run_stop},
    {"domain", "add|list|remove|filter …", "the mail domains of this server", "posternctl-domain", run_domain, kDomainDetails},
    {"account", "add|passwd|change|show|list|enable|disable|remove|filter|script …", "accounts: passwords, attributes and filters", "posternctl-account", run_account, kAccountDetails},
    {"alias", "add|change|list|show|remove …", "addresses that stand for others", "posternctl-alias", run_alias, kAliasDetails},
    {"group", "add|change|list|show|remove …", "lists: addresses with members", "posternctl-group", run_group, kGroupDetails},
    {"directory", "dump [FILE]|load FILE", "all domains, accounts, aliases and groups as text, and back", "posternctl-directory", run_directory, kDirectoryDetails},
    {"dkim", "make|activate|deactivate|list|show|remove …", "keys that sign a domain's mail, and the records to publish", "posternctl-dkim", run_dkim, kDkimDetails},
    {"addressbook", "list|show|add|remove|import …", "address books of an account, for its filters", "posternctl-addressbook", run_address_book, kAddressBookDetails},
    {"folder", "list|use|note …", "folders of an account: ids, special uses, annotations", "posternctl-folder", run_folder, kFolderDetails},
    {"certificate", "make|show …", "certificates for TLS: make one, or see what is served", "posternctl-certificate", run_certificate, kCertificateDetails},
    {"queue", "list|show|stats|flush|retry|hold|release|bounce|remove …", "messages that wait, are held, or could not be read", "posternctl-queue", run_queue, kQueueDetails},
    {"discarded", "list|show|restore|remove …", "messages that filters discarded, and how they come back", "posternctl-discarded", run_discarded, kDiscardedDetails},
    {"filter", "rehearse|apply ACCOUNT [FILE] …", "a Sieve script over the messages that are in a mailbox already", "posternctl-filter", run_filter, kFilterDetails},
    {"probe", "--table NAME [--trace] [STRING]", "what a table answers, and why", "posternctl-probe", run_probe, probe_details().c_str()},
    {"match", "PATTERN STRING", "whether a pattern matches, and what its wildcards take", "posternctl-probe", run_match,
     "Exit status: 0 it matches, 1 it does not, 2 the pattern is wrong.\n"},
    {"access", "--client IP[:PORT] [--from ADDRESS --rcpt ADDRESS …] …", "the whole decision about a message, step by step", "posternctl-probe", run_access, access_details().c_str()},
    {"rewrite", "ADDRESS [--backward] [--check-expansions]", "what becomes of an address, rule by rule", "posternctl-probe", run_rewrite, rewrite_details().c_str()},
    {"tables", "list|show|diff|rollback|observed …", "compiled tables that are kept: what differs, and the way back", "posternctl-tables", run_tables, kTablesDetails},
    {"resolve", "NAME|ADDRESS [TYPE]", "what DNS says, as the server sees it", "posternctl", run_resolve, kResolveDetails},
    {"tls-policy", "DOMAIN|report …", "which TLS a domain's mail hosts must have, and why; how it came out", "posternctl", run_tls_policy, kTlsPolicyDetails},
    {"compile", "[--output FILE] [--check] [--strict] [--stats]", "compile the tables beside the configuration, as postern-compile does", "postern-compile", run_compile},
};

// Columns as a terminal shows them: one for each character of UTF-8, not for each byte.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

void print_help(std::FILE* to) {
  std::fputs("Usage: posternctl [--config FILE] [--json] COMMAND [ARGUMENT …]\n\nCommands:\n", to);
  std::size_t width = std::string_view("help [COMMAND]").size();
  const auto left = [](const Command& command) {
    return std::string(command.name) + (command.arguments[0] == '\0' ? "" : " ") + command.arguments;
  };
  for (const auto& command : kCommands) width = std::max(width, columns(left(command)));
  width = std::min<std::size_t>(width, 36);
  for (const auto& command : kCommands) {
    const std::string text = left(command);
    const std::size_t taken = columns(text);
    // What is wider than the column has its summary on the next line.
    if (taken > width) std::fprintf(to, "  %s\n  %*s  %s\n", text.c_str(), static_cast<int>(width), "", command.summary);
    else std::fprintf(to, "  %s%*s  %s\n", text.c_str(), static_cast<int>(width - taken), "", command.summary);
  }
  std::fprintf(to,
               "  %-*s  %s\n\nOptions:\n"
               "  -c, --config FILE   configuration of the server (default: %s/postern.conf)\n"
               "      --json          machine-readable answers\n"
               "      --version       print the version\n"
               "  -h, --help          this text\n\n"
               "Exit status: 0 done, 1 it could not be done (or: no match), 2 wrong usage or configuration, 3 needs a restart.\n"
               "More: posternctl(8)\n",
               static_cast<int>(width), "help [COMMAND]", "this text, or one command's", POSTERN_SYSCONFDIR);
}

const Command* find(std::string_view name) {
  for (const auto& command : kCommands)
    if (command.name == name) return &command;
  return nullptr;
}

int print_command_help(const Command& command) {
  std::printf("Usage: posternctl %s%s%s\n  %s\n%sMore: %s(8)\n", command.name, command.arguments[0] == '\0' ? "" : " ", command.arguments, command.summary,
              command.details, command.manual);
  return kDone;
}

void print_json_error(const Context& context, const std::string& text) {
  if (!context.json) return;
  std::puts(boost::json::serialize(boost::json::object{{"error", text}}).c_str());
}

int run(const std::vector<std::string>& arguments) {
  Context context;
  context.configuration_path = POSTERN_SYSCONFDIR "/postern.conf";
  std::optional<std::string> name;
  std::vector<std::string> rest;
  bool help = false, options = true;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (options && argument == "--") {
      options = false;
      if (name) rest.push_back(argument);
    } else if (options && argument == "--json") {
      context.json = true;
    } else if (options && (argument == "--config" || (argument == "-c" && !name))) {
      if (++i == arguments.size()) {
        std::cerr << "posternctl: " << argument << " wants a file\n";
        return kUsage;
      }
      context.configuration_path = arguments[i];
    } else if (options && argument.starts_with("--config=")) {
      context.configuration_path = argument.substr(9);
    } else if (options && (argument == "--help" || argument == "-h")) {
      help = true;
    } else if (options && !name && argument == "--version") {
      std::puts("posternctl " PACKAGE_VERSION);
      return kDone;
    } else if (!name) {
      if (options && argument.starts_with("-")) {
        std::cerr << "posternctl: there is no option " << argument << "; try: posternctl --help\n";
        return kUsage;
      }
      name = argument;
    } else {
      rest.push_back(argument);
    }
  }
  if (!name || *name == "help") {
    if (name && !rest.empty()) {
      if (const Command* const command = find(rest[0])) return print_command_help(*command);
      std::cerr << "posternctl: there is no command " << rest[0] << "\n";
      return kUsage;
    }
    if (!name && !help) {
      print_help(stderr);
      return kUsage;
    }
    print_help(stdout);
    return kDone;
  }
  const Command* const command = find(*name);
  if (command == nullptr) {
    std::cerr << "posternctl: there is no command " << *name << "; try: posternctl help\n";
    return kUsage;
  }
  if (help) return print_command_help(*command);

  std::optional<conf::Configuration> loaded;
  base::Descriptor base_directory;
  context.configuration = [&]() -> const conf::Configuration& {
    if (!loaded) {
      conf::Loaded read = conf::load(context.configuration_path);
      if (!read.usable()) {
        std::string all;
        for (const auto& mistake : read.mistakes)
          if (!mistake.warning) {
            std::cerr << mistake.to_string() << "\n";
            all += (all.empty() ? "" : "\n") + mistake.to_string();
          }
        print_json_error(context, all);
        std::exit(kUsage);
      }
      loaded = std::move(read.configuration);
    }
    return *loaded;
  };
  context.base_directory = [&]() {
    if (!base_directory.valid()) {
      const std::string& path = context.configuration().base_directory;
      base_directory = base::Descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!base_directory.valid()) {
        const int saved = errno;
        print_error(context, system_error(saved, "base directory " + path).what);
        std::exit(kFailed);
      }
    }
    return base_directory.get();
  };
  return command->run(context, rest);
}

}  // namespace

void print_error(const Context& context, const std::string& text) {
  std::cerr << "posternctl: " << text << "\n";
  print_json_error(context, text);
}

void print_table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& heading : headings) widths.push_back(columns(heading));
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) widths[i] = std::max(widths[i], columns(row[i]));
  const auto print = [&](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - columns(row[i]) + 2, ' ');
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    std::puts(line.c_str());
  };
  print(headings);
  for (const auto& row : rows) print(row);
}

Result<void> become_owner(uid_t user, gid_t group, std::string_view who) {
  if (::geteuid() != 0 || user == 0) return {};
  if (::setgroups(0, nullptr) != 0 || ::setresgid(group, group, group) != 0 || ::setresuid(user, user, user) != 0)
    return system_error(errno, "become " + std::string(who));
  return {};
}

Result<base::Descriptor> open_as_owner(const Context& context, const std::string& name, const std::string& who, mode_t mask) {
  auto directory = base::open_directory(context.base_directory(), name);
  if (!directory && directory.error().kind == Kind::denied) return Error{Kind::denied, "only root and " + who + " may do that"};
  if (!directory) return directory.error();
  struct stat status {};
  if (::fstat(directory->get(), &status) != 0) return system_error(errno, name);
  if (auto become = become_owner(status.st_uid, status.st_gid, who); !become) return become.error();
  ::umask(mask);
  return directory;
}

}  // namespace postern::tools

int main(int count, char** arguments) {
  try {
    return postern::tools::run({arguments + 1, arguments + count});
  } catch (const std::exception& error) {
    std::cerr << "posternctl: " << error.what() << "\n";
    return postern::tools::kFailed;
  }
}
