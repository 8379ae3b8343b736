// SPDX-License-Identifier: Apache-2.0
#include "roles/conversion.h"

#include "base/log.h"
#include "conversion/channel.h"
#include "net/run_for_life.h"
#include "policy/access.h"
#include "roles/directory_watch.h"
#include "roles/mail_system.h"
#include "roles/not_started.h"
#include "roles/workers_lock.h"
#include "spool/held.h"

namespace postern::roles {
namespace {

namespace asio = net::asio;
using base::Severity;
using net::Awaitable;

// Without a watch over the directory it is looked through as often.
constexpr std::chrono::seconds kScanInterval{5};

conversion::ChannelSettings channel_settings(const conf::Configuration& configuration) {
  // Nobody else's host is in the way: what must wait here waits as mail for mailboxes does.
  return {queue::schedule_for_mailboxes(configuration), configuration.conversion.programs, queue::notification_settings(configuration).postmaster};
}

conversion::Limits limits_of(const conf::Conversion& settings) {
  conversion::Limits limits{settings.program_time, settings.program_memory, settings.output_bytes, settings.network, {}, settings.writable_bytes};
  for (const conf::TextLine& line : settings.writable) limits.writable.push_back(line.text);
  return limits;
}

class ConversionRole {
 public:
  ConversionRole(asio::io_context& io, service::Start& start, service::ControlLink& link, MailSystem::Opened system, spool::Deferred waiting,
                 spool::Held held, conversion::WorkPlace place)
      : io_(io),
        system_(io, start, link, std::move(system)),
        waiting_(std::move(waiting)),
        held_(std::move(held)),
        place_(std::move(place)),
        converter_(place_, [this](std::string table, std::string text) { return ask(std::move(table), std::move(text)); }),
        channel_({io, waiting_, converter_, system_.notifier(),
                  [this](mail::Envelope envelope, std::string message) { return system_.submit(std::move(envelope), std::move(message)); },
                  [this](std::string address) { return system_.resolve(std::move(address)); },
                  [this](const mail::Envelope& envelope, std::string_view message) { return held_.put(envelope, message, began_); }, [this] { wake_.cancel(); }},
                 channel_settings(*start.configuration)),
        wake_(io),
        watch_(io, {[this](const std::string& name) { channel_.appeared(name); }, [this](const std::string& name) { channel_.disappeared(name); },
                    [this] { scan_due_ = true; }}) {}

  Result<void> use(const conf::Configuration& configuration) {
    const auto file = conf::conversions(configuration);
    conversion::Entries entries;
    if (file) entries = conversion::parse_entries(file->second, file->first);
    auto set = converter_.set(std::move(entries.list), limits_of(configuration.conversion));
    if (!set) return set;
    channel_.set_settings(channel_settings(configuration));
    tell_isolation(converter_.isolation());
    return {};
  }

  void begin(service::ControlLink& link) {
    link.on_configuration([this](std::shared_ptr<const conf::Configuration> configuration) {
      // Without the file this process is about to be told to finish; until then it goes by what it has.
      if (!conf::conversions(*configuration)) return;
      if (auto used = use(*configuration); !used) base::log_event(Severity::error, "conversions-not-taken-over", {{"reason", used.error().what}});
      wake_.cancel();
    });
    // What is under way is brought to its end; a program that takes longer than the master waits is killed with this process, and run again later.
    link.on_finish([this](std::chrono::milliseconds) {
      finishing_ = true;
      wake_.cancel();
    });
    net::run_for_life(io_, serve());
  }

  void end() {
    // Whoever comes after this one counts anew; without a conversion channel nobody does, and what waits for it must keep no sender waiting.
    system_.state().set_converting(0);
    system_.submitter().finish();
  }

 private:
  // Once, and again where a reload has made another one of it.
  void tell_isolation(const conversion::Isolation& isolation) {
    const std::string now = isolation.namespaces() + "\n" + isolation.files();
    if (std::exchange(told_isolation_, now) == now) return;
    base::log_event(isolation.none() ? Severity::warning : Severity::notice, "programs-isolated", {{"namespaces", isolation.namespaces()}, {"files", isolation.files()}});
  }

  // 'TABLE:text' in the file of conversions.
  Awaitable<std::optional<std::string>> ask(std::string table, std::string text) {
    const policy::Access access = system_.rules().access();
    const policy::QuestionFacts facts;
    const mapping::Mapped mapped = co_await policy::ask_table(access.tables(), std::move(table), std::move(text), {}, access.questions(), facts);
    if (!mapped.matched || mapped.step_limit_exceeded || !mapped.flags.has_either_case('Y')) co_return std::nullopt;
    co_return mapped.output;
  }

  Awaitable<void> serve() {
    watch_.begin(waiting_.descriptor(), [this] { wake_.cancel(); });
    auto next_scan = base::steady_now();
    while (!finishing_ || channel_.under_way() > 0) {
      std::chrono::milliseconds wait = conversion::Channel::kLongestWait;
      if (!finishing_) {
        if (base::steady_now() >= next_scan && (scan_due_ || !watch_.is_open())) {
          auto scanned = channel_.scan();
          scan_due_ = !scanned;
          if (!scanned) base::log_event(Severity::error, "deferred-not-listed", {{"reason", scanned.error().what}});
          next_scan = base::steady_now() + kScanInterval;
        }
        wait = channel_.run();
        system_.state().set_converting(channel_.size());
      }
      wake_.expires_after(wait);
      boost::system::error_code ignored;
      co_await wake_.async_wait(asio::redirect_error(net::use_awaitable, ignored));
    }
    io_.stop();
  }

  asio::io_context& io_;
  MailSystem system_;
  spool::Deferred waiting_;
  spool::Held held_;
  conversion::WorkPlace place_;
  conversion::Converter converter_;
  conversion::Channel channel_;
  asio::steady_timer wake_;
  DirectoryWatch watch_;
  bool scan_due_ = true, finishing_ = false;
  std::string told_isolation_;
  const base::WallTime began_ = base::wall_now();
};

}  // namespace

int run_conversion(service::Start& start) {
  asio::io_context io(1);
  if (auto alone = wait_for_other_workers(start); !alone) return not_started("conversion", alone.error());
  auto system = MailSystem::open(start);
  if (!system) return not_started("conversion", system.error());
  const int spool = system->submitter->spool_directory();
  auto waiting = spool::Deferred::open(base::system_files(), spool, "conversion");
  if (!waiting) return not_started("conversion", waiting.error());
  auto held = spool::Held::open(base::system_files(), spool);
  if (!held) return not_started("conversion", held.error());
  auto place = conversion::WorkPlace::open(spool, start.get("base"));
  if (!place) return not_started("conversion", place.error());
  service::ControlLink link(io, start);
  // One before this may have died between a message's new record and the end of its entry: it comes once more then.
  system->submitter->state().note_death();
  ConversionRole role(io, start, link, std::move(*system), std::move(*waiting), std::move(*held), std::move(*place));
  if (auto used = role.use(*start.configuration); !used) return not_started("conversion", used.error());
  role.begin(link);
  link.ready();
  io.run();
  role.end();
  return 0;
}

}  // namespace postern::roles
