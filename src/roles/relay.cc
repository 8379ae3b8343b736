// SPDX-License-Identifier: Apache-2.0
#include "roles/relay.h"

#include "base/files.h"
#include "base/log.h"
#include "gate/activity.h"
#include "gate/scoreboard.h"
#include "net/run_for_life.h"
#include "relay/relayer.h"
#include "roles/journal_feed.h"
#include "roles/mail_system.h"
#include "roles/not_started.h"
#include "roles/workers_lock.h"

#include <memory>

namespace postern::roles {
namespace {

namespace asio = net::asio;
using net::Awaitable;

// Read at once from notices, so that orders of the master come in between.
constexpr std::size_t kRecordsAtOnce = 256;

// Below the spool directory: MTA-STS policies, and how connections came out.
struct TlsDirectories {
  base::Descriptor policies, reports;
};

Result<TlsDirectories> open_tls_directories(int spool) {
  TlsDirectories opened;
  for (const auto& [name, into] : {std::pair(relay::kStsDirectory, &opened.policies), std::pair(relay::kReportsDirectory, &opened.reports)}) {
    auto made = base::make_and_open_directory(base::system_files(), spool, name, 0750);
    if (!made) return made.error();
    *into = std::move(*made);
  }
  return opened;
}

std::int64_t now_microseconds() { return gate::steady_microseconds(base::steady_now()); }

// One connection that we have made, as the figures know it.
class CountedConnection {
 public:
  CountedConnection(std::shared_ptr<gate::Activity> activity, gate::Owner owner) : activity_(std::move(activity)), owner_(owner) {
    activity_->outbound_began(owner_, now_microseconds());
  }
  CountedConnection(const CountedConnection&) = delete;
  CountedConnection& operator=(const CountedConnection&) = delete;
  ~CountedConnection() { activity_->outbound_ended(owner_, now_microseconds()); }

 private:
  std::shared_ptr<gate::Activity> activity_;
  gate::Owner owner_;
};

class RelayRole {
 public:
  RelayRole(asio::io_context& io, service::Start& start, service::ControlLink& link, MailSystem::Opened system, spool::JournalReader reader,
            spool::SharedState state, spool::Deferred deferred, std::shared_ptr<const net::TlsClient> tls,
            base::Descriptor notices, TlsDirectories directories, std::shared_ptr<gate::Activity> activity)
      : io_(io),
        owner_{start.number, start.incarnation},
        activity_(std::move(activity)),
        system_(io, start, link, std::move(system)),
        reader_(std::move(reader)),
        state_(std::move(state)),
        deferred_(std::move(deferred)),
        limits_(io),
        tls_directories_(std::move(directories)),
        advisor_(io, limits_, system_.outside().resolver(), tls, advisor_settings(start)),
        connector_(io, limits_, system_.outside().resolver(), std::move(tls), advisor_, relay::connector_settings(*start.configuration)),
        relayer_({io, reader_, state_, deferred_, [this](relay::Target target) { return connect(std::move(target)); },
                  [this](mail::Envelope envelope, std::string_view message, std::vector<mail::RecipientStatus> statuses, std::uint64_t message_bytes) {
                    return system_.notifier().tell(std::move(envelope), message, std::move(statuses), message_bytes);
                  }},
                 relay::relayer_settings(*start.configuration, start.number)),
        feed_(io, std::move(notices), reader_, state_, start.configuration->relay.waiting_messages + kRecordsAtOnce) {}

  void begin(service::ControlLink& link) {
    link.on_rescan([this] { feed_.rescan(); });
    // What has been begun is brought to its end: a death would make suspects of it.
    link.on_finish([this](std::chrono::milliseconds) {
      relayer_.finish([this] { io_.stop(); });
    });
    limits_.start();
    feed_.begin();
    net::run_for_life(io_, advisor_.run());
    net::run_for_life(io_, serve());
  }

  void end() {
    base::flush_log();
    advisor_.save();
    [[maybe_unused]] const auto synced = reader_.sync_marks();
    system_.submitter().finish();
  }

