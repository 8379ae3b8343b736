// SPDX-License-Identifier: Apache-2.0
#include "queue/notification.h"

#include "base/crc32c.h"
#include "base/log.h"
#include "mail/message_id.h"

#include <algorithm>

namespace postern::queue {
namespace {

using base::Severity;
using mail::DeliveryAction;

// Stand for the number of an action in the ids of notices; those of filters are below (delivery/deliverer.cc).
constexpr unsigned kFirstNotice = 1U << 21;

// ENVID of what postmaster gets in the place of a sender: if that fails too there is nobody left to tell.
constexpr std::string_view kDoubleBounce = "postern-double-bounce";

enum class Notice : unsigned { failure, delay, success };

Notice notice_of(DeliveryAction action) {
  if (action == DeliveryAction::failed) return Notice::failure;
  return action == DeliveryAction::delayed ? Notice::delay : Notice::success;
}

std::string notice_id(const mail::Envelope& envelope, std::span<const RecipientStatus> statuses, Notice notice) {
  std::uint32_t sum = 0;
  for (const RecipientStatus& status : statuses) sum = base::crc32c(status.recipient.address + "\n" + status.recipient.detail + "\n", sum);
  return mail::derived_message_id(envelope.id, sum, kFirstNotice + static_cast<unsigned>(notice));
}

bool is_double_bounce(const mail::Envelope& envelope, const RecipientStatus& status) {
  return envelope.reverse_path.empty() && status.action == DeliveryAction::failed && envelope.envelope_id != kDoubleBounce;
}

}  // namespace

NotificationSettings notification_settings(const conf::Configuration& configuration) {
  NotificationSettings settings;
  settings.host_name = configuration.host_name;
  settings.postmaster = "postmaster@" + configuration.host_name;
  settings.return_bytes = configuration.queue.return_bytes;
  settings.recipients = configuration.queue.notice_recipients;
  settings.double_bounces = configuration.queue.double_bounces;
  for (const auto& [name, text] : conf::notice_texts(configuration)) {
    auto parsed = mail::NoticeText::parse(text);
    if (!parsed) continue;  // the check of the configuration refuses it
    (name == "failure" ? settings.failure : name == "delay" ? settings.delay : settings.success) = std::move(*parsed);
  }
  return settings;
}

std::vector<conf::Mistake> check_notices(const conf::Configuration& configuration) {
  std::vector<conf::Mistake> mistakes;
  for (const auto& [name, text] : conf::notice_texts(configuration))
    if (auto parsed = mail::NoticeText::parse(text); !parsed)
      mistakes.push_back({configuration.place_of("queue.notices_directory"), "queue.notices_directory",
                          configuration.queue.notices_directory + "/" + configuration.queue.notices_language + "/" + name + ": " + parsed.error().what});
  return mistakes;
}

bool wanted(const mail::Envelope& envelope, const RecipientStatus& status) {
  const mail::Recipient& recipient = status.recipient;
  if (envelope.reverse_path.empty() || recipient.notify_never) return false;
  switch (notice_of(status.action)) {
    case Notice::failure: return recipient.notify_failure;
    case Notice::delay: return !recipient.delay_notified && (recipient.notify_delay || !recipient.notify_given);
    case Notice::success: return recipient.notify_success;
  }
  return false;
}

std::vector<GeneratedMail> delivery_status_notifications(const mail::Envelope& envelope, std::string_view message,
                                                         std::span<const RecipientStatus> statuses, const NotificationSettings& settings,
                                                         std::optional<std::uint64_t> message_bytes) {
  std::vector<GeneratedMail> made;
  mail::ReportSettings report{settings.host_name, settings.postmaster, settings.return_bytes, nullptr};
  const std::string postmaster = settings.postmaster.empty() ? "postmaster@" + settings.host_name : settings.postmaster;
  for (const Notice notice : {Notice::failure, Notice::delay, Notice::success}) {
    std::vector<RecipientStatus> told;
    for (const RecipientStatus& status : statuses)
      if (notice_of(status.action) == notice &&
          (wanted(envelope, status) || (settings.double_bounces && is_double_bounce(envelope, status))))
        told.push_back(status);
    report.text = notice == Notice::failure ? &settings.failure : notice == Notice::delay ? &settings.delay : &settings.success;
    const std::size_t most = std::max<std::size_t>(1, settings.recipients);
    for (std::size_t begin = 0; begin < told.size(); begin += most) {
      const auto some = std::span<const RecipientStatus>(told).subspan(begin, std::min(most, told.size() - begin));
      made.push_back(mail::delivery_status_report(envelope, message, message_bytes.value_or(message.size()), some, envelope.reverse_path.empty() ? postmaster : envelope.reverse_path,
                                                  notice_id(envelope, some, notice), base::wall_now(), report));
      if (envelope.reverse_path.empty()) made.back().envelope.envelope_id = kDoubleBounce;
    }
  }
  return made;
}

net::Awaitable<Result<void>> Notifier::tell(mail::Envelope envelope, std::string_view message, std::vector<RecipientStatus> statuses,
                                            std::optional<std::uint64_t> message_bytes) {
  std::vector<GeneratedMail> notices = delivery_status_notifications(envelope, message, statuses, settings_, message_bytes);
  if (notices.empty() && envelope.reverse_path.empty())
    for (const RecipientStatus& status : statuses)
      if (status.action == DeliveryAction::failed)
        base::log_event(Severity::notice, "notice-dropped",
                        {{"id", envelope.id}, {"recipient", status.recipient.address}, {"reason", "the message has no sender"}, {"status", status.outcome.status}});
  for (GeneratedMail& notice : notices) {
    auto sent = co_await send(std::move(notice), envelope.id);
    if (!sent) co_return sent.error();
  }
  co_return Result<void>();
}

net::Awaitable<Result<void>> Notifier::tell_failed(const mail::Envelope& envelope, const std::string& message, std::string status, std::string why, bool why_counts) {
  std::vector<RecipientStatus> failed;
  for (const mail::Recipient& recipient : envelope.recipients) {
    RecipientStatus one{recipient, DeliveryAction::failed, recipient.last_failure, {}};
    one.outcome.status = status;
    if (why_counts) one.outcome.remote_host.clear();
    if (why_counts || one.outcome.diagnostic.empty()) one.outcome.diagnostic = why;
    failed.push_back(std::move(one));
  }
  auto told = co_await tell(envelope, message, std::move(failed));
  co_return told;
}

net::Awaitable<Result<void>> Notifier::tell_delay(mail::Envelope& envelope, const std::string& message, base::WallTime until) {
  std::vector<RecipientStatus> late;
  for (const mail::Recipient& recipient : envelope.recipients)
    if (!recipient.delay_notified) {
      late.push_back({recipient, DeliveryAction::delayed, recipient.last_failure, until});
      // RFC 2852 section 4.1: what is told is that the time is over.
      if (envelope.deliver_by && envelope.deliver_by->until <= base::wall_now()) late.back().outcome.status = "4.4.7";
    }
  if (late.empty()) co_return Result<void>();
  auto told = co_await tell(envelope, message, std::move(late));
  if (told)
    for (mail::Recipient& recipient : envelope.recipients) recipient.delay_notified = true;
  co_return told;
}

net::Awaitable<Result<void>> Notifier::send(GeneratedMail notice, std::string id) {
  const std::string to = notice.envelope.recipients.front().address;
  auto recipients = co_await resolve_(to);
  if (!recipients && recipients.error().kind == Kind::temporary) co_return recipients.error();
  if (!recipients || recipients->empty()) {
    base::log_event(Severity::warning, "notice-dropped", {{"id", id}, {"to", to}, {"reason", recipients ? "its recipient is thrown away" : recipients.error().what}});
    co_return Result<void>();
  }
  const mail::Recipient asked = notice.envelope.recipients.front();
  for (mail::Recipient& recipient : *recipients) {
    recipient.notify_given = asked.notify_given;
    recipient.notify_never = asked.notify_never;
    recipient.notify_success = recipient.notify_failure = recipient.notify_delay = false;
  }
  notice.envelope.recipients = std::move(*recipients);
  // A replay may have made it before: its store must look.
  notice.envelope.attempts = 1;
  const std::string new_id = notice.envelope.id;
  auto submitted = co_await submit_(std::move(notice.envelope), std::move(notice.text));
  if (!submitted) co_return submitted.error();
  base::log_event(Severity::info, "notice-sent", {{"id", id}, {"to", to}, {"new_id", new_id}});
  co_return Result<void>();
}

}  // namespace postern::queue
