// SPDX-License-Identifier: Apache-2.0
// posternd: the server (posternd(8)). Here stands the one table of roles: what each is called, as whom it runs, what it serves,
// and the function that it is.
#include "config.h"

#include "base/files.h"
#include "base/log.h"
#include "conf/configuration.h"
#include "conversion/entries.h"
#include "delivery/filter_check.h"
#include "directory/file_check.h"
#include "directory/generation.h"
#include "gate/activity.h"
#include "gate/datagram_counts.h"
#include "gate/scoreboard.h"
#include "install_directories.h"
#include "keyfile/compiled.h"
#include "mail/envelope.h"
#include "mapping/effect.h"
#include "mapping/image.h"
#include "mapping/loader.h"
#include "master/execution.h"
#include "master/hand_over.h"
#include "master/certificates.h"
#include "master/master.h"
#include "master/site.h"
#include "net/certificate.h"
#include "net/frames.h"
#include "policy/site.h"
#include "queue/notification.h"
#include "rehearsal/observation_counts.h"
#include "relay/routes.h"
#include "roles/conversion.h"
#include "roles/delivery.h"
#include "roles/directory.h"
#include "roles/loader.h"
#include "roles/managesieve.h"
#include "roles/pop3.h"
#include "roles/queue.h"
#include "roles/relay.h"
#include "roles/resolver.h"
#include "roles/smtp.h"
#include "roles/snmp.h"
#include "service/child.h"
#include "sieve/compile.h"
#include "spool/segment_format.h"
#include "spool/shared_state.h"

#include <boost/json/object.hpp>

#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>
#include <set>
#include <thread>

