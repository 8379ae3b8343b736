// SPDX-License-Identifier: Apache-2.0
#include "service/child.h"

#include "base/kill_point.h"
#include "base/log.h"
#include "base/random.h"
#include "net/orders.h"
#include "service/socket_orders.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unicode/uclean.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <exception>

namespace postern::service {
namespace {

// Groups of sockets come in messages of their own; a start that takes more messages than this is not one.
constexpr int kStartMessages = 1000;
constexpr std::size_t kConfigurationBytes = 64 * 1024 * 1024;

Error start_error(std::string text) { return {Kind::invalid, "start message: " + std::move(text)}; }

// The log file that standard-error lines go to, if there is one; held as long as the process lives.
base::Descriptor& log_file() {
  static base::Descriptor file;
  return file;
}

// Whoever started the server may wait for the end of what it writes.
void leave_standard_error() {
  const base::Descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (null.valid()) ::dup2(null.get(), STDERR_FILENO);
}

}  // namespace

void use_log_file(base::Descriptor file) {
  if (!file.valid()) return;
  base::set_log_descriptor(file.get());
  log_file() = std::move(file);
}

Result<std::shared_ptr<const conf::Configuration>> read_configuration(int descriptor) {
  if (!base::is_sealed(descriptor)) return start_error("the configuration is not sealed");
  auto text = base::read_all(descriptor, kConfigurationBytes);
  if (!text) return text.error().in("configuration");
  conf::Loaded loaded = conf::load_text(*text, "postern.conf");
  if (!loaded.usable()) {
    for (const auto& mistake : loaded.mistakes)
      if (!mistake.warning) return start_error("configuration: " + mistake.to_string());
    return start_error("configuration is not usable");
  }
  return std::make_shared<const conf::Configuration>(std::move(loaded.configuration));
}

RowOf find_row(const conf::Configuration& configuration, conf::Module module, std::uint16_t port, std::string_view row_address) {
  for (const auto& listener : configuration.listeners) {
    if (listener.module != module) continue;
    for (const auto& row : listener.sockets)
      if (row.port == port && row.address.to_string() == row_address) return {&listener, &row};
  }
  return {};
}

int Start::get(const std::string& name) const {
  const auto found = descriptors.find(name);
  return found == descriptors.end() ? -1 : found->second.get();
}

base::Descriptor Start::take(const std::string& name) {
  const auto found = descriptors.find(name);
  if (found == descriptors.end()) return base::Descriptor();
  base::Descriptor taken = std::move(found->second);
  descriptors.erase(found);
  return taken;
}

Result<base::SharedMemory> Start::map(const std::string& name, bool writable) const {
  const auto found = descriptors.find(name);
  if (found == descriptors.end()) return Error{Kind::not_found, "shared memory was not handed over: " + name};
  auto copy = found->second.duplicate();
  if (!copy) return copy.error().in(name);
  auto memory = base::SharedMemory::map(std::move(*copy), writable);
  if (!memory) return memory.error().in(name);
  return memory;
}

Result<Start> receive_start(int control) {
  struct stat status {};
  if (::fstat(control, &status) != 0 || !S_ISSOCK(status.st_mode))
    return start_error("no control socket: children are started by the master only");
  Start start;
  start.control = base::Descriptor(control);
  if (auto set = base::set_close_on_exec(control, true); !set) return set.error();
  bool begun = false, background = false;
  for (int messages = 0; messages < kStartMessages; ++messages) {
    auto order = net::receive_order(control, true);
    if (!order) return order.error().in("start");
    if (order->end) return start_error("the master is gone");
    if (order->name() == "start" && !begun) {
      begun = true;
      const auto role = order->text("role");
      const auto number = order->number("number"), incarnation = order->number("incarnation");
      const auto uid = order->number("uid"), gid = order->number("gid"), files = order->number("open_files");
      const auto* const change = order->body.if_contains("change_user");
      const auto* const behind = order->body.if_contains("background");
      if (!role || !number || !incarnation || !uid || !gid || !files || change == nullptr || !change->is_bool() || behind == nullptr ||
          !behind->is_bool())
        return start_error("something is missing");
      start.role = *role;
      start.number = static_cast<unsigned>(*number);
      start.incarnation = *incarnation;
      start.uid = static_cast<uid_t>(*uid);
      start.gid = static_cast<gid_t>(*gid);
      start.open_files = *files;
      start.change_user = change->get_bool();
      background = behind->get_bool();
      for (auto& [name, descriptor] : order->descriptors) start.descriptors[name] = std::move(descriptor);
    } else if (order->name() == "sockets" && begun) {
      auto sockets = sockets_in(*order);
      if (!sockets) return sockets.error();
      for (auto& socket : *sockets) start.sockets.push_back(std::move(socket));
    } else if (order->name() == "begin" && begun) {
      if (start.get("configuration") < 0) return start_error("no configuration");
      auto configuration = read_configuration(start.get("configuration"));
      if (!configuration) return configuration.error();
      start.configuration = std::move(*configuration);
      base::Descriptor log = start.take("log");
      const bool log_elsewhere = log.valid() || start.configuration->log.destination == base::Destination::syslog;
      use_log_file(std::move(log));
      base::configure_log(start.configuration->log.destination, "posternd/" + start.role, start.configuration->log.least);
      if (background && log_elsewhere) leave_standard_error();
      ::prctl(PR_SET_NAME, ("postern-" + start.role).substr(0, 15).c_str());
      return start;
    } else {
      return start_error("unexpected message");
    }
  }
  return start_error("too many messages");
}

Result<void> drop_privileges(const Start& start) {
  ::umask(0007);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return system_error(errno, "limit of open files");
  const rlimit raised{start.open_files, std::max<rlim_t>(files.rlim_max, start.open_files)};
  if (::setrlimit(RLIMIT_NOFILE, &raised) != 0) {
    // A container may forbid it even to root; then what there is must do, and running out of it is survived (L-47).
    const rlimit all{std::min<rlim_t>(files.rlim_max, start.open_files), files.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &all) != 0) return system_error(errno, "limit of open files");
    base::log_event(base::Severity::info, "open-files-limit", {{"wanted", start.open_files}, {"have", all.rlim_cur}});
  }
  const rlimit no_core{0, 0};
  if (::setrlimit(RLIMIT_CORE, &no_core) != 0) return system_error(errno, "limit of core files");

