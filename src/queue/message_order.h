// SPDX-License-Identifier: Apache-2.0
#pragma once
// What orders about single messages mean (posternctl queue hold, bounce, remove): the same words and marks for whoever carries them out at once
// (tools/), and for those who find them when a message comes to wait again (queue/, conversion/).
//
// Failure: Result; the message stays then where it is.
#include "mail/envelope.h"
#include "queue/notification.h"
#include "spool/deferred.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace postern::queue {

using spool::Deferred;

// What a sender is told whose message was given up by an order.
inline constexpr const char* kGivenUp = "the administrator of this server has given it up";

// "bounce", "hold", "remove": in the log, and what posternctl takes.
std::string_view to_string(Deferred::MessageOrder order);
std::optional<Deferred::MessageOrder> message_order_from(std::string_view word);

// Makes it one that is held by an order.
void mark_held(mail::Envelope& envelope);

struct OrderParts {
  Notifier& notifier;
  // Puts a message among the held ones, durable on return.
  const std::function<Result<void>(const mail::Envelope&, std::string_view)>& hold;
};
// Does and logs what is to be done before the message's entry goes, which is for the caller, who has claimed it.
net::Awaitable<Result<void>> carry_out(OrderParts parts, Deferred::MessageOrder order, mail::Envelope envelope, std::string message);

}  // namespace postern::queue
