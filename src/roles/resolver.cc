// SPDX-License-Identifier: Apache-2.0
#include "roles/resolver.h"

#include "base/files.h"
#include "base/log.h"
#include "net/run_for_life.h"
#include "resolver/resolv_conf.h"
#include "resolver/server.h"
#include "resolver/unbound.h"
#include "resolver/validation.h"
#include "roles/asking_users.h"
#include "roles/not_started.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace postern::roles {
namespace {

using namespace std::chrono_literals;

// How often resolv.conf is looked at, and how much of it is read.
constexpr auto kLookEvery = 10s;
constexpr std::size_t kResolvConfBytes = 64 * 1024, kTrustAnchorBytes = 64 * 1024;
// Descriptors that are not libunbound's: connections of our processes, the log.
constexpr std::uint64_t kOtherDescriptors = 400;

// What tells one state of a file from the next; zero: it is not there.
struct FileState {
  std::int64_t seconds = 0, nanoseconds = 0, bytes = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const FileState&, const FileState&) = default;
};
FileState state_of(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_size, status.st_ino};
}

net::Awaitable<void> watch(service::ControlLink& link, std::string path, FileState before) {
  net::asio::steady_timer timer(co_await net::asio::this_coro::executor);
  do {
    timer.expires_after(kLookEvery);
    boost::system::error_code ignored;
    co_await timer.async_wait(net::asio::redirect_error(net::use_awaitable, ignored));
  } while (state_of(path) == before);
  link.ask_replacement("resolv.conf");
}

std::vector<net::Endpoint> servers_for(const conf::Resolver& settings) {
  std::vector<net::Endpoint> servers;
  for (const conf::TextLine& line : settings.servers)
    if (const auto server = conf::name_server(line.text)) servers.push_back(*server);
  if (!servers.empty() || settings.resolv_conf.empty()) return servers;
  const base::Descriptor file(::open(settings.resolv_conf.c_str(), O_RDONLY | O_CLOEXEC));
  const auto text = file.valid() ? base::read_all(file.get(), kResolvConfBytes) : Result<std::string>(std::string());
  return text ? resolver::name_servers_in(*text) : servers;
}

Result<std::unique_ptr<resolver::Source>> source_for(net::asio::io_context& io, const resolver::UnboundSettings& settings) {
  auto unbound = resolver::Unbound::start(io, settings);
  if (!unbound) return unbound.error();
  return std::unique_ptr<resolver::Source>(std::move(*unbound));
}

// With a trust anchor answers are validated, unless that turns out to be impossible.
Result<std::unique_ptr<resolver::Source>> start_source(net::asio::io_context& io, const resolver::UnboundSettings& settings, conf::Resolver::Dnssec dnssec) {
  auto source = source_for(io, settings);
  if (!source || settings.trust_anchor_file.empty() || dnssec == conf::Resolver::Dnssec::always) return source;
  resolver::ValidationSettings validation;
  const auto anchors = base::read_file(AT_FDCWD, settings.trust_anchor_file, kTrustAnchorBytes);
  if (anchors) validation.anchor = resolver::anchor_in(*anchors).value_or(validation.anchor);
  const auto make = [&io, settings](bool validating) {
    resolver::UnboundSettings own = settings;
    if (!validating) own.trust_anchor_file.clear();
    return source_for(io, own);
  };
  return std::unique_ptr<resolver::Source>(std::make_unique<resolver::Validation>(io, std::move(*source), make, std::move(validation)));
}

void log_servers(const resolver::UnboundSettings& unbound, std::string_view wanted_anchor) {
  std::string list;
  for (const net::Endpoint& server : unbound.servers) list += (list.empty() ? "" : " ") + server.to_string();
  base::log_event(base::Severity::info, "resolver-servers",
                  {{"servers", list.empty() ? std::string("root") : list}, {"validates", unbound.trust_anchor_file.empty() ? "no" : "yes"}});
  if (!wanted_anchor.empty() && unbound.trust_anchor_file.empty())
    base::log_event(base::Severity::notice, "resolver-no-anchor", {{"file", wanted_anchor}});
}

}  // namespace

int run_resolver(service::Start& start) {
  const conf::Resolver& settings = start.configuration->resolver;
  resolver::ServerSettings server_settings;
  server_settings.frames.process = "resolver";
  server_settings.frames.question_bytes = server_settings.frames.administrator_bytes = resolver::kQuestionBytes;
  if (auto found = find_asking_users(start, server_settings.frames); !found) return not_started("resolver", found.error());
  server_settings.time_limit = settings.time_limit;
  server_settings.questions = settings.questions;
  server_settings.questions_per_process = settings.questions_per_process;
  server_settings.answer_bytes = settings.answer_bytes;
  base::Descriptor listening = start.take("resolver-listen");
  if (!listening) return not_started("resolver", {Kind::permanent, "no socket was handed over"});

  const bool by_resolv_conf = settings.servers.empty() && !settings.resolv_conf.empty();
  const FileState resolv_conf = state_of(settings.resolv_conf);
  resolver::UnboundSettings unbound;
  unbound.servers = servers_for(settings);
  const bool wants_validation = settings.dnssec != conf::Resolver::Dnssec::off;
  if (wants_validation && ::access(settings.trust_anchor_file.c_str(), R_OK) == 0) unbound.trust_anchor_file = settings.trust_anchor_file;
  // Each question may hold a socket.
  const std::uint64_t sockets = start.open_files > 2 * kOtherDescriptors ? start.open_files - kOtherDescriptors : start.open_files / 2;
  unbound.questions = static_cast<unsigned>(std::clamp<std::uint64_t>(settings.questions, 16, std::max<std::uint64_t>(sockets, 16)));
  unbound.cache_bytes = settings.cache_bytes;

  net::asio::io_context io(1);
  service::ControlLink link(io, start);
  auto source = start_source(io, unbound, settings.dnssec);
  if (!source) return not_started("resolver", source.error());
  log_servers(unbound, wants_validation ? std::string_view(settings.trust_anchor_file) : std::string_view());
  resolver::Server server(io, std::move(listening), **source, std::move(server_settings));
  server.start();
  if (by_resolv_conf) net::run_for_life(io, watch(link, settings.resolv_conf, resolv_conf));
  link.ready();
  io.run();
  return 0;
}

}  // namespace postern::roles
