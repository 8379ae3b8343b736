// SPDX-License-Identifier: Apache-2.0
#include "queue/message_order.h"

#include "base/log.h"

#include <utility>

namespace postern::queue {
namespace {

using base::Severity;
using Order = Deferred::MessageOrder;

constexpr std::pair<std::string_view, Order> kOrders[] = {{"bounce", Order::bounce}, {"hold", Order::hold}, {"remove", Order::remove}};

}  // namespace

std::string_view to_string(Order order) {
  for (const auto& [word, known] : kOrders)
    if (known == order) return word;
  return "";
}

std::optional<Order> message_order_from(std::string_view word) {
  for (const auto& [known, order] : kOrders)
    if (known == word) return order;
  return std::nullopt;
}

void mark_held(mail::Envelope& envelope) {
  envelope.held = true;
  envelope.held_by = "posternctl queue hold";
}

net::Awaitable<Result<void>> carry_out(OrderParts parts, Order order, mail::Envelope envelope, std::string message) {
  Result<void> done;
  if (order == Order::bounce) {
    done = co_await parts.notifier.tell_failed(envelope, message, "5.0.0", kGivenUp);
  } else if (order == Order::hold) {
    mark_held(envelope);
    done = parts.hold(envelope, message);
  }
  if (done) base::log_event(Severity::notice, "order-carried-out", {{"id", envelope.id}, {"order", to_string(order)}});
  else base::log_event(Severity::error, "order-not-carried-out", {{"id", envelope.id}, {"order", to_string(order)}, {"reason", done.error().what}});
  co_return done;
}

}  // namespace postern::queue
