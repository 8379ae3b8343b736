// SPDX-License-Identifier: Apache-2.0
#pragma once
// The resolver child's side of run/resolver.sock: takes questions of our own processes, asks the source, hands the answers out.
//
// Identical questions are asked once, whoever asks. Whoever has waited for the time limit is told that nobody knows (Kind::temporary), but the
// question stays under way, and counted, until the source has given up: so what is under way is bounded, and a server that never
// answers costs each asker his own time and nobody else any.
//
// Failure: too many questions under way, in all or for one process: Kind::temporary at once, and a line in the log once a minute.
// Limits: ServerSettings.
#include "net/frame_server.h"
#include "resolver/source.h"

#include <chrono>
#include <memory>

namespace postern::resolver {

struct ServerSettings {
  net::FrameServerSettings frames;
  std::chrono::milliseconds time_limit{5000};
  std::size_t questions = 1000;              // different ones under way
  std::size_t questions_per_process = 500;   // of one connection
  std::size_t answer_bytes = 16 * 1024;      // of records; further ones are cut off, but one is always handed on
};

// Longest question: a name of 253 bytes, with room for what later versions add.
inline constexpr std::size_t kQuestionBytes = 2048;

class Server {
 public:
  // Takes the listening socket over. `source` must outlive the server.
  Server(net::asio::io_context& io, base::Descriptor listening, Source& source, ServerSettings settings);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void start();
  void stop();
  // For tests: different questions under way at the source.
  [[nodiscard]] std::size_t under_way() const;

  class State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace postern::resolver
