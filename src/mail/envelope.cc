// SPDX-License-Identifier: Apache-2.0
// The bytes (doc/design/envelope.md): magic, version, then every field of the struct in a fixed order. Numbers are little endian; a
// text is four bytes length and its bytes; a list is four bytes count and its elements.
#include "mail/envelope.h"

namespace postern::mail {

namespace {

constexpr std::string_view kMagic = "PEnv";
// Has no held_by and no spam_adjustments; a spool outlives an upgrade.
constexpr unsigned kVersionWithoutNotes = 1;
// Has nothing of what the queue and the relay need: RET, priority, times, failures.
constexpr unsigned kVersionWithoutQueue = 2;
// Has no next_host and no list_owner, nothing is restored, and nothing is known of the sender.
constexpr unsigned kVersionWithoutLists = 3;
// Knows nothing of the conversion channel.
constexpr unsigned kVersionWithoutConversion = 4;
// Knows nothing of channel defragment.
constexpr unsigned kVersionWithoutDefragment = 5;
constexpr std::size_t kLeastText = 4;       // bytes of an empty text
constexpr std::size_t kLeastRecipient = 6 * kLeastText + 4 + 1;  // of the versions before; that of the present one is larger

enum EnvelopeFlag : unsigned { kBody8bit = 1, kSmtpUtf8 = 2, kHeld = 4, kDiscarded = 8, kJettisoned = 16, kNoVacation = 32, kReleased = 64, kReturned = 128,
                               kEnvelopeFlags = 255, kEarlierEnvelopeFlags = 127 };
enum QueueFlag : unsigned { kRequireTls = 1, kHoldUntil = 2, kDeliverBy = 4, kNotifyLate = 8, kTrace = 16, kRestored = 32, kQueueFlags = 63, kEarlierQueueFlags = 31 };
enum NotifyFlag : unsigned { kSuccess = 1, kFailure = 2, kDelay = 4, kGiven = 8, kNever = 16, kDelayNotified = 32, kNotifyFlags = 63, kEarlierNotifyFlags = 7 };

enum WayFlag : unsigned { kForwarded = 1, kDefragmented = 2, kWayFlags = 3, kEarlierWayFlags = 1 };

// Of an envelope with one recipient.
constexpr std::size_t kUsualBytes = 512;

class Writer {
 public:
  template <class Number>
  void number(Number value) {
    char bytes[sizeof(Number)];
    for (std::size_t i = 0; i < sizeof(Number); ++i) bytes[i] = static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
    out_.append(bytes, sizeof bytes);
  }
  void time(base::WallTime value) { number(static_cast<std::uint64_t>(base::to_microseconds(value))); }
  void text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    out_.append(value);
  }
  void texts(const std::vector<std::string>& values) {
    number(static_cast<std::uint32_t>(values.size()));
    for (const auto& value : values) text(value);
  }
  std::string out_;
};

// Takes from the front; after the first shortage nothing more is taken and good() is false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  // What was read can't have been written by encode().
  void fail() { good_ = false; }
  template <class Number>
  Number number() {
    std::uint64_t value = 0;
    const std::string_view bytes = take(sizeof(Number));
    for (std::size_t i = 0; i < bytes.size(); ++i) value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    return static_cast<Number>(value);
  }
  std::string text() { return std::string(take(number<std::uint32_t>())); }
  base::WallTime time() { return base::from_microseconds(static_cast<std::int64_t>(number<std::uint64_t>())); }
  // A count of elements of at least `least_bytes` each: never more than the remaining bytes can hold.
  std::uint32_t count(std::size_t least_bytes) {
    const auto found = number<std::uint32_t>();
    if (found > rest_.size() / least_bytes) {
      good_ = false;
      return 0;
    }
    return found;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> values;
    for (std::uint32_t left = count(kLeastText); left > 0 && good_; --left) values.push_back(text());
    return values;
  }
  unsigned flags(unsigned known) {
    const unsigned found = number<std::uint8_t>();
    if ((found & ~known) != 0) good_ = false;
    return found;
  }
  // One byte, no larger than `most`.
  unsigned at_most(unsigned most) {
    const unsigned found = number<std::uint8_t>();
    if (found > most) good_ = false;
    return good_ ? found : 0;
  }
  std::string_view take(std::size_t bytes) {
    if (!good_ || bytes > rest_.size()) {
      good_ = false;
      return {};
    }
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }

 private:
  std::string_view rest_;
  bool good_ = true;
};