namespace postern {
namespace {

// Exit statuses, as posternd(8) has them.
constexpr int kDone = 0, kFailed = 1, kUsage = 2;

// How long the starter waits for the children to come to work; the master gives up before.
constexpr std::chrono::seconds kStartPatience(60);

unsigned cores() { return std::max(1U, std::thread::hardware_concurrency()); }
unsigned one_a_core(unsigned configured) { return configured == 0 ? cores() : configured; }

// The table of roles. A role without `count` is started by the master itself when there is work for it. Who writes to which shared memory:
// claims and the backlog are noted by all that accept or deliver; the directory's changes are counted by it alone.
struct RoleEntry {
  const char* name;
  int (*run)(service::Start& start);
  master::Role::User user;
  unsigned (*count)(const conf::Configuration& configuration);
  std::vector<conf::Module> modules;
  unsigned stop_order;
  std::vector<master::Role::Memory> memory;
};

const std::vector<RoleEntry>& role_table() {
  using User = master::Role::User;
  using Configuration = conf::Configuration;
  constexpr auto read = master::Role::Memory::Access::read, write = master::Role::Memory::Access::write;
  static const std::vector<RoleEntry> table{
      {"smtp", roles::run_smtp, User::network, [](const Configuration& c) { return one_a_core(c.children.smtp); },
       {conf::Module::smtp, conf::Module::lmtp}, 0, {{"connections", write}, {"ledger", write}, {"activity", write}, {"observations", write}, {"throttles", write}, {"spool-state", write}, {"outgoing-state", read}, {"generations", read}}},
      {"pop3", roles::run_pop3, User::mail, [](const Configuration& c) { return std::max(1U, c.children.pop3); }, {conf::Module::pop3}, 0,
       {{"connections", write}, {"ledger", write}, {"activity", write}, {"observations", write}, {"throttles", write}, {"generations", read}}},
      {"sieve", roles::run_managesieve, User::network, [](const Configuration& c) { return one_a_core(c.children.managesieve); }, {conf::Module::managesieve}, 0,
       {{"connections", write}, {"ledger", write}, {"activity", write}, {"observations", write}, {"throttles", write}, {"generations", read}}},
      {"snmp", roles::run_snmp, User::network, [](const Configuration&) { return 1U; }, {conf::Module::snmp}, 0,
       {{"connections", read}, {"ledger", write}, {"activity", read}, {"spool-state", read}, {"outgoing-state", read}, {"scoreboard", read}, {"datagrams", write}}},
      {"directory", roles::run_directory, User::directory, [](const Configuration&) { return 1U; }, {}, 2, {{"generations", write}}},
      {"resolver", roles::run_resolver, User::network, [](const Configuration&) { return 1U; }, {}, 2, {}},
      {"delivery", roles::run_delivery, User::mail, [](const Configuration& c) { return one_a_core(c.children.delivery); }, {}, 1,
       {{"throttles", write}, {"spool-state", write}, {"outgoing-state", write}, {"generations", read}}},
      // There while there is a file of conversions.
      {"conversion", roles::run_conversion, User::network, [](const Configuration& c) { return conf::conversions(c) ? c.children.conversion : 0U; }, {}, 1,
       {{"throttles", write}, {"spool-state", write}, {"generations", read}}},
      {"relay", roles::run_relay, User::network, [](const Configuration& c) { return c.children.relay; }, {}, 1,
       {{"activity", write}, {"throttles", write}, {"spool-state", write}, {"outgoing-state", write}, {"generations", read}}},
      {"queue", roles::run_queue, User::network, [](const Configuration&) { return 1U; }, {}, 1,
       {{"throttles", write}, {"spool-state", write}, {"outgoing-state", write}, {"generations", read}}},
      {"loader", roles::run_loader, User::network, nullptr, {}, 0, {}},
  };
  return table;
}

int run_child() {
  std::vector<service::RoleMain> mains;
  for (const auto& entry : role_table()) mains.push_back({entry.name, entry.run});
  return service::run_child(mains);
}

// What other folders can say about a configuration beyond what conf/ checks.
void check_policy(const conf::Configuration& configuration, std::vector<conf::Mistake>& mistakes) {
  for (auto& mistake : policy::check(configuration)) mistakes.push_back(std::move(mistake));
  relay::Routes::parse(configuration, mistakes);
  for (auto& mistake : delivery::check_filters(configuration)) mistakes.push_back(std::move(mistake));
  for (auto& mistake : conversion::check(configuration)) mistakes.push_back(std::move(mistake));
  for (auto& mistake : queue::check_notices(configuration)) mistakes.push_back(std::move(mistake));
  if (auto ciphers = net::check_cipher_list(configuration.tls.ciphers); !ciphers)
    mistakes.push_back({configuration.place_of("tls.ciphers"), "tls.ciphers",
                        "expected a list of ciphers as openssl-ciphers(1) has them, found \"" + configuration.tls.ciphers + "\": " + ciphers.error().what});
}

// Whether all of the text could be read. Otherwise a setting that is not there may be in the rest: a mistake that is not about a setting is about
// the text.
bool is_complete(const conf::Loaded& loaded) {
  return std::none_of(loaded.mistakes.begin(), loaded.mistakes.end(), [](const conf::Mistake& one) { return !one.warning && one.setting.empty(); });
}

void print(const conf::Loaded& loaded) {
  const bool complete = is_complete(loaded);
  for (const auto& mistake : loaded.mistakes) {
    const bool of_a_default = !mistake.setting.empty() && mistake.place.line == 0;
    if (complete || !of_a_default) std::cerr << mistake.to_string() << "\n";
  }
}

conf::Loaded load(const std::string& path) {
  conf::Loaded loaded = conf::load(path);
  if (loaded.readable) check_policy(loaded.configuration, loaded.mistakes);
  return loaded;
}

// The master finds them at its start; here they join the other mistakes. For anybody but root they do not matter.
void check_users(conf::Loaded& loaded, master::Site& site) {
  if (!loaded.readable) return;
  for (auto& mistake : master::find_users(loaded.configuration.users, site)) loaded.mistakes.push_back(std::move(mistake));
}

// Root as another user, until it goes; for anybody else, or where there is no such user, nothing changes.
class ActingAs {
 public:
  explicit ActingAs(const master::Identity& user) {
    if (::geteuid() != 0 || user.uid == 0) return;
    groups_.resize(static_cast<std::size_t>(std::max(0, ::getgroups(0, nullptr))));
    active_ = ::getgroups(static_cast<int>(groups_.size()), groups_.data()) >= 0 && ::setgroups(0, nullptr) == 0;
    active_ = active_ && ::setegid(user.gid) == 0 && ::seteuid(user.uid) == 0;
  }
  ~ActingAs() {
    if (!active_) return;
    const bool back = ::seteuid(0) == 0 && ::setegid(own_group_) == 0 && ::setgroups(groups_.size(), groups_.data()) == 0;
    POSTERN_ASSERT(back);
  }
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;

