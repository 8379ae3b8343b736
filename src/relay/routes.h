// SPDX-License-Identifier: Apache-2.0
#pragma once
// Where mail for a channel or domain goes: the lines of setting `relay.routes`, first match wins, else by MX.
//
//   FOR                   TARGET                       KEYWORDS
//   example.org           mail.example.net             the domain itself
//   .example.org          [192.0.2.25]:2525            domains below it
//   channel:tcp_friends   mx:example.net               everything on this destination channel, to the mail exchangers of another domain
//   channel:tcp_lmtp      lmtp:[127.0.0.1]:24
//   *                     smart.example.net:587        tls=verified auth=/etc/postern/smart.password
//
// Targets: mx (by the recipient's domain), mx:DOMAIN, mx:DOMAIN:PORT, HOST, HOST:PORT, and the last two behind "lmtp:". A HOST is not looked
// up as MX.
// Keywords: tls=off|opportunistic|required|verified, tls=immediate (as verified, before the greeting), auth=FILE (a file of two lines,
// user and password, that the user of the network roles can read), connections=N.
#include "conf/configuration.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::relay {

struct Route {
  std::string name = "mx";  // FOR, for the log
  bool by_mx = true;
  std::string host;         // by_mx: the domain asked for, empty: the recipient's; else a host's name or address
  std::uint16_t port = 25;
  bool lmtp = false;
  bool tls_at_once = false;
  conf::Relay::TlsLevel tls = conf::Relay::TlsLevel::opportunistic;
  std::string password_file;              // empty: no AUTH
  std::optional<unsigned> connections;
  bool mail_host = false;                 // the host that has an account's mailbox: this server itself is none
};

class Routes {
 public:
  static Routes parse(const conf::Configuration& configuration, std::vector<conf::Mistake>& mistakes);
  // `domain` in lower case.
  [[nodiscard]] const Route& find(std::string_view channel, std::string_view domain) const;

 private:
  struct Line {
    enum class For { all, channel, domain, below } kind = For::all;
    std::string word;
    Route route;
  };
  std::vector<Line> lines_;
  Route by_mx_;
};

}  // namespace postern::relay
