// SPDX-License-Identifier: Apache-2.0
#include "relay/routes.h"

#include "base/text.h"
#include "net/dns_answer.h"

#include <algorithm>

namespace postern::relay {
namespace {

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  for (const std::string_view word : base::split(text, ' '))
    if (!base::trim(word).empty()) found.push_back(base::trim(word));
  return found;
}

using Wrong = std::optional<std::string>;

std::string shown(std::string_view word) { return "\"" + base::printable(word, 128) + "\""; }

// `text`: ":2525".
Wrong read_port(std::string_view text, std::string_view word, Route& route) {
  const auto number = text.starts_with(':') ? base::number_from<std::uint16_t>(text.substr(1)) : std::nullopt;
  if (!number || *number == 0) return "expected a port from 1 to 65535 behind the host, found " + shown(word);
  route.port = *number;
  return std::nullopt;
}

Wrong read_target(std::string_view word, Route& route) {
  std::string text = base::lower(word);
  if (text.starts_with("lmtp:")) {
    route.lmtp = true;
    text.erase(0, 5);
  }
  if (text == "mx" && !route.lmtp) return std::nullopt;
  if (text.starts_with("mx:") && !route.lmtp) {
    const auto colon = std::min(text.find(':', 3), text.size());
    const auto name = net::canonical_dns_name(text.substr(3, colon - 3));
    if (!name) return "expected a domain behind \"mx:\", found " + shown(word);
    route.host = *name;
    return colon == text.size() ? std::nullopt : read_port(text.substr(colon), word, route);
  }
  route.by_mx = false;
  std::string host = text, port;
  if (const auto closing = text.rfind(']'); text.starts_with('[') && closing != std::string::npos) {
    const auto address = net::Address::parse(text.substr(1, closing - 1));
    if (!address) return "expected an address in brackets, found " + shown(word);
    host = address->to_string();
    port = text.substr(closing + 1);
  } else {
    const auto colon = text.find(':');
    host = text.substr(0, colon);
    if (colon != std::string::npos) port = text.substr(colon);
    if (!net::canonical_dns_name(host)) return "expected \"mx\", \"mx:DOMAIN\", a host's name or an address in brackets, found " + shown(word);
  }
  if (port.empty() && route.lmtp) return "expected a port, since LMTP has none of its own, found " + shown(word);
  route.host = std::move(host);
  return port.empty() ? std::nullopt : read_port(port, word, route);
}

Wrong read_keyword(std::string_view word, Route& route, bool& tls_given) {
  using Level = conf::Relay::TlsLevel;
  const auto sign = word.find('=');
  const std::string name = base::lower(word.substr(0, sign));
  const std::string_view value = sign == std::string_view::npos ? std::string_view() : word.substr(sign + 1);
  if (name == "tls") {
    tls_given = true;
    if (value == "off") route.tls = Level::off;
    else if (value == "opportunistic") route.tls = Level::opportunistic;
    else if (value == "required") route.tls = Level::required;
    else if (value == "verified" || value == "immediate") route.tls = Level::verified;
    else return "expected tls=off, opportunistic, required, verified or immediate, found " + shown(word);
    route.tls_at_once = value == "immediate";
    return std::nullopt;
  }
  if (name == "auth") {
    if (!value.starts_with('/')) return "expected the path of a file behind auth=, found " + shown(word);
    route.password_file = value;
    return std::nullopt;
  }
  if (name == "connections") {
    const auto number = base::number_from<unsigned>(value);
    if (!number || *number == 0 || *number > 10000) return "expected connections=1 to 10000, found " + shown(word);
    route.connections = *number;
    return std::nullopt;
  }
  return "unknown keyword " + shown(word);
}

}  // namespace

Routes Routes::parse(const conf::Configuration& configuration, std::vector<conf::Mistake>& mistakes) {
  Routes routes;
  routes.by_mx_.tls = configuration.relay.tls;
  const auto& texts = configuration.relay.routes;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto line = words(texts[i].text);
    if (line.empty()) continue;
    const auto mistake = [&](std::string text) { mistakes.push_back({texts[i].place, "relay.routes[" + std::to_string(i) + "]", std::move(text)}); };
    if (line.size() < 2) {
      mistake("expected \"FOR TARGET KEYWORD...\", found " + shown(texts[i].text));
      continue;
    }
    Line made;
    const std::string what = base::lower(line[0]);
    if (what == "*") made.kind = Line::For::all;
    else if (what.starts_with("channel:")) {
      made.kind = Line::For::channel;
      made.word = what.substr(8);
    } else {
      const bool below = what.starts_with('.');
      made.kind = below ? Line::For::below : Line::For::domain;
      made.word = what;
      if (!net::canonical_dns_name(below ? what.substr(1) : what)) {
        mistake("expected a domain, a domain behind a dot, \"channel:NAME\" or \"*\", found " + shown(line[0]));
        continue;
      }
    }
    made.route.name = what;
    made.route.tls = configuration.relay.tls;
    bool tls_given = false;
    Wrong wrong = read_target(line[1], made.route);
    for (std::size_t k = 2; !wrong && k < line.size(); ++k) wrong = read_keyword(line[k], made.route, tls_given);
    if (!wrong && !made.route.password_file.empty()) {
      // Who has not said otherwise does not want his password to be read on its way.
      if (!tls_given) made.route.tls = conf::Relay::TlsLevel::verified;
      if (made.route.tls == conf::Relay::TlsLevel::opportunistic)
        wrong = "expected tls=required, verified, immediate or off with auth=, found opportunistic: the password might go in clear text";
    }
    if (wrong) {
      mistake(*wrong);
      continue;
    }
    routes.lines_.push_back(std::move(made));
  }
  return routes;
}

const Route& Routes::find(std::string_view channel, std::string_view domain) const {
  for (const Line& line : lines_) {
    switch (line.kind) {
      case Line::For::all: return line.route;
      case Line::For::channel:
        if (line.word == channel) return line.route;
        break;
      case Line::For::domain:
        if (line.word == domain) return line.route;
        break;
      case Line::For::below:
        if (domain.ends_with(line.word)) return line.route;
        break;
    }
  }
  return by_mx_;
}

}  // namespace postern::relay