 private:
  const gid_t own_group_ = ::getegid();
  std::vector<gid_t> groups_;
  bool active_ = false;
};

// What the start would do with directories and files of its own, as far as it can be tried without leaving anything there.
void check_places(const std::string& path, const master::Site& site, conf::Loaded& loaded) {
  const conf::Configuration& configuration = loaded.configuration;
  const auto refuse = [&](const char* setting, const Error& error) {
    conf::Place place = configuration.place_of(setting);
    if (place.file.empty()) place.file = path;  // the default
    // Who may not do what the server's user may can't tell whether it would be possible.
    const bool unknown = error.kind == Kind::denied && ::geteuid() != 0;
    loaded.mistakes.push_back({place, setting, error.what + (unknown ? " (a start by this user would fail)" : ""), unknown});
  };
  if (auto tried = master::try_log_file(configuration.log); !tried) refuse("log.file", tried.error());
  const std::string& base = configuration.base_directory;
  if (!base.starts_with('/')) return;  // named already
  if (auto tried = master::try_base_directory(base); !tried) return refuse("base_directory", tried.error());
  const base::Descriptor directory(::open(base.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return;  // the start makes it
  const std::pair<const std::string&, const master::Identity&> users[] = {
      {configuration.users.network, site.network}, {configuration.users.mail, site.mail}, {configuration.users.directory, site.directory}};
  for (const auto& [name, identity] : users) {
    const ActingAs user(identity);
    if (::faccessat(directory.get(), ".", X_OK, AT_EACCESS) != 0)
      return refuse("base_directory", {Kind::invalid, "user " + name + " may not enter " + base + "; expected mode 0755, as the start gives it"});
  }
}

// -t: everything that can be said without starting.
int check(const std::string& path) {
  conf::Loaded loaded = load(path);
  master::Site site;
  check_users(loaded, site);
  if (loaded.readable) check_places(path, site, loaded);
  // The server starts without a good certificate too, and without what the directory reads, and says so in its log; here it is a mistake.
  if (loaded.readable) {
    for (auto& mistake : master::Certificates::check(loaded.configuration)) loaded.mistakes.push_back(std::move(mistake));
    const ActingAs directory(site.directory);
    for (auto& mistake : directory::check_files(loaded.configuration)) loaded.mistakes.push_back(std::move(mistake));
  }
  print(loaded);
  bool usable = loaded.usable();
  if (loaded.readable && (is_complete(loaded) || loaded.configuration.place_of("tables_directory").line > 0)) {
    const std::string tables = loaded.configuration.tables_directory + "/tables.db";
    const base::Descriptor file(::open(tables.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) {
      std::cerr << "warning: " << system_error(errno, "access tables " + tables).what << "; run postern-compile\n";
    } else if (auto image = mapping::load(file.get()); !image) {
      std::cerr << tables << ": " << image.error().what << "\n";
      usable = false;
    }
  }
  std::cout << path << ": " << (usable ? "correct" : "not usable") << "\n";
  return usable ? kDone : kFailed;
}

// Tells the process that waits for the start how it went.
class Starter {
 public:
  // Forks; only the new process returns. The one that was called waits until the new one reports, then exits.
  static Starter leave_terminal() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      std::perror("posternd: pipe");
      ::_exit(kFailed);
    }
    const pid_t pid = ::fork();
    if (pid < 0) {
      std::perror("posternd: fork");
      ::_exit(kFailed);
    }
    if (pid > 0) {
      ::close(ends[1]);
      wait_for_report(ends[0]);
    }
    ::close(ends[0]);
    ::setsid();
    if (::chdir("/") != 0) std::perror("posternd: chdir /");
    Starter starter;
    starter.pipe_ = base::Descriptor(ends[1]);
    return starter;
  }

  // Empty: all is well. Afterwards nothing is written to the terminal.
  void report(const std::string& failure) {
    if (!pipe_.valid()) return;
    const std::string text = failure.empty() ? "+" : "-" + failure;
    [[maybe_unused]] const auto written = ::write(pipe_.get(), text.data(), text.size());
    pipe_.reset();
    const base::Descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null.valid()) return;
    ::dup2(null.get(), STDIN_FILENO);
    ::dup2(null.get(), STDOUT_FILENO);
    ::dup2(null.get(), STDERR_FILENO);
  }

 private:
  [[noreturn]] static void wait_for_report(int pipe) {
    ::alarm(static_cast<unsigned>(kStartPatience.count()));
    std::string report;
    char piece[512];
    for (;;) {
      const ssize_t got = ::read(pipe, piece, sizeof piece);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      report.append(piece, static_cast<std::size_t>(got));
      if (report == "+") break;
    }
    if (report == "+") ::_exit(kDone);
    // Without a report the reason has been printed already, before the end.
    if (!report.empty()) std::cerr << "posternd: start failed: " << report.substr(1) << std::endl;
    ::_exit(kFailed);
  }

  base::Descriptor pipe_;
};

// The socket run/`name` on which a child is asked: processes of the site's group may.
Result<base::Descriptor> question_socket(const master::Master& master, const char* name) {
  auto run = base::open_directory(master.base_directory(), "run");
  if (!run) return run.error();
  auto socket = net::listen_unix(run->get(), name, 0660);
  if (!socket) return socket.error();
  if (::geteuid() == 0 &&
      ::fchownat(run->get(), name, 0, master.owner(master::Role::User::network).gid, AT_SYMLINK_NOFOLLOW) != 0)
    return system_error(errno, std::string("owner of run/") + name);
  return socket;
}

// The file of --pid-file, as start scripts want one. Another than run/master.pid, which lies where the configuration says now, not
// where it said at the start. Not locked: the script asks the system whether the process is one.
class PidFile {
 public:
  explicit PidFile(std::string path) : path_(std::move(path)) {}
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;
  ~PidFile() {
    if (!written_.empty() && content() == written_) ::unlink(path_.c_str());
  }

