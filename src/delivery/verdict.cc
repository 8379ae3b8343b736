// SPDX-License-Identifier: Apache-2.0
#include "delivery/verdict.h"

#include "base/text.h"
#include "mail/partial.h"
#include "policy/channels.h"
#include "spool/segment_format.h"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>

namespace postern::delivery {
namespace {

using Kind = sieve::Action::Kind;

constexpr std::string_view kStandIn = "The recipient's filter refuses this message.";

bool is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

// At most kMostRefusalBytes, and no half character.
std::string shortened(std::string text) {
  if (text.size() <= kMostRefusalBytes) return text;
  std::size_t end = kMostRefusalBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
  return text;
}

}  // namespace

std::optional<std::string> refusal_text(const sieve::Decision& decision, const mail::Envelope& envelope) {
  if (decision.actions.size() != 1) return std::nullopt;
  const sieve::Action& action = decision.actions.front();
  if (action.kind != Kind::reject && action.kind != Kind::ereject && action.kind != Kind::refuse) return std::nullopt;
  if (is_ascii(action.reason) || envelope.smtputf8) return shortened(action.reason);
  if (action.kind == Kind::reject && !envelope.reverse_path.empty()) return std::nullopt;
  return std::string(kStandIn);
}

net::Awaitable<std::vector<mail::Refusal>> Verdicts::refusals(spool::Position position) {
  std::vector<mail::Refusal> refusals;
  auto record = reader_.read(position);
  // Answered meanwhile, or not to be read: nobody waits for us, or will be served by the delivery.
  if (!record || !record->pending) co_return refusals;
  const mail::Envelope& envelope = record->envelope;
  const mail::MessageView message(record->message(), {}, filtering_.settings().mime);
  for (std::uint32_t number = 0; number < envelope.recipients.size(); ++number) {
    const mail::Recipient& recipient = envelope.recipients[number];
    if (recipient.destination_channel == "bitbucket" || recipient.destination_channel == "hold" || policy::is_deferred(recipient.destination_channel)) continue;
    // A piece is not what the filters will see.
    if (defragments_ && !envelope.defragmented && defragments_(recipient.destination_channel) && mail::piece_of(record->message())) continue;
    // Members of a list get a message of their own.
    if (!recipient.list_owner.empty() && !envelope.reverse_path.empty()) continue;
    bool converted_first = false;
    if (converts_) converted_first = co_await converts_(envelope, recipient);
    if (converted_first) continue;
    FilterSubject subject(envelope, recipient, nullptr, filtering_.settings().recipient_delimiter);
    if (!recipient.account.empty()) {
      auto account = co_await directory_.account(recipient.account);
      if (!account || *account == nullptr) continue;
      // Its filters are asked where its mailbox is.
      if (directory::is_elsewhere(**account, base::lower(filtering_.settings().host_name))) continue;
      subject.account = std::move(*account);
    }
    auto scripts = co_await filtering_.scripts(subject);
    if (!scripts || scripts->empty()) continue;
    const sieve::Decision decision = filtering_.decide(*scripts, message, subject);
    filtering_.forget_seen();
    if (auto text = refusal_text(decision, envelope)) refusals.push_back({number, std::move(*text)});
  }
  co_return refusals;
}

std::string encode_verdict(const std::vector<mail::Refusal>& refusals) {
  boost::json::array list;
  std::size_t bytes = 0;
  for (const mail::Refusal& refusal : refusals) {
    boost::json::array entry{refusal.recipient, refusal.text};
    bytes += boost::json::serialize(entry).size() + 1;
    if (bytes + 2 > kMostAnswerBytes) break;
    list.push_back(std::move(entry));
  }
  return boost::json::serialize(list);
}

std::optional<std::vector<mail::Refusal>> decode_verdict(std::string_view bytes) {
  if (bytes.size() > kMostAnswerBytes) return std::nullopt;
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(boost::json::string_view(bytes.data(), bytes.size()), error);
  const auto* const list = error ? nullptr : value.if_array();
  if (list == nullptr) return std::nullopt;
  std::vector<mail::Refusal> refusals;
  for (const auto& entry : *list) {
    const auto* const pair = entry.if_array();
    if (pair == nullptr || pair->size() != 2) return std::nullopt;
    const auto* const number = (*pair)[0].if_int64();
    const auto* const text = (*pair)[1].if_string();
    if (number == nullptr || *number < 0 || *number >= spool::kMostRefusable || text == nullptr || text->size() > kMostRefusalBytes) return std::nullopt;
    refusals.push_back({static_cast<std::uint32_t>(*number), std::string(text->data(), text->size())});
  }
  return refusals;
}

}  // namespace postern::delivery