void read_queue_fields(Reader& in, unsigned version, Envelope& envelope) {
  const unsigned flags = in.flags(version > kVersionWithoutLists ? kQueueFlags : kEarlierQueueFlags);
  envelope.restored = (flags & kRestored) != 0;
  envelope.require_tls = (flags & kRequireTls) != 0;
  envelope.ret = static_cast<Return>(in.at_most(static_cast<unsigned>(Return::headers)));
  envelope.priority = static_cast<int>(in.at_most(kHighestPriority - kLowestPriority)) + kLowestPriority;
  if ((flags & kHoldUntil) != 0) envelope.hold_until = in.time();
  if ((flags & kDeliverBy) == 0) {
    if ((flags & (kNotifyLate | kTrace)) != 0) in.fail();
    return;
  }
  DeliverBy& deliver_by = envelope.deliver_by.emplace();
  deliver_by.until = in.time();
  deliver_by.mode = (flags & kNotifyLate) != 0 ? DeliverBy::Mode::notify : DeliverBy::Mode::return_message;
  deliver_by.trace = (flags & kTrace) != 0;
}

// Nothing of it, in one byte, for most mail.
void write(Writer& out, const SenderAuthentication& known) {
  const bool any = known != SenderAuthentication();
  out.number(static_cast<std::uint8_t>(any ? 1 : 0));
  if (!any) return;
  for (const std::string* const text : {&known.spf, &known.dkim, &known.dmarc, &known.arc, &known.spf_domain, &known.dmarc_domain, &known.dkim_domains, &known.dmarc_policy,
                                        &known.arc_instances, &known.results})
    out.text(*text);
}

void read_authentication(Reader& in, SenderAuthentication& known) {
  if (in.at_most(1) == 0) return;
  for (std::string* const text : {&known.spf, &known.dkim, &known.dmarc, &known.arc, &known.spf_domain, &known.dmarc_domain, &known.dkim_domains, &known.dmarc_policy,
                                  &known.arc_instances, &known.results})
    *text = in.text();
  if (known == SenderAuthentication()) in.fail();
}

}  // namespace

std::string encode(const Envelope& envelope) {
  Writer out;
  out.out_.reserve(kUsualBytes);
  out.out_.append(kMagic);
  out.out_ += static_cast<char>(kEnvelopeVersion);
  out.text(envelope.id);
  out.time(envelope.received);
  out.text(envelope.reverse_path);
  out.text(envelope.source_channel);
  out.text(envelope.client_address);
  out.text(envelope.helo);
  out.text(envelope.authenticated);
  out.text(envelope.protocol);
  out.text(envelope.envelope_id);
  out.number(static_cast<std::uint8_t>((envelope.body_8bit ? kBody8bit : 0U) | (envelope.smtputf8 ? kSmtpUtf8 : 0U) | (envelope.held ? kHeld : 0U) |
                                       (envelope.discarded ? kDiscarded : 0U) | (envelope.jettisoned ? kJettisoned : 0U) |
                                       (envelope.no_vacation ? kNoVacation : 0U) | (envelope.released ? kReleased : 0U) |
                                       (envelope.returned ? kReturned : 0U)));
  out.texts(envelope.added_header_fields);
  out.texts(envelope.conversion_tags);
  out.text(envelope.held_by);
  out.texts(envelope.spam_adjustments);
  out.number(envelope.attempts);
  const DeliverBy deliver_by = envelope.deliver_by.value_or(DeliverBy());
  out.number(static_cast<std::uint8_t>((envelope.require_tls ? kRequireTls : 0U) | (envelope.hold_until ? kHoldUntil : 0U) |
                                       (envelope.deliver_by ? kDeliverBy : 0U) | (deliver_by.mode == DeliverBy::Mode::notify ? kNotifyLate : 0U) |
                                       (deliver_by.trace ? kTrace : 0U) | (envelope.restored ? kRestored : 0U)));
  out.number(static_cast<std::uint8_t>(envelope.ret));
  out.number(static_cast<std::uint8_t>(envelope.priority - kLowestPriority));
  if (envelope.hold_until) out.time(*envelope.hold_until);
  if (envelope.deliver_by) out.time(deliver_by.until);
  write(out, envelope.authentication);
  out.number(static_cast<std::uint8_t>((envelope.forwarded ? kForwarded : 0U) | (envelope.defragmented ? kDefragmented : 0U)));
  out.number(static_cast<std::uint32_t>(envelope.recipients.size()));
  for (const Recipient& recipient : envelope.recipients) {
    out.text(recipient.address);
    out.text(recipient.original);
    out.text(recipient.orcpt);
    out.text(recipient.destination_channel);
    out.text(recipient.account);
    out.text(recipient.detail);
    out.texts(recipient.conversion_tags);
    out.number(static_cast<std::uint8_t>((recipient.notify_success ? kSuccess : 0U) | (recipient.notify_failure ? kFailure : 0U) |
                                         (recipient.notify_delay ? kDelay : 0U) | (recipient.notify_given ? kGiven : 0U) |
                                         (recipient.notify_never ? kNever : 0U) | (recipient.delay_notified ? kDelayNotified : 0U)));
    out.text(recipient.orcpt_type);
    out.text(recipient.last_failure.status);
    out.text(recipient.last_failure.diagnostic);
    out.text(recipient.last_failure.remote_host);
    out.time(recipient.last_failure.when);
    out.text(recipient.next_host);
    out.text(recipient.list_owner);
    out.number(static_cast<std::uint8_t>(recipient.conversion));
  }
  return std::move(out.out_);
}