  // What an earlier program of this process wrote is this one's too.
  void adopt() { written_ = std::to_string(::getpid()) + "\n"; }

  // A server whose mail would flow is not kept from it by this file: the reason goes to the log.
  void write() {
    if (path_.empty()) return;
    const std::string text = std::to_string(::getpid()) + "\n", fresh = path_ + ".new";
    ::unlink(fresh.c_str());
    const base::Descriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
    int saved = errno;
    bool done = file.valid() && ::fchmod(file.get(), 0644) == 0 && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    if (file.valid()) saved = errno;
    if (done && ::rename(fresh.c_str(), path_.c_str()) != 0) {
      saved = errno;
      done = false;
    }
    if (done) written_ = text;
    else base::log_event(base::Severity::warning, "pid-file-not-written", {{"file", path_}, {"error", system_error(saved, "write").what}});
  }

 private:
  [[nodiscard]] std::string content() const {
    const base::Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    auto text = file.valid() ? base::read_all(file.get(), 64) : Result<std::string>(std::string());
    return text ? *text : std::string();
  }

  std::string path_, written_;
};

// What became of the datagrams of each service over UDP.
void add_datagrams(const gate::DatagramCounts& counts, boost::json::object& status) {
  auto* const listeners = status.if_contains("listeners");
  if (listeners == nullptr) return;
  for (auto& entry : listeners->get_array()) {
    auto& listener = entry.get_object();
    for (std::size_t i = 0; i < conf::kModules; ++i) {
      const auto module = static_cast<conf::Module>(i);
      if (conf::transport(module) != conf::Transport::udp || listener.at("module").get_string() != conf::to_string(module)) continue;
      const gate::DatagramFigures figures = counts.of(module);
      boost::json::object ends{{"received", figures.received()}};
      for (std::size_t outcome = 0; outcome < gate::kDatagramOutcomes; ++outcome)
        if (outcome == 0 || figures.by_outcome[outcome] != 0) ends[gate::to_string(static_cast<gate::DatagramOutcome>(outcome))] = figures.by_outcome[outcome];
      listener["datagrams"] = std::move(ends);
    }
  }
}

// What was observed since the present tables are in force.
void add_observations(const rehearsal::ObservationCounts& counts, boost::json::object& status) {
  using rehearsal::Observation;
  boost::json::array observed;
  for (std::size_t table = 0; table < mapping::kAskedTables.size(); ++table) {
    const std::uint64_t same = counts.of(table, Observation::same), differs = counts.of(table, Observation::differs), open = counts.of(table, Observation::open);
    if (same + differs + open == 0) continue;
    observed.push_back(boost::json::object{
        {"table", "OBSERVE_" + std::string(mapping::kAskedTables[table])}, {"probes", same + differs + open}, {"differs", differs}, {"open", open}});
  }
  status["observed"] = std::move(observed);
}

// One open file for all delivery, conversion, relay and queue children of this master: whoever locks it locks it for all of them, and against those
// of a master that was killed, which may not have noticed yet.
Result<base::Descriptor> workers_lock(const master::Master& master) {
  auto run = base::open_directory(master.base_directory(), "run");
  if (!run) return run.error();
  return base::system_files().open(run->get(), "workers.lock", O_RDWR | O_CREAT, 0600);
}

// What lies on disk and is read by another version of this program: an upgrade is refused if the two can't agree. Shared memory
// carries its own marks, which are checked when it is taken up.
master::Formats disk_formats() {
  return {{"journal", {spool::kSegmentVersion, spool::kSegmentVersion}},
          {"envelope", {mail::kOldestEnvelopeVersion, mail::kEnvelopeVersion}},
          {"compiled-tables", {keyfile::kCompiledVersion, keyfile::kCompiledVersion}},
          {"tables-image", {mapping::kImageVersion, mapping::kImageVersion}}};
}

int fail(const Error& error) {
  std::cerr << "posternd: " << error.what << std::endl;
  return kFailed;
}

// The server as one object: the master and what posternd.cc adds to it. Its parts are made, or taken over from the program before.
class Service {
 public:
  // Everything that does not depend on how this program was started.
  master::Options options() {
    master::Options options;
    for (const auto& entry : role_table())
      if (entry.count != nullptr) options.roles.push_back({entry.name, entry.user, entry.count, entry.modules, entry.stop_order, entry.memory});
    options.formats = disk_formats();
    options.tables_changed = [this] {
      generations_->raise_tables();
      observations_->clear();
    };
    options.check = check_policy;
    options.work_of = [this](unsigned child) { return state_->claims_of(child) + outgoing_->claims_of(child); };
    options.add_to_status = [this](boost::json::object& status) {
      for (const auto& [name, state] : {std::pair("spool", &*state_), std::pair("outgoing", &*outgoing_)}) {
        const auto totals = state->totals();
        status[name] = boost::json::object{
            {"backlog", state->backlog() + (state == &*state_ ? state_->converting() : 0)}, {"accepted", totals.accepted}, {"finished", totals.finished}, {"corrupt", totals.corrupt}};
      }
      status["spool"].get_object()["converting"] = state_->converting();
      const auto sent = outgoing_->traffic();
      auto& outgoing = status["outgoing"].get_object();
      outgoing["sent_messages"] = sent.delivered_messages;
      outgoing["sent_bytes"] = sent.delivered_bytes;
      outgoing["sent_recipients"] = sent.delivered_recipients;
      add_datagrams(*datagrams_, status);
      add_observations(*observations_, status);
    };
    options.show = [this](const gate::ServerState& server) { scoreboard_->write(server); };
    return options;
  }

