// SPDX-License-Identifier: Apache-2.0
#pragma once
// The skeleton of every role that serves UDP: reads datagrams in batches, drops those that the row's restriction refuses or whose
// sender is blocked (L-50), hands the others to the role's handler one by one, and sends its answer from the address that was asked
// (listeners.md section 3).
//
//   int run_snmp(service::Start& start) {
//     net::asio::io_context io(1);
//     service::ControlLink link(io, start);
//     service::DatagramService service(io, start, link, {8192}, [&](const service::Datagram& datagram) { return agent.handle(datagram.bytes); });
//     service.begin();      // answers from now on, and tells the master that the child is ready
//     io.run();
//     return 0;
//   }
//
// The handler is a function of the datagram and of what the role knows; it must not wait. It is called on the io_context's thread.
//
// What became of each datagram is counted in shared memory (gate/datagram_counts.h) and, unless it was answered, logged: the first of
// each outcome at once, then sums every gate.refusal_sums. Sums are by outcome, not by address: who sends UDP can forge as many
// addresses as he likes. The ledger has refusals by address too, but of a limited number of addresses, once a second.
//
// There is no limit per address and none of rate (U-2). A socket that always has more gives way to the others after each batch.
// Failure: an exception that leaves the handler costs that datagram its answer. An answer that the system will not take at once is
// dropped; whoever asked asks again. Limits: kBatch datagrams of the size given, twice, per process.
#include "gate/datagram_counts.h"
#include "service/child.h"

#include "net/address.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace postern::service {

inline constexpr std::size_t kBatch = 32;

struct Datagram {
  std::string_view bytes;  // until the handler returns
  net::Endpoint remote;
  net::Endpoint local;     // that it was sent to
  const conf::Configuration* configuration = nullptr;
  const conf::SocketRow* row = nullptr;
};

struct DatagramReply {
  gate::DatagramOutcome outcome = gate::DatagramOutcome::unanswered;
  std::string bytes;  // to be sent if the outcome is `answered`
};

using DatagramHandler = std::function<DatagramReply(const Datagram& datagram)>;

struct DatagramSettings {
  std::size_t largest_request = 8192;  // bytes; a larger datagram is dropped (U-7)
};

// Addresses of which refusals are noted within a second; those of others stand in the counts only.
inline constexpr std::size_t kMostRefused = 1024;

class DatagramService {
 public:
  // Takes start.sockets over and maps the counts ("datagrams") and the ledger ("ledger"). All references must outlive the service.
  DatagramService(net::asio::io_context& io, Start& start, ControlLink& link, DatagramSettings settings, DatagramHandler handler);
  ~DatagramService();
  DatagramService(const DatagramService&) = delete;
  DatagramService& operator=(const DatagramService&) = delete;

  // Answers from now on and calls link.ready(). An error (shared memory unusable): return 1 from the role's function.
  Result<void> begin();
  // The counts that it writes; valid after begin().
  [[nodiscard]] const gate::DatagramCounts& counts() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace postern::service
