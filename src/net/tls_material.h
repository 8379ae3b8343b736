// SPDX-License-Identifier: Apache-2.0
#pragma once
// What the sealed memory file "certificates" carries from the master to the children: everything that TlsContexts is made of, read,
// checked and chosen by the master. JSON with a format number; it holds private keys and never touches a disk.
#include "base/result.h"
#include "net/address.h"

#include <chrono>
#include <cstddef>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace postern::net {

struct TlsMaterial {
  struct Pair {
    std::string chain, key;     // PEM
    std::string ocsp_response;  // DER; empty: nothing to staple
    std::time_t ocsp_end = 0;   // not stapled from then on
    bool valid = true;          // neither expired nor yet to begin, as the master saw it: such a one goes before others
    std::size_t place = 0;      // in the configuration's list of the domain's certificates; of meaning to the master only
  };
  struct Domain {
    std::vector<std::string> names;  // in normal form (net/server_name.h)
    std::vector<Address> addresses;  // that are assigned to it (listeners.md T-2)
    std::vector<Pair> pairs;         // at most one of each kind of key; empty: the domain has no certificate (T-3)
  };
  struct Listener {
    std::string name;                 // "smtp"
    bool asks_client_certificate = false;
  };
  std::vector<Domain> domains;
  std::size_t main_domain = 0;        // index; of no meaning without domains
  std::vector<Listener> listeners;
  bool tls13_only = false;
  std::string ciphers;                // of TLS 1.2, as OpenSSL takes them
  std::string client_authorities;     // PEM; empty: client certificates are not asked for
  // Changed daily; what the ticket keys of all listeners are derived from. The earlier one still opens tickets; it may be empty.
  std::string ticket_secret, earlier_ticket_secret;
  // By the clock of the machine, so that an upgrade changes nothing about the day of its end. At the clock's beginning: not known.
  std::chrono::steady_clock::time_point ticket_secret_made;

  [[nodiscard]] std::string to_text() const;
  static Result<TlsMaterial> parse(std::string_view text);
};

inline constexpr std::size_t kTicketSecretBytes = 32;

}  // namespace postern::net
