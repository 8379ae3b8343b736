// SPDX-License-Identifier: Apache-2.0
#pragma once
// posternctl's commands: one table (posternctl.cc), one file a group of commands (ctl_*.cc).
#include "base/descriptor.h"
#include "conf/configuration.h"

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::tools {

// Exit statuses: 0 done, 1 it could not be done (or: no match), 2 wrong usage or configuration, 3 needs a restart.
inline constexpr int kDone = 0, kFailed = 1, kUsage = 2, kRestart = 3;

// What every command gets. The configuration is read only when a command asks for it: some need neither server nor file.
struct Context {
  std::string configuration_path;  // --config
  bool json = false;               // --json
  // Loads the configuration; on mistakes prints all of them to standard error and exits with kUsage.
  std::function<const conf::Configuration&()> configuration;
  // The opened base directory; on failure prints why and exits with kFailed.
  std::function<int()> base_directory;
};

struct Command {
  const char* name;       // "account"
  const char* arguments;  // "add|passwd|list|remove …", for the help
  const char* summary;    // one line
  const char* manual;     // the page of section 8 that describes it
  int (*run)(const Context& context, const std::vector<std::string>& arguments);
  const char* details = "";  // further lines for `posternctl help COMMAND`
};

// Says on standard error why something could not be done; with --json also {"error": text} on standard output, for programs.
void print_error(const Context& context, const std::string& text);

// Prints rows under headings, columns aligned, to standard output.
void print_table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows);

// Root becomes this user for good, with no other group; for anybody else nothing changes. `who` is for the error.
Result<void> become_owner(uid_t user, gid_t group, std::string_view who);

// A directory below the base directory, as its owner, whom root becomes for good; new files are made with this umask. `who` is for errors.
Result<base::Descriptor> open_as_owner(const Context& context, const std::string& name, const std::string& who, mode_t mask);

// ctl_server.cc
int run_status(const Context&, const std::vector<std::string>&);
int run_sessions(const Context&, const std::vector<std::string>&);
int run_listener(const Context&, const std::vector<std::string>&);
extern const char* const kListenerDetails;
int run_reload(const Context&, const std::vector<std::string>&);
int run_upgrade(const Context&, const std::vector<std::string>&);
int run_stop(const Context&, const std::vector<std::string>&);
// ctl_gate.cc
int run_limits(const Context&, const std::vector<std::string>&);
int run_address(const Context&, const std::vector<std::string>&);
int run_block(const Context&, const std::vector<std::string>&);
int run_unblock(const Context&, const std::vector<std::string>&);
int run_blocked(const Context&, const std::vector<std::string>&);
extern const char* const kBlockDetails;
// ctl_throttle.cc
int run_throttle(const Context&, const std::vector<std::string>&);
extern const char* const kThrottleDetails;
// ctl_accounts.cc
int run_domain(const Context&, const std::vector<std::string>&);
int run_dkim(const Context&, const std::vector<std::string>&);
int run_account(const Context&, const std::vector<std::string>&);
extern const char* const kDomainDetails;
extern const char* const kDkimDetails;
extern const char* const kAccountDetails;
// ctl_aliases.cc
int run_alias(const Context&, const std::vector<std::string>&);
int run_group(const Context&, const std::vector<std::string>&);
extern const char* const kAliasDetails;
extern const char* const kGroupDetails;
// ctl_directory.cc
int run_directory(const Context&, const std::vector<std::string>&);
extern const char* const kDirectoryDetails;
// ctl_address_books.cc
int run_address_book(const Context&, const std::vector<std::string>&);
extern const char* const kAddressBookDetails;
// ctl_folders.cc
int run_folder(const Context&, const std::vector<std::string>&);
extern const char* const kFolderDetails;
// ctl_certificate.cc
int run_certificate(const Context&, const std::vector<std::string>&);
extern const char* const kCertificateDetails;
// ctl_queue.cc
int run_queue(const Context&, const std::vector<std::string>&);
extern const char* const kQueueDetails;
// ctl_discarded.cc
int run_discarded(const Context&, const std::vector<std::string>&);
extern const char* const kDiscardedDetails;
// ctl_filter.cc
int run_filter(const Context&, const std::vector<std::string>&);
extern const char* const kFilterDetails;
// ctl_probe.cc
int run_probe(const Context&, const std::vector<std::string>&);
const std::string& probe_details();
// ctl_match.cc
int run_match(const Context&, const std::vector<std::string>&);
// ctl_access.cc
int run_access(const Context&, const std::vector<std::string>&);
const std::string& access_details();
// ctl_rewrite.cc
int run_rewrite(const Context&, const std::vector<std::string>&);
const std::string& rewrite_details();
// ctl_tables.cc
int run_compile(const Context&, const std::vector<std::string>&);
int run_tables(const Context&, const std::vector<std::string>&);
extern const char* const kTablesDetails;
// ctl_resolve.cc
int run_resolve(const Context&, const std::vector<std::string>&);
extern const char* const kResolveDetails;
// ctl_tls_policy.cc
int run_tls_policy(const Context&, const std::vector<std::string>&);
extern const char* const kTlsPolicyDetails;

}  // namespace postern::tools
