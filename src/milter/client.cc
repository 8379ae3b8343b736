// SPDX-License-Identifier: Apache-2.0
#include "milter/client.h"

#include <algorithm>

namespace postern::milter {

net::Awaitable<Result<void>> Client::flush() {
  if (waiting_.empty()) co_return Result<void>();
  stream_->set_time_limit(time_);
  auto sent = co_await stream_->write(waiting_);
  waiting_.clear();
  if (waiting_.capacity() > kGatheredBytes / 8) waiting_.shrink_to_fit();
  if (!sent) co_return Error{Kind::temporary, stream_->expired() ? "it takes nothing within the time limit" : sent.error().what};
  co_return Result<void>();
}

net::Awaitable<Result<std::string>> Client::take(std::size_t count) {
  std::string taken;
  while (taken.size() < count) {
    const auto piece = co_await input_.read_some();
    if (!piece) co_return Error{Kind::temporary, stream_->expired() ? "no answer within the time limit" : piece.error().what};
    if (piece->empty()) co_return Error{Kind::temporary, "it has closed the connection"};
    const std::size_t part = std::min(piece->size(), count - taken.size());
    taken.append(piece->substr(0, part));
    input_.consume(part);
  }
  co_return taken;
}

net::Awaitable<Result<Client::Packet>> Client::next_packet(std::chrono::milliseconds time) {
  auto sent = co_await flush();
  if (!sent) co_return sent.error();
  stream_->set_time_limit(time);
  const auto head = co_await take(4);
  if (!head) co_return head.error();
  std::uint32_t bytes = 0;
  for (const char c : *head) bytes = bytes << 8 | static_cast<unsigned char>(c);
  if (bytes == 0 || bytes > kAnswerBytes) co_return Error{Kind::corrupt, "a packet of " + std::to_string(bytes) + " bytes"};
  auto data = co_await take(bytes);
  if (!data) co_return data.error();
  Packet packet;
  packet.letter = data->front();
  data->erase(0, 1);
  packet.data = std::move(*data);
  co_return packet;
}

net::Awaitable<Result<Answer>> Client::answer(std::chrono::milliseconds time) {
  const auto packet = co_await next_packet(time);
  if (!packet) co_return packet.error();
  co_return parse_answer(packet->letter, packet->data);
}

net::Awaitable<Result<void>> Client::negotiate() {
  const Offer ours;
  waiting_ += encode_offer(ours);
  const auto packet = co_await next_packet(time_);
  if (!packet) co_return packet.error();
  if (packet->letter != command::kNegotiate) co_return Error{Kind::corrupt, "it does not answer the negotiation"};
  auto theirs = parse_offer(packet->data);
  if (!theirs) co_return theirs.error();
  // It may choose among what was offered. What it asks for beyond that it would count on.
  if ((theirs->actions & ~ours.actions) != 0 || (theirs->steps & ~ours.steps) != 0) co_return Error{Kind::corrupt, "it asks for what it was not offered"};
  offer_ = std::move(*theirs);
  co_return Result<void>();
}

}  // namespace postern::milter