Result<Envelope> decode_envelope(std::string_view bytes) {
  Reader in(bytes);
  if (in.take(kMagic.size()) != kMagic) return Error{Kind::corrupt, "no envelope"};
  const auto version = in.number<std::uint8_t>();
  if (version < kOldestEnvelopeVersion || version > kEnvelopeVersion)
    return Error{version > kEnvelopeVersion ? Kind::invalid : Kind::corrupt, "envelope of unknown version " + std::to_string(version)};
  Envelope envelope;
  envelope.id = in.text();
  envelope.received = in.time();
  envelope.reverse_path = in.text();
  envelope.source_channel = in.text();
  envelope.client_address = in.text();
  envelope.helo = in.text();
  envelope.authenticated = in.text();
  envelope.protocol = in.text();
  envelope.envelope_id = in.text();
  const bool of_the_queue = version > kVersionWithoutQueue;
  const unsigned flags = in.flags(of_the_queue ? kEnvelopeFlags : kEarlierEnvelopeFlags);
  envelope.body_8bit = (flags & kBody8bit) != 0;
  envelope.smtputf8 = (flags & kSmtpUtf8) != 0;
  envelope.held = (flags & kHeld) != 0;
  envelope.discarded = (flags & kDiscarded) != 0;
  envelope.jettisoned = (flags & kJettisoned) != 0;
  envelope.no_vacation = (flags & kNoVacation) != 0;
  envelope.released = (flags & kReleased) != 0;
  envelope.returned = (flags & kReturned) != 0;
  envelope.added_header_fields = in.texts();
  envelope.conversion_tags = in.texts();
  if (version != kVersionWithoutNotes) {
    envelope.held_by = in.text();
    envelope.spam_adjustments = in.texts();
  }
  envelope.attempts = in.number<std::uint32_t>();
  if (of_the_queue) read_queue_fields(in, version, envelope);
  if (version > kVersionWithoutLists) {
    read_authentication(in, envelope.authentication);
    const unsigned way = in.flags(version > kVersionWithoutDefragment ? kWayFlags : kEarlierWayFlags);
    envelope.forwarded = (way & kForwarded) != 0;
    envelope.defragmented = (way & kDefragmented) != 0;
  }
  const std::uint32_t recipients = in.count(kLeastRecipient);
  for (std::uint32_t i = 0; i < recipients && in.good(); ++i) {
    Recipient& recipient = envelope.recipients.emplace_back();
    recipient.address = in.text();
    recipient.original = in.text();
    recipient.orcpt = in.text();
    recipient.destination_channel = in.text();
    recipient.account = in.text();
    recipient.detail = in.text();
    recipient.conversion_tags = in.texts();
    const unsigned notify = in.flags(of_the_queue ? kNotifyFlags : kEarlierNotifyFlags);
    recipient.notify_success = (notify & kSuccess) != 0;
    recipient.notify_failure = (notify & kFailure) != 0;
    recipient.notify_delay = (notify & kDelay) != 0;
    if (!of_the_queue) {
      // The versions before wrote down what followed from NOTIFY, and nothing that was told.
      recipient.notify_never = !recipient.notify_success && !recipient.notify_failure && !recipient.notify_delay;
      recipient.notify_given = recipient.notify_success || !recipient.notify_failure || recipient.notify_delay;
      if (!recipient.orcpt.empty()) recipient.orcpt_type = "rfc822";
      continue;
    }
    recipient.notify_given = (notify & kGiven) != 0;
    recipient.notify_never = (notify & kNever) != 0;
    recipient.delay_notified = (notify & kDelayNotified) != 0;
    recipient.orcpt_type = in.text();
    recipient.last_failure.status = in.text();
    recipient.last_failure.diagnostic = in.text();
    recipient.last_failure.remote_host = in.text();
    recipient.last_failure.when = in.time();
    if (version <= kVersionWithoutLists) continue;
    recipient.next_host = in.text();
    recipient.list_owner = in.text();
    if (version <= kVersionWithoutConversion) continue;
    recipient.conversion = static_cast<Recipient::Conversion>(in.at_most(static_cast<unsigned>(Recipient::Conversion::done)));
  }
  if (!in.good()) return Error{Kind::corrupt, "envelope is damaged"};
  if (!in.at_end()) return Error{Kind::corrupt, "bytes behind the envelope"};
  return envelope;
}

}  // namespace postern::mail
