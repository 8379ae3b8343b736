// SPDX-License-Identifier: Apache-2.0
#pragma once
// A connection to one milter: packets out, answers in. What they mean is for others (milter/chain.h).
//
// Failure: Kind::temporary when the connection is lost or a time limit is over, Kind::corrupt when the milter breaks the protocol. After an error the
// connection is of no use any more. Limits: kGatheredBytes of packets wait to be sent, one packet of kAnswerBytes is held.
#include "net/asio.h"

#include "milter/protocol.h"
#include "net/stream.h"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

namespace postern::milter {

class Client {
 public:
  static constexpr std::size_t kGatheredBytes = 64 * 1024;

  // `time`: for each thing that is waited for.
  Client(std::unique_ptr<net::Stream> stream, std::chrono::milliseconds time) : stream_(std::move(stream)), input_(*stream_), time_(time) {}

  // What both can; the first thing to be called.
  net::Awaitable<Result<void>> negotiate();
  [[nodiscard]] const Offer& offer() const { return offer_; }

  // Puts a packet behind those that wait.
  void add(char command, std::string_view data) { waiting_ += packet(command, data); }
  [[nodiscard]] bool many() const { return waiting_.size() >= kGatheredBytes; }
  net::Awaitable<Result<void>> flush();
  // The next answer, after everything that waits was sent.
  net::Awaitable<Result<Answer>> answer(std::chrono::milliseconds time);

 private:
  struct Packet {
    char letter = 0;
    std::string data;
  };
  net::Awaitable<Result<Packet>> next_packet(std::chrono::milliseconds time);
  net::Awaitable<Result<std::string>> take(std::size_t count);

  std::unique_ptr<net::Stream> stream_;
  net::Input input_;
  std::chrono::milliseconds time_;
  std::string waiting_;
  Offer offer_;
};

}  // namespace postern::milter