 private:
  Awaitable<void> serve() {
    for (;;) {
      const std::size_t room = std::min(relayer_.room(), kRecordsAtOnce);
      const bool more = room > 0 && (feed_.has_notices() || feed_.scan_due());
      if (room > 0 && feed_.has_notices()) relayer_.take(feed_.take_notices(room));
      feed_.note_put_back(relayer_.counters().put_back);
      for (; loops_counted_ < relayer_.counters().loops; ++loops_counted_) activity_->add(gate::ActivityCount::loops_out);
      if (room > 0 && feed_.scan_due()) relayer_.take(feed_.scan());
      feed_.upkeep();
      relayer_.upkeep();
      base::flush_log();
      if (more) co_await asio::post(io_, net::use_awaitable);
      else co_await wait();
    }
  }

  [[nodiscard]] relay::TlsAdvisorSettings advisor_settings(const service::Start& start) const {
    relay::TlsAdvisorSettings settings = relay::tls_advisor_settings(*start.configuration);
    settings.child = start.number;
    settings.policies = tls_directories_.policies.get();
    settings.reports = tls_directories_.reports.get();
    return settings;
  }

  Awaitable<relay::Connected> connect(relay::Target target) {
    activity_->note_outbound_attempt(now_microseconds());
    relay::Connected connected = co_await connector_.connect(std::move(target));
    activity_->add(connected.connection ? gate::ActivityCount::outbound_made : gate::ActivityCount::outbound_failed);
    if (connected.connection) connected.connection->counted = std::make_shared<CountedConnection>(activity_, owner_);
    // The best mail exchanger is this server, which does not know the domain; or its address is ours.
    else if (connected.failure.status == "5.4.6") activity_->add(gate::ActivityCount::loops_out);
    co_return connected;
  }

  // Without room nothing is due, but soon there may be.
  Awaitable<void> wait() {
    if (relayer_.room() > 0) co_return co_await feed_.wait();
    asio::steady_timer timer(io_, std::chrono::milliseconds(20));
    co_await timer.async_wait(net::use_awaitable);
  }

  asio::io_context& io_;
  const gate::Owner owner_;
  const std::shared_ptr<gate::Activity> activity_;
  std::uint64_t loops_counted_ = 0;
  MailSystem system_;
  spool::JournalReader reader_;
  spool::SharedState state_;
  spool::Deferred deferred_;
  net::TimeLimits limits_;
  TlsDirectories tls_directories_;
  relay::TlsAdvisor advisor_;
  relay::Connector connector_;
  relay::Relayer relayer_;
  JournalFeed feed_;
};

}  // namespace

int run_relay(service::Start& start) {
  asio::io_context io(1);
  if (auto alone = wait_for_other_workers(start); !alone) return not_started("relay", alone.error());
  auto system = MailSystem::open(start);
  if (!system) return not_started("relay", system.error());
  const int spool = system->submitter->spool_directory();
  auto outgoing = open_journal_directory(start, Journal::outgoing);
  if (!outgoing) return not_started("relay", outgoing.error());
  auto state = map_journal_state(start, Journal::outgoing);
  if (!state) return not_started("relay", state.error());
  auto reader = spool::JournalReader::open(base::system_files(), outgoing->get());
  if (!reader) return not_started("relay", reader.error());
  auto deferred = spool::Deferred::open(base::system_files(), spool);
  if (!deferred) return not_started("relay", deferred.error());
  const conf::Configuration& configuration = *start.configuration;
  auto tls = net::TlsClient::make(configuration.relay.authorities, configuration.tls.ciphers);
  if (!tls) return not_started("relay", tls.error());
  auto memory = start.map("activity", true);
  if (!memory) return not_started("relay", memory.error());
  auto activity = gate::Activity::attach(std::move(*memory));
  if (!activity) return not_started("relay", activity.error());
  base::Descriptor notices = start.take("outgoing-read");
  if (!notices) return not_started("relay", {Kind::invalid, "no socket for notices was handed over"});

  auto directories = open_tls_directories(spool);
  if (!directories) return not_started("relay", directories.error());

  service::ControlLink link(io, start);
  RelayRole role(io, start, link, std::move(*system), std::move(*reader), std::move(*state), std::move(*deferred), std::move(*tls), std::move(notices), std::move(*directories), std::make_shared<gate::Activity>(std::move(*activity)));
  role.begin(link);
  link.ready();
  io.run();
  role.end();
  return 0;
}

}  // namespace postern::roles
