// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a refused connection is told (listeners.md L-26) and what the log says about it (L-49).
#include "base/clock.h"
#include "conf/configuration.h"
#include "gate/admission.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace postern::gate {

// The bytes for a connection refused by the limit per address or because the module is full, in the words of its protocol;
// empty where the connection is closed without a word. `service` as in configurations ("smtp", "imap", "http" …).
std::string refusal_reply(std::string_view service, Reason reason, std::string_view host_name, const net::Address& remote, unsigned limit);

// The same with what the listener and the row say about it: nothing on a socket where TLS begins at once, nothing if the
// listener is silent, nothing for reasons that are answered by silence always (steps 2 to 4 of L-11).
std::string refusal_reply(const conf::Configuration& configuration, const conf::Listener& listener, const conf::SocketRow& row,
                          const Decision& decision, const net::Address& remote);

// The one error for a session of a service that is for clients only (L-15), in the words of its protocol. Where a server speaks only
// when it was asked (HTTP, LDAP, SIP), it is the answer to the first request. Empty: the service serves everybody.
std::string_view not_client_reply(std::string_view service);

// Writes refusals to the log: the first of each kind {module, counting key, reason} at once, further ones as a sum when a
// period is over. Holds at most kKinds kinds; beyond it, one sum for all others of the module and reason.
class RefusalLog {
 public:
  static constexpr std::size_t kKinds = 4096;
  using Time = std::chrono::steady_clock::time_point;

  explicit RefusalLog(std::chrono::seconds period = std::chrono::seconds(60)) : period_(period) {}
  void set_period(std::chrono::seconds period) { period_ = period; }

  // `key`: the remote address cut to the counting prefix; `remote`, `local`, `decision` are for the first line.
  void note(conf::Module module, const net::Address& key, const net::Endpoint& remote, const net::Endpoint& local, const Decision& decision,
            Time now = base::steady_now());
  // Writes the sums whose period is over; to be called once a second or so. A kind with nothing new is forgotten.
  void write_sums(Time now = base::steady_now());
  // At the end of the process: writes all sums.
  void finish();

 private:
  struct Key {
    conf::Module module;
    Reason reason;
    bool others;  // stands for all kinds that found no room
    net::Address address;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Sum {
    Time since;
    std::uint64_t count = 0;  // since then, without the one that was logged at once
  };
  static void write(const Key& key, const Sum& sum, std::chrono::seconds seconds);

  std::chrono::seconds period_;
  std::map<Key, Sum> sums_;
};

// The counting key of `address` for `listener`.
net::Address counting_key(const conf::Listener& listener, const net::Address& address);

}  // namespace postern::gate