  // Gives `master` its shared memory and sockets. `dry`: whatever would show outside is left out.
  Result<void> equip(master::Master& master, bool dry) {
    if (auto made = memory(master); !made) return made;
    for (const auto& [name, state] : {std::pair("spool-state", &*state_), std::pair("outgoing-state", &*outgoing_)})
      master.add_resource({name, base::Descriptor(::fcntl(state->memory().descriptor(), F_DUPFD_CLOEXEC, 3)),
                           [state = state](unsigned child, std::uint64_t) { return state->release_child(child).has_value(); }, &state->mutex()});
    master.add_resource({"generations", base::Descriptor(::fcntl(generations_->descriptor(), F_DUPFD_CLOEXEC, 3)), {}, nullptr});
    master.add_resource({"scoreboard", base::Descriptor(::fcntl(scoreboard_->descriptor(), F_DUPFD_CLOEXEC, 3)), {}, nullptr});
    master.add_resource({"datagrams", base::Descriptor(::fcntl(datagrams_->descriptor(), F_DUPFD_CLOEXEC, 3)), {}, nullptr});
    master.add_resource({"activity", base::Descriptor(::fcntl(activity_->descriptor(), F_DUPFD_CLOEXEC, 3)), {}, nullptr});
    master.add_resource({"observations", base::Descriptor(::fcntl(observations_->descriptor(), F_DUPFD_CLOEXEC, 3)), {}, nullptr});

    base::Descriptor lock = master.inherited("workers-lock"), directory = master.inherited("directory-listen"),
                     resolver = master.inherited("resolver-listen");
    if (!lock.valid() && !dry) {
      auto made = workers_lock(master);
      if (!made) return made.error();
      lock = std::move(*made);
    }
    if (!directory.valid() && !dry) {
      auto made = question_socket(master, "directory.sock");
      if (!made) return made.error();
      directory = std::move(*made);
    }
    if (!resolver.valid() && !dry) {
      auto made = question_socket(master, "resolver.sock");
      if (!made) return made.error();
      resolver = std::move(*made);
    }
    master.add_descriptor("workers-lock", std::move(lock), {"delivery", "conversion", "relay", "queue"});
    if (auto added = add_notices(master, "notices-read", "notices-write", {"delivery"}, {"smtp", "delivery", "conversion", "relay", "queue"}); !added) return added;
    if (auto added = add_notices(master, "outgoing-read", "outgoing-write", {"relay"}, {"delivery", "queue"}); !added) return added;
    if (auto added = add_notices(master, "verdicts-read", "verdicts-write", {"delivery"}, {"smtp"}); !added) return added;
    master.add_descriptor("directory-listen", std::move(directory), {"directory"});
    master.add_descriptor("resolver-listen", std::move(resolver), {"resolver"});
    return {};
  }

