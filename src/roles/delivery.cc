// SPDX-License-Identifier: Apache-2.0
#include "roles/delivery.h"

#include "base/kill_point.h"
#include "base/log.h"
#include "delivery/deliverer.h"
#include "delivery/filter_settings.h"
#include "delivery/verdict.h"
#include "net/run_for_life.h"
#include "policy/access.h"
#include "policy/conversion.h"
#include "policy/channels.h"
#include "roles/directory_watch.h"
#include "roles/journal_feed.h"
#include "roles/mail_system.h"
#include "roles/not_started.h"
#include "roles/outgoing_mail.h"
#include "roles/workers_lock.h"

#include <memory>

namespace postern::roles {
namespace {

namespace asio = net::asio;
using base::Severity;
using net::Awaitable;

// What one scan brings is worked on in batches before the next one.
constexpr std::size_t kRecordsInScan = 4096;
// How often the end of what filters discarded is looked for, and how much of it ends at once.
constexpr std::chrono::minutes kDiscardedInterval{5};
constexpr std::size_t kDiscardedAtOnce = 1000;
// What was looked up after a death is kept so long when nobody asks for it any more.
constexpr std::chrono::minutes kEarlierKept{10};

store::StoreSettings store_settings(const conf::Configuration& configuration) {
  store::StoreSettings settings;
  switch (configuration.delivery.sync) {
    case conf::Delivery::Sync::automatic: settings.sync = store::StoreSettings::Sync::automatic; break;
    case conf::Delivery::Sync::file_system: settings.sync = store::StoreSettings::Sync::file_system; break;
    case conf::Delivery::Sync::each_file: settings.sync = store::StoreSettings::Sync::each_file; break;
  }
  return settings;
}

delivery::DelivererSettings deliverer_settings(const conf::Configuration& configuration, unsigned child) {
  delivery::DelivererSettings settings;
  settings.child = child;
  settings.attempts_alone = configuration.delivery.attempts_alone;
  settings.batch_bytes = configuration.delivery.batch_bytes;
  settings.retry = queue::schedule_for_mailboxes(configuration);
  settings.received_fields = configuration.smtp.received_fields;
  settings.create_folders = configuration.delivery.create_folders;
  settings.filters = delivery::filter_settings(configuration);
  settings.mistake_notice = configuration.filters.mistake_notice;
  settings.quota_warning_percent = configuration.quota.warning_percent;
  settings.quota_recheck = configuration.quota.recheck_time;
  std::vector<conf::Mistake> checked_already;
  const auto channels = policy::Channels::parse(configuration.channels, checked_already);
  const policy::Channel* const discarded = channels.find("filter_discard");
  const std::chrono::seconds kept = std::chrono::days(discarded != nullptr ? discarded->notice_days : policy::Channel().notice_days);
  if (configuration.filters.discard == 2) settings.keep_discarded = kept;
  if (configuration.filters.jettison == 2) settings.keep_jettisoned = kept;
  return settings;
}

delivery::DefragmenterSettings defragmenter_settings(const conf::Configuration& configuration) {
  const conf::Defragment& settings = configuration.defragment;
  return {settings.wait_time, settings.messages, settings.pieces, settings.message_bytes};
}

class DeliveryRole {
 public:
  DeliveryRole(asio::io_context& io, service::Start& start, service::ControlLink& link, MailSystem::Opened system,
               std::unique_ptr<Submitter> outgoing, spool::EarlierRecords earlier, spool::JournalReader reader,
               spool::Deferred deferred, spool::Deferred discarded, spool::Deferred conversion, spool::Deferred defragment, spool::Held held, store::Store store, base::Descriptor notices,
               base::Descriptor questions)
      : io_(io),
        child_(start.number),
        system_(io, start, link, std::move(system)),
        outgoing_(std::move(outgoing)),
        earlier_(std::move(earlier)),
        reader_(std::move(reader)),
        deferred_(std::move(deferred)),
        discarded_(std::move(discarded)),
        conversion_(std::move(conversion)),
        defragment_(std::move(defragment)),
        held_(std::move(held)),
        store_(std::move(store)),
        defragmenter_({io, defragment_, deferred_,
                       [this](mail::Envelope envelope, std::string message) { return system_.submit(std::move(envelope), std::move(message)); },
                       [this] { system_.state().note_death(); }, [this](std::vector<spool::Position> records) { return finished(std::move(records)); }},
                      defragmenter_settings(*start.configuration)),
        // What goes is of no interest: whoever takes an entry away knows what becomes of it.
        defragment_watch_(io, {[this](const std::string& name) { if (spool::Deferred::entry_of(name)) defragmenter_.arrived(); }, [](const std::string&) {},
                               [this] { defragmenter_.arrived(); }}),
        deliverer_({reader_, system_.state(), deferred_, held_, store_, system_.directory(),
                    [this](mail::Envelope envelope, std::string message) { return system_.submit(std::move(envelope), std::move(message)); },
                    [this](std::string address) { return system_.resolve(std::move(address)); }, &discarded_,
                    script_of(),
                    [this](std::vector<delivery::Outgoing> messages) { return send_out(std::move(messages)); },
                    [this](const mail::Envelope& envelope, const mail::Recipient& recipient) {
                      return earlier_.has(envelope, recipient.address, system_.state().last_death());
                    },
                    [this](mail::Envelope envelope, std::string_view message, std::vector<mail::RecipientStatus> statuses) {
                      return system_.notifier().tell(std::move(envelope), message, std::move(statuses));
                    },
                    &conversion_, [this](const mail::Envelope& envelope, const mail::Recipient& recipient) { return converts(envelope, recipient); },
                    [this](const mail::Envelope& envelope, const mail::Recipient& recipient) {
                      return policy::process(system_.rules().access(), policy::processing_facts(envelope, recipient.destination_channel), envelope.reverse_path, recipient);
                    },
                    &defragmenter_, [this](const std::string& channel) { return defragments(channel); }},
                   deliverer_settings(*start.configuration, start.number)),
        verdicts_(reader_, store_, system_.directory(), script_of()),
        batch_messages_(start.configuration->delivery.batch_messages),
        outgoing_mail_(system_.directory(), start.configuration),
        feed_(io, std::move(notices), reader_, system_.state(), kRecordsInScan),
        questions_(io, questions.release()) {
    verdicts_.filtering().set_settings(delivery::filter_settings(*start.configuration));
    for (delivery::Filtering* const filtering : {&deliverer_.filtering(), &verdicts_.filtering()}) {
      filtering->lists().set_generation([this] { return system_.generations().directory(); });
      filtering->lists().set_tables([this](const std::string& table, const std::string& value) {
        const mapping::Tables tables = system_.rules().access().tables();
        const mapping::Mapped mapped = mapping::evaluate(tables, table, value);
        return mapped.matched && !mapped.step_limit_exceeded;
      });
    }
    verdicts_.set_defragments([this](const std::string& channel) { return defragments(channel); });
    verdicts_.set_converts([this](const mail::Envelope& envelope, const mail::Recipient& recipient) { return converts(envelope, recipient); });
    keep_programs(start.configuration->filters.cache_bytes);
  }

