// SPDX-License-Identifier: Apache-2.0
#pragma once
// The side of one of our processes that answers questions of the others over a Unix socket (net/frame_client.h, net::ask()).
//
// Who asks is what the kernel says (SO_PEERCRED), not what the peer says. A bad frame, something that is no question, or a user who may not
// ask, ends that connection and no other. Questions on one connection are answered as they become ready; a peer that does not read its answers
// is not read from any more, so that it costs a bounded amount of memory.
//
// Failure: out of descriptors: accepting pauses 200 ms, logged. Limits: FrameServerSettings. One thread only: that of the io_context.
#include "net/asio.h"
#include "net/frames.h"

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace postern::net {

struct FrameServerSettings {
  std::string process;                     // who answers, for logs: "directory"
  std::vector<uid_t> users;                // who may ask
  std::vector<uid_t> administrators;       // who may also do what the handler keeps to them
  std::size_t connections = 1024;          // administrators get 16 more
  std::size_t question_bytes = 64 * 1024;  // longest frame from a user
  std::size_t administrator_bytes = kMaxFrameBytes;
};

// Who asks. Whoever holds it may answer later; after the connection has ended answers go nowhere.
class FramePeer {
 public:
  virtual ~FramePeer() = default;
  [[nodiscard]] virtual uid_t user() const = 0;
  [[nodiscard]] virtual bool administrator() const = 0;
  [[nodiscard]] virtual bool closed() const = 0;
  // Queues an answer; it is written when the peer reads.
  virtual void send(const boost::json::object& answer) = 0;
};

class FrameServer {
 public:
  // Called for each question; answers now or later. False if it is no question at all and the peer must go.
  using Handler = std::function<bool(const std::shared_ptr<FramePeer>& peer, const boost::json::object& request)>;

  // Takes the listening socket over.
  FrameServer(asio::io_context& io, base::Descriptor listening, FrameServerSettings settings, Handler handler);
  // stop().
  ~FrameServer();
  FrameServer(const FrameServer&) = delete;
  FrameServer& operator=(const FrameServer&) = delete;

  void start();
  // Accepts no more and closes every connection.
  void stop();
  [[nodiscard]] std::size_t connections() const;

  class State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace postern::net