 private:
  // The two ends of a journal's notices, or of questions about its pending records, of the program before or new.
  static Result<void> add_notices(master::Master& master, const char* read, const char* write, std::vector<std::string> readers,
                                  std::vector<std::string> writers) {
    base::Descriptor reading = master.inherited(read), writing = master.inherited(write);
    if (!reading.valid() || !writing.valid()) {
      auto notices = base::socket_pair(SOCK_DGRAM);
      if (!notices) return notices.error();
      for (const int end : {notices->first.get(), notices->second.get()})
        if (auto set = base::set_nonblocking(end, true); !set) return set.error();
      reading = std::move(notices->first);
      writing = std::move(notices->second);
    }
    master.add_descriptor(read, std::move(reading), std::move(readers));
    master.add_descriptor(write, std::move(writing), std::move(writers));
    return {};
  }

  static Result<void> keep_or_make_state(base::Descriptor inherited, std::optional<spool::SharedState>& state) {
    if (inherited.valid()) {
      auto mapped = base::SharedMemory::map(std::move(inherited), true);
      if (!mapped) return mapped.error().in("spool state");
      auto attached = spool::SharedState::attach(std::move(*mapped));
      if (!attached) return attached.error();
      state.emplace(std::move(*attached));
      return {};
    }
    auto made = spool::SharedState::create();
    if (!made) return made.error();
    state.emplace(std::move(*made));
    return {};
  }