  void begin(service::ControlLink& link) {
    link.on_configuration([this](std::shared_ptr<const conf::Configuration> configuration) {
      deliverer_.set_settings(deliverer_settings(*configuration, child_));
      defragmenter_.set_settings(defragmenter_settings(*configuration));
      verdicts_.filtering().set_settings(delivery::filter_settings(*configuration));
      batch_messages_ = configuration->delivery.batch_messages;
      outgoing_mail_.set_configuration(configuration);
    });
    link.on_rescan([this] { feed_.rescan(); });
    // What has been claimed is brought to its end: a death would make suspects of it.
    link.on_finish([this](std::chrono::milliseconds) {
      finishing_ = true;
      defragmenter_.finish();
      feed_.wake();
      stop_when_idle();
    });
    net::run_for_life(io_, answer_questions());
    // For nobody yet: the first message that goes on may take over the segments of a child that died.
    [[maybe_unused]] const bool known = earlier_.has({}, {}, system_.state().last_death());
    feed_.begin();
    defragment_watch_.begin(defragment_.descriptor(), [] {});
    net::run_for_life(io_, put_together());
    net::run_for_life(io_, serve());
  }

  void end() {
    [[maybe_unused]] const auto synced = reader_.sync_marks();
    system_.submitter().finish();
    outgoing_->finish();
  }

 private:
  delivery::Filtering::ScriptOf script_of() {
    return [this](std::string account, std::string name) { return system_.directory().script_of(std::move(account), std::move(name)); };
  }

