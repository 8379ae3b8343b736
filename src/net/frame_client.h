// SPDX-License-Identifier: Apache-2.0
#pragma once
// The way from one of our processes to another that answers questions over a Unix socket (net/frame_server.h): one connection, any number
// of questions under way on it, answers matched by number and taken in any order.
//
// Failure: the other process away (the connection is made anew at the next question, at most once every 100 ms), an answer later than the
// time limit, too many questions under way: Kind::temporary. A question whose connection was lost (the process was replaced) is asked again
// on the next one: three tries, within the time limit. A bad frame ends the connection.
// One thread only: that of the io_context.
#include "net/asio.h"

#include "base/result.h"

#include <boost/json/object.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace postern::net {

struct FrameClientSettings {
  std::string process;                         // whom we ask, for errors and logs: "directory"
  std::string socket;                          // below the base directory
  std::chrono::milliseconds time_limit{5000};  // for one question, waiting included
  std::size_t questions = 10000;               // under way at once
};

class FrameClient {
 public:
  // `base_directory` (not owned) must outlive the client.
  FrameClient(asio::io_context& io, int base_directory, FrameClientSettings settings);
  // close().
  ~FrameClient();
  FrameClient(const FrameClient&) = delete;
  FrameClient& operator=(const FrameClient&) = delete;

  // Asks nothing more; questions under way end with Kind::temporary.
  void close();
  // Asks and waits for the answer, which may carry an error (error_in(), net/frames.h). The number is put in here.
  Awaitable<Result<boost::json::object>> ask(boost::json::object request);
  // For tests and status: questions sent so far.
  [[nodiscard]] std::uint64_t asked() const;

  class State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace postern::net
