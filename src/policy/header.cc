// SPDX-License-Identifier: Apache-2.0
// What the tables change in the header of an accepted message: REVERSE, and the Sender field of $K (access-control.md 2.1, 2.6).
#include "base/text.h"
#include "mail/address_places.h"
#include "mail/header.h"
#include "policy/access.h"

#include <chrono>
#include <map>

namespace postern::policy {
namespace {

constexpr const char* kTable = "REVERSE";
// Addresses of one header that REVERSE is asked for; further ones stay as they are, and so do all once kQuestionsTime is over or the
// steps of one evaluation are used up by all of them together: whoever writes a long header must not hold the process that serves others.
constexpr std::size_t kMostAddresses = 1000;
// The others get their turn after so many steps, a few milliseconds.
constexpr std::uint64_t kStepsAtOnce = 500'000;

// Without its Sender fields, continuation lines and all, and with this one in front.
std::string with_sender(std::string_view header, const std::string& address) {
  std::string changed = "Sender: " + address + "\r\n";
  std::size_t kept_from = 0;
  for (const mail::HeaderField& field : mail::parse_header(header).fields) {
    if (!base::equal_ignoring_case(field.name, "Sender")) continue;
    changed += header.substr(kept_from, field.offset - kept_from);
    const auto behind = static_cast<std::size_t>(field.raw.data() - header.data()) + field.raw.size();
    const auto end = header.find('\n', behind);
    kept_from = end == std::string_view::npos ? header.size() : end + 1;
  }
  return changed.append(header.substr(kept_from));
}

}  // namespace

bool TransactionAccess::changes_header() const { return !sender_field_.empty() || access_.tables().has(kTable); }

net::Awaitable<std::optional<std::string>> TransactionAccess::changed_header(std::string header) {
  std::optional<std::string> changed;
  Notes notes;
  if (access_.tables().has(kTable)) {
    std::map<std::pair<bool, std::string>, std::string> known;
    std::string text;
    std::size_t kept_from = 0;
    const auto until = std::chrono::steady_clock::now() + kQuestionsTime;
    std::uint64_t steps = 0, steps_at_turn = 0;
    for (const mail::AddressPlace& place : mail::address_places(header, kMostAddresses)) {
      const std::string address = header.substr(place.offset, place.bytes);
      auto [found, is_new] = known.try_emplace({place.identifier, address});
      if (is_new && steps < mapping::kMaxEvaluationSteps && std::chrono::steady_clock::now() < until) {
        const Replacement other = co_await replace(kTable, mapping::Flags(place.identifier ? "I" : "B"), address, notes);
        if (other.mailbox) found->second = other.mailbox->to_string();
        steps += other.steps;
        if (steps >= mapping::kMaxEvaluationSteps) {
          notes.push_back({base::Severity::warning, "access-limit", {{"table", kTable}, {"limit", "steps of a header"}}});
        } else if (steps - steps_at_turn >= kStepsAtOnce) {
          steps_at_turn = steps;
          co_await net::asio::post(co_await net::asio::this_coro::executor, net::use_awaitable);
        }
      }
      if (found->second.empty()) continue;
      text.append(header, kept_from, place.offset - kept_from).append(found->second);
      kept_from = place.offset + place.bytes;
    }
    if (kept_from > 0) changed = text.append(header, kept_from);
  }
  if (!sender_field_.empty()) changed = with_sender(changed ? *changed : header, sender_field_);
  log_notes(session_->id, notes);
  co_return changed;
}

}  // namespace postern::policy