  // Compiled filters are kept beside the mailboxes, if their directory is there: an older master may not have made it.
  void keep_programs(std::uint64_t most_bytes) {
    if (most_bytes == 0) return;
    auto directory = base::open_directory(system_.base(), "filters");
    if (!directory) return base::log_event(Severity::warning, "program-not-kept", {{"reason", directory.error().what}});
    programs_.emplace(base::system_files(), std::move(*directory), most_bytes);
    deliverer_.filtering().set_cache(&*programs_);
    verdicts_.filtering().set_cache(&*programs_);
  }

  // Says of records that are not answered yet who refuses them. One question at a time: others that wait are for whoever is idle.
  Awaitable<void> answer_questions() {
    for (;;) {
      co_await questions_.async_wait(asio::posix::stream_descriptor::wait_read, net::use_awaitable);
      auto question = base::receive_with_descriptors(questions_.native_handle(), spool::kMostNoticeBytes);
      // Another child was faster.
      if (!question || question->descriptors.size() != 1) continue;
      const auto positions = spool::decode_notice(question->bytes);
      if (positions.size() != 1) continue;
      POSTERN_KILL_POINT("verdict-asked");
      const std::vector<mail::Refusal> refusals = co_await verdicts_.refusals(positions.front());
      const std::string answer = delivery::encode_verdict(refusals);
      // Whoever has asked may have given up.
      [[maybe_unused]] const ssize_t sent = ::send(question->descriptors.front().get(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
  }

  Awaitable<void> serve() {
    auto next_discarded = base::steady_now();
    while (!finishing_) {
      working_ = true;
      if (feed_.has_notices()) {
        std::vector<spool::Position> positions = feed_.take_notices(batch_messages_);
        if (!positions.empty()) co_await deliverer_.work(std::move(positions));
      }
      feed_.note_put_back(deliverer_.counters().put_back);
      if (!found_.empty()) {
        const std::size_t looked_at = co_await deliverer_.work(found_, batch_messages_);
        found_.erase(found_.begin(), found_.begin() + static_cast<std::ptrdiff_t>(looked_at));
        // Without the claims' lock nothing can be done; the next scan tries again.
        if (looked_at == 0) found_.clear();
      } else if (feed_.scan_due()) {
        found_ = feed_.scan();
      }
      feed_.upkeep();
      if (base::steady_now() >= next_discarded) {
        remove_discarded();
        earlier_.forget_unused(kEarlierKept);
        deferred_.forget_unused(kEarlierKept);
        conversion_.forget_unused(kEarlierKept);
        defragment_.forget_unused(kEarlierKept);
        next_discarded = base::steady_now() + kDiscardedInterval;
      }
      working_ = false;
      if (feed_.has_notices() || !found_.empty() || feed_.scan_due() || finishing_) {
        // Orders of the master come in between.
        co_await asio::post(io_, net::use_awaitable);
        continue;
      }
      co_await feed_.wait();
    }
    stop_when_idle();
  }

  Awaitable<void> put_together() {
    co_await defragmenter_.run();
    defragmenting_ = false;
    stop_when_idle();
  }

  void stop_when_idle() {
    if (finishing_ && !working_ && !defragmenting_) io_.stop();
  }

  // A note that only this process knows of would be gone with it.
  bool finished(std::vector<spool::Position> records) {
    reader_.drop_finished(records);
    if (!records.empty()) return false;
    const auto synced = reader_.sync_marks();
    return synced.has_value();
  }

  // What was kept long enough goes without a word (access-control.md 6.6). Other children do the same.
  void remove_discarded() {
    auto due = discarded_.due(base::wall_now(), kDiscardedAtOnce);
    if (!due) return base::log_event(Severity::warning, "discarded-not-removed", {{"reason", due.error().what}});
    for (const spool::DeferredEntry& entry : *due)
      if (auto removed = discarded_.remove(entry); !removed && removed.error().kind != Kind::not_found)
        return base::log_event(Severity::warning, "discarded-not-removed", {{"id", entry.id}, {"reason", removed.error().what}});
  }

  // Those that can be made ready, together; the others' errors stand in their places.
  Awaitable<std::vector<Result<void>>> send_out(std::vector<delivery::Outgoing> messages) {
    std::vector<Result<void>> answers(messages.size());
    std::vector<delivery::Outgoing> ready;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < messages.size(); ++i) {
      answers[i] = co_await outgoing_mail_.prepare(messages[i]);
      if (!answers[i]) continue;
      ready.push_back(std::move(messages[i]));
      places.push_back(i);
    }
    auto sent = co_await outgoing_->submit_all(std::move(ready));
    for (std::size_t i = 0; i < places.size(); ++i) answers[places[i]] = std::move(sent[i]);
    co_return answers;
  }

  bool defragments(const std::string& channel) {
    if (channel == "defragment") return true;
    const policy::Access access = system_.rules().access();
    const policy::Channel* const known = access.site().channels.find(channel);
    return known != nullptr && known->defragments;
  }

  Awaitable<bool> converts(const mail::Envelope& envelope, const mail::Recipient& recipient) {
    const policy::Access access = system_.rules().access();
    const bool converts = co_await policy::goes_through_conversion(access, envelope.source_channel, recipient.destination_channel, recipient.conversion);
    co_return converts;
  }

  asio::io_context& io_;
  unsigned child_;
  MailSystem system_;
  std::unique_ptr<Submitter> outgoing_;
  spool::EarlierRecords earlier_;
  spool::JournalReader reader_;
  spool::Deferred deferred_, discarded_, conversion_, defragment_;
  spool::Held held_;
  store::Store store_;
  std::optional<delivery::ProgramCache> programs_;
  delivery::Defragmenter defragmenter_;
  DirectoryWatch defragment_watch_;
  delivery::Deliverer deliverer_;
  delivery::Verdicts verdicts_;
  std::size_t batch_messages_;
  OutgoingMail outgoing_mail_;
  JournalFeed feed_;
  asio::posix::stream_descriptor questions_;
  std::vector<spool::Position> found_;  // by the last scan, not yet looked at
  bool finishing_ = false, working_ = false, defragmenting_ = true;
};

}  // namespace

int run_delivery(service::Start& start) {
  asio::io_context io(1);
  if (auto alone = wait_for_other_workers(start); !alone) return not_started("delivery", alone.error());
  auto system = MailSystem::open(start);
  if (!system) return not_started("delivery", system.error());
  auto outgoing = Submitter::open(start, Journal::outgoing);
  if (!outgoing) return not_started("delivery", outgoing.error());
  auto earlier = spool::EarlierRecords::open(base::system_files(), (*outgoing)->spool_directory());
  if (!earlier) return not_started("delivery", earlier.error());
  const int spool = system->submitter->spool_directory();
  auto reader = spool::JournalReader::open(base::system_files(), spool);
  if (!reader) return not_started("delivery", reader.error());
  auto deferred = spool::Deferred::open(base::system_files(), spool);
  if (!deferred) return not_started("delivery", deferred.error());
  auto discarded = spool::Deferred::open(base::system_files(), spool, "discarded");
  if (!discarded) return not_started("delivery", discarded.error());
  auto conversion = spool::Deferred::open(base::system_files(), spool, "conversion");
  if (!conversion) return not_started("delivery", conversion.error());
  auto defragment = spool::Deferred::open(base::system_files(), spool, "defragment");
  if (!defragment) return not_started("delivery", defragment.error());
  auto held = spool::Held::open(base::system_files(), spool);
  if (!held) return not_started("delivery", held.error());
  auto mail = base::open_directory(start.get("base"), "mail");
  if (!mail) return not_started("delivery", mail.error());
  auto store = store::Store::open(base::system_files(), mail->get(), store_settings(*start.configuration));
  if (!store) return not_started("delivery", store.error());
  base::Descriptor notices = start.take("notices-read");
  if (!notices) return not_started("delivery", {Kind::invalid, "no socket for notices was handed over"});
  base::Descriptor questions = start.take("verdicts-read");
  if (!questions) return not_started("delivery", {Kind::invalid, "no socket for verdicts was handed over"});

  service::ControlLink link(io, start);
  DeliveryRole role(io, start, link, std::move(*system), std::move(*outgoing), std::move(*earlier), std::move(*reader), std::move(*deferred), std::move(*discarded), std::move(*conversion), std::move(*defragment), std::move(*held), std::move(*store),
                    std::move(notices), std::move(questions));
  role.begin(link);
  link.ready();
  io.run();
  role.end();
  return 0;
}

}  // namespace postern::roles