  Result<void> memory(master::Master& master) {
    if (auto made = keep_or_make_state(master.inherited("spool-state"), state_); !made) return made;
    if (auto made = keep_or_make_state(master.inherited("outgoing-state"), outgoing_); !made) return made;
    base::Descriptor inherited = master.inherited("generations");
    auto generations = inherited.valid() ? directory::Generations::map(std::move(inherited), true) : directory::Generations::create();
    if (!generations) return generations.error();
    generations_.emplace(std::move(*generations));
    // Figures for whoever looks on: of another layout, they begin anew.
    if (auto made = keep_or_make(master.inherited("scoreboard"), scoreboard_); !made) return made;
    if (auto made = keep_or_make(master.inherited("observations"), observations_); !made) return made;
    if (auto made = keep_or_make(master.inherited("activity"), activity_); !made) return made;
    return keep_or_make(master.inherited("datagrams"), datagrams_);
  }

  template <class Figures>
  static Result<void> keep_or_make(base::Descriptor inherited, std::optional<Figures>& figures) {
    if (inherited.valid())
      if (auto mapped = base::SharedMemory::map(std::move(inherited), true))
        if (auto attached = Figures::attach(std::move(*mapped))) {
          figures.emplace(std::move(*attached));
          return {};
        }
    auto made = Figures::create();
    if (!made) return made.error();
    figures.emplace(std::move(*made));
    return {};
  }