  if (start.change_user) {
    if (start.uid == 0 || start.gid == 0) return Error{Kind::denied, "a child must not run as root"};
    // The bounding set can only be emptied while the capability for it is still there: before the user changes.
    capng_clear(CAPNG_SELECT_BOTH);
    const bool bounding_emptied = capng_apply(CAPNG_SELECT_BOUNDS) == 0;
    if (::setgroups(1, &start.gid) != 0) return system_error(errno, "drop groups");
    if (::setresgid(start.gid, start.gid, start.gid) != 0) return system_error(errno, "become group");
    if (::setresuid(start.uid, start.uid, start.uid) != 0) return system_error(errno, "become user");
    if (!bounding_emptied) base::log_event(base::Severity::warning, "bounding-set-kept");
    if (::setresuid(0, 0, 0) == 0 || ::setresgid(0, 0, 0) == 0) return Error{Kind::denied, "root could be regained"};
  }
  if (::geteuid() != 0) {
    capng_clear(CAPNG_SELECT_CAPS);
    if (capng_apply(CAPNG_SELECT_CAPS) != 0) return Error{Kind::denied, "capabilities could not be dropped"};
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return system_error(errno, "forbid new privileges");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return system_error(errno, "forbid tracing");
  return {};
}

void warm_up() {
  ::tzset();
  const std::time_t now = ::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  UErrorCode status = U_ZERO_ERROR;
  u_init(&status);
  if (U_FAILURE(status)) base::log_event(base::Severity::warning, "icu-data-missing", {{"error", u_errorName(status)}});
  OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS, nullptr);
  // The default provider is loaded by the first fetch.
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest("", 0, digest, &size, EVP_sha256(), nullptr);
  // Its tables of ciphers and texts of errors are made by the first context.
  OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, nullptr);
  SSL_CTX_free(SSL_CTX_new(TLS_server_method()));
  base::random_u64();
}

int run_child(std::span<const RoleMain> roles) {
  base::configure_log(base::Destination::standard_error, "posternd", base::Severity::info);
  const auto fail = [](const Error& error) {
    base::log_event(base::Severity::critical, "child-start-failed", {{"error", error.what}});
    return 1;
  };
  POSTERN_KILL_POINT("child-start");
  auto start = receive_start();
  if (!start) return fail(start.error());
  const auto role = std::find_if(roles.begin(), roles.end(), [&](const RoleMain& candidate) { return candidate.name == start->role; });
  if (role == roles.end()) return fail(start_error("there is no role " + start->role));
  if (auto dropped = drop_privileges(*start); !dropped) return fail(dropped.error());
  warm_up();
  if (auto confined = confine(start->role); !confined) return fail(confined.error());
  // Only now does anything run that may meet bytes of strangers.
  try {
    return role->run(*start);
  } catch (const std::exception& error) {
    return fail({Kind::permanent, error.what()});
  }
}

}  // namespace postern::service