  std::optional<spool::SharedState> state_, outgoing_;  // of the journal, and of the one for other hosts
  std::optional<directory::Generations> generations_;
  std::optional<gate::Scoreboard> scoreboard_;
  std::optional<gate::DatagramCounts> datagrams_;
  std::optional<gate::Activity> activity_;
  std::optional<rehearsal::ObservationCounts> observations_;
};

int serve(const std::vector<std::string>& arguments, const std::string& path, bool foreground, const std::string& pid_path) {
  // Before the fork: a relative name means the directory of the caller.
  std::string whole = path;
  if (char* const resolved = ::realpath(path.c_str(), nullptr)) {
    whole = resolved;
    std::free(resolved);
  }
  std::error_code ignored;
  const std::string pid_name = pid_path.empty() ? pid_path : std::filesystem::absolute(pid_path, ignored).string();
  const std::string program_path = master::own_program_path(arguments.front());
  conf::Loaded loaded = load(whole);
  master::Site site;
  if (!loaded.usable()) check_users(loaded, site);
  print(loaded);
  if (!loaded.usable()) {
    std::cerr << "posternd: " << path << " is not usable\n";
    return kUsage;
  }
  if (!foreground)
    if (const auto mistake = master::log_without_reader(loaded.configuration)) {
      std::cerr << "posternd: " << mistake->to_string() << "\n";
      return kFailed;
    }
  // What the starter has open (a package's scripts talk by descriptor 3) would stay open as long as the server runs. Not before the
  // configuration has been read, which may be one of them.
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
  PidFile pid_file(pid_name);
  Starter starter;
  if (!foreground) starter = Starter::leave_terminal();

  Service service;
  master::Options options = service.options();
  options.configuration_path = whole;
  options.loaded = std::move(loaded);
  options.arguments = arguments;
  options.program_path = program_path;
  options.pid_file = pid_name;
  options.background = !foreground;
  options.ready = [&](const std::string& failure) { starter.report(failure); };
  auto opened = master::Master::open(std::move(options));
  if (!opened) return fail(opened.error());
  // Behind the lock: a server that is refused must not stand in the file of the one that runs.
  pid_file.write();
  if (auto equipped = service.equip(**opened, false); !equipped) return fail(equipped.error());
  return (*opened)->run();
}

// In the place of another program of this process, or asked whether that would do (master/execution.h).
int go_on(const master::Execution& execution) {
  using How = master::Execution::Kind;
  const bool dry = execution.kind == How::check;
  if (execution.kind == How::take_over) master::way_back::arm(execution);
  const auto give_up = [](const Error& error) {
    if (master::way_back::armed()) master::way_back::go(error.what);
    return fail(error);
  };
  // No exception may get out of here: the way back is open only as long as nothing has been given up.
  try {
    Service service;
    master::Options options = service.options();
    options.arguments = execution.arguments;
    auto text = master::read_hand_over(execution.text, options.formats);
    if (!text) return give_up(text.error());
    if (execution.kind == How::taken_back) {
      text->failure = execution.why;
      text->program_number = text->writer_number;
    }
    PidFile pid_file(text->pid_file);
    auto master = master::Master::take_over(std::move(options), *text);
    if (!master) return give_up(master.error());
    if (auto equipped = service.equip(**master, dry); !equipped) return give_up(equipped.error());
    if (dry) return kDone;
    pid_file.adopt();
    return (*master)->run();
  } catch (const std::exception& error) {
    return give_up({Kind::permanent, error.what()});
  }
}

constexpr const char* kHelp =
    "Usage: posternd [-c FILE] [-p FILE] [-f | -t]\n\n"
    "  -c, --config FILE   configuration (default: " POSTERN_SYSCONFDIR "/postern.conf)\n"
    "  -p, --pid-file FILE write the master's process id there, for start scripts\n"
    "  -f, --foreground    stay in the foreground; without it posternd returns when it serves\n"
    "  -t, --test          check configuration and access tables, then exit\n"
    "      --version       print the version\n"
    "  -h, --help          this text\n\n"
    "Exit status: 0 done, 1 the start failed (-t: something is wrong), 2 wrong usage or configuration.\n"
    "Signals: HUP reload, TERM stop, USR1 reopen the log, USR2 upgrade. More: posternd(8)\n";

int run(int count, char** arguments) {
  if (count == 2 && std::strcmp(arguments[1], "--child") == 0) return run_child();
  const std::vector<std::string> given(arguments, arguments + count);
  if (const master::Execution execution = master::execution_of(given); execution.kind != master::Execution::Kind::none) return go_on(execution);
  static constexpr option kOptions[] = {{"config", required_argument, nullptr, 'c'},
                                        {"pid-file", required_argument, nullptr, 'p'},
                                        {"foreground", no_argument, nullptr, 'f'},
                                        {"test", no_argument, nullptr, 't'},
                                        {"version", no_argument, nullptr, 'V'},
                                        {"help", no_argument, nullptr, 'h'},
                                        {nullptr, 0, nullptr, 0}};
  std::string path = POSTERN_SYSCONFDIR "/postern.conf";
  std::string pid_path;
  bool foreground = false, test = false;
  for (int letter; (letter = ::getopt_long(count, arguments, "c:p:fth", kOptions, nullptr)) != -1;) {
    switch (letter) {
      case 'c': path = optarg; break;
      case 'p': pid_path = optarg; break;
      case 'f': foreground = true; break;
      case 't': test = true; break;
      case 'V': std::puts("posternd " PACKAGE_VERSION); return kDone;
      case 'h': std::fputs(kHelp, stdout); return kDone;
      default: std::fputs("Try: posternd --help\n", stderr); return kUsage;
    }
  }
  if (optind != count) {
    std::cerr << "posternd: takes no argument: " << arguments[optind] << "\nTry: posternd --help\n";
    return kUsage;
  }
  return test ? check(path) : serve(given, path, foreground, pid_path);
}

}  // namespace
}  // namespace postern

int main(int count, char** arguments) {
  try {
    return postern::run(count, arguments);
  } catch (const std::exception& error) {
    std::cerr << "posternd: " << error.what() << std::endl;
    return postern::kFailed;
  }
}
