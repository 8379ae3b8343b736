// SPDX-License-Identifier: Apache-2.0
#include "conf/configuration.h"

#include "base/text.h"
#include "conf/settings.h"
#include "install_directories.h"

#include <algorithm>

namespace postern::conf {
namespace {

// IFNAMSIZ without its zero.
constexpr std::size_t kMaxScopeBytes = 15;

const Listener* listener_of(const Configuration& configuration, Module module) {
  for (const Listener& listener : configuration.listeners)
    if (listener.module == module) return &listener;
  return nullptr;
}

bool is_link_local(const net::Address& address) {
  return !address.is_ipv4() && static_cast<unsigned char>(address.bytes()[0]) == 0xfe && (static_cast<unsigned char>(address.bytes()[1]) & 0xc0) == 0x80;
}

// `of`: "sockets[]", for instance; `member`: where Scope has such a row.
template <class Row>
bool same_rows(const std::vector<Row>& a, const std::vector<Row>& b, std::string_view of, Row* Scope::*member) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](const Row& x, const Row& y) {
    return std::all_of(all_settings().begin(), all_settings().end(), [&](const Setting& setting) {
      if (setting.name.find(of) == std::string_view::npos) return true;
      // The table's accessors want something they could write to; same() only reads.
      Row first = x, second = y;
      Scope one, other;
      one.*member = &first;
      other.*member = &second;
      return same(setting, one, other);
    });
  });
}

bool same_domains(const std::vector<TlsDomain>& a, const std::vector<TlsDomain>& b) {
  const auto same_texts = [](const std::vector<TextLine>& x, const std::vector<TextLine>& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const TextLine& one, const TextLine& other) { return one.text == other.text; });
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](const TlsDomain& x, const TlsDomain& y) {
    return same_texts(x.names, y.names) && same_texts(x.addresses, y.addresses) &&
           same_rows(x.certificates, y.certificates, "certificates[]", &Scope::certificate);
  });
}

bool same_milters(const std::vector<Milter>& a, const std::vector<Milter>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Milter& x, const Milter& y) { return x.name == y.name; }) &&
         same_rows(a, b, "milters.*", &Scope::milter);
}

bool same_throttles(const std::vector<ThrottleTable>& a, const std::vector<ThrottleTable>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const ThrottleTable& x, const ThrottleTable& y) { return x.name == y.name; }) &&
         same_rows(a, b, "throttle.*", &Scope::throttle);
}

}  // namespace

std::string shipped_notices() { return POSTERN_DATADIR "/notices"; }

std::string_view to_string(Module module) {
  switch (module) {
    case Module::smtp: return "smtp";
    case Module::lmtp: return "lmtp";
    case Module::pop3: return "pop3";
    case Module::snmp: return "snmp";
    case Module::managesieve: return "managesieve";
  }
  return "smtp";
}

Transport transport(Module module) { return module == Module::snmp ? Transport::udp : Transport::tcp; }

std::string LocalAddress::to_string() const {
  switch (kind) {
    case Kind::all: return "all";
    case Kind::all_ipv4: return "0.0.0.0";
    case Kind::all_ipv6: return "::";
    case Kind::one: return address.to_string() + (scope.empty() ? "" : "%" + scope);
  }
  return "all";
}

Result<LocalAddress> LocalAddress::parse(std::string_view text) {
  text = base::trim(text);
  LocalAddress local;
  if (text == "all") return local;
  const auto percent = text.find('%');
  if (percent != std::string_view::npos) {
    const std::string_view scope = text.substr(percent + 1);
    if (scope.empty() || scope.size() > kMaxScopeBytes || scope.find_first_of(" /%") != std::string_view::npos)
      return Error{postern::Kind::invalid, "behind % stands the name of a network interface"};
    local.scope = scope;
  }
  auto address = net::Address::parse(text.substr(0, percent));
  if (!address) return address.error();
  if (!local.scope.empty() && !is_link_local(*address)) return Error{postern::Kind::invalid, "only a link-local IPv6 address (fe80::...) has a scope"};
  local.address = *address;
  if (!address->is_any()) local.kind = Kind::one;
  else local.kind = address->is_ipv4() ? Kind::all_ipv4 : Kind::all_ipv6;
  return local;
}

bool overlap(const LocalAddress& a, const LocalAddress& b) {
  const auto ipv4 = [](const LocalAddress& one) {
    return one.kind == LocalAddress::Kind::all_ipv4 || (one.kind == LocalAddress::Kind::one && one.address.is_ipv4());
  };
  if (a.kind == LocalAddress::Kind::all || b.kind == LocalAddress::Kind::all) return true;
  if (ipv4(a) != ipv4(b)) return false;
  if (a.kind != LocalAddress::Kind::one || b.kind != LocalAddress::Kind::one) return true;
  return a.address == b.address && a.scope == b.scope;
}

std::string Mistake::to_string() const {
  std::string out = place.file;
  if (place.line > 0) out += ":" + std::to_string(place.line);
  if (!out.empty()) out += ": ";
  if (warning) out += "warning: ";
  if (!setting.empty()) out += setting + ": ";
  return out + text;
}

std::vector<ThrottleTable> throttle_tables(const Configuration& configuration) {
  // Accounts that send in one period, of many more that there may be; who is pushed out of a full table is the one with the lowest count.
  constexpr unsigned kAccounts = 20'000;
  std::vector<ThrottleTable> tables = configuration.throttle;
  const auto add = [&](std::string_view name, unsigned quota, std::chrono::seconds period) {
    if (quota == 0) return;
    ThrottleTable table;
    table.name = name;
    table.quota = quota;
    table.period = period;
    table.max_entries = kAccounts;
    tables.push_back(std::move(table));
  };
  const Submission& limits = configuration.submission;
  add(kMessagesPerHour, limits.messages_per_hour, std::chrono::hours(1));
  add(kRecipientsPerHour, limits.recipients_per_hour, std::chrono::hours(1));
  add(kRecipientsPerDay, limits.recipients_per_day, std::chrono::days(1));
  add(kExcessNotices, 1, std::chrono::days(1));
  return tables;
}

bool is_open(const Listener& listener) { return transport(listener.module) == Transport::udp || listener.maximum_connections > 0; }

Place Configuration::place_of(std::string_view setting) const {
  const auto known = places.find(setting);
  return known == places.end() ? Place{} : known->second;
}

const Listener* find_listener(const Configuration& configuration, Module module) {
  const Listener* const listener = listener_of(configuration, module);
  return listener == nullptr || !is_open(*listener) ? nullptr : listener;
}

Difference reload_difference(const Configuration& old_one, const Configuration& new_one) {
  Difference difference;
  const auto changed = [&](Reload reload, std::string name) {
    switch (reload) {
      case Reload::restart: difference.restart.push_back(std::move(name)); return;
      case Reload::new_children: difference.new_children.push_back(std::move(name)); return;
      case Reload::running: difference.running.push_back(std::move(name)); return;
    }
  };
  // The table's accessors want something they could write to; same() only reads.
  Configuration a = old_one, b = new_one;
  for (const Setting& setting : all_settings())
    if (is_of_server(setting) && !same(setting, {&a, nullptr, nullptr}, {&b, nullptr, nullptr})) changed(setting.reload, std::string(setting.name));
  if (!same_domains(old_one.tls.domains, new_one.tls.domains)) changed(Reload::running, "tls.domains");
  if (!same_throttles(old_one.throttle, new_one.throttle)) changed(Reload::running, "throttle");
  if (!same_milters(old_one.milters, new_one.milters)) changed(Reload::running, "milters");
  for (std::size_t i = 0; i < kModules; ++i) {
    const auto module = static_cast<Module>(i);
    const std::string name = "listeners." + std::string(conf::to_string(module));
    Listener none;
    none.module = module;
    Listener x = none, y = none;
    if (const Listener* const one = listener_of(old_one, module)) x = *one;
    if (const Listener* const one = listener_of(new_one, module)) y = *one;
    if ((listener_of(old_one, module) == nullptr) != (listener_of(new_one, module) == nullptr)) changed(Reload::running, name);
    for (const Setting& setting : all_settings()) {
      if (!setting.name.starts_with("listeners.*.") || setting.name.find("[]") != std::string_view::npos) continue;
      if (!same(setting, {nullptr, &x, nullptr}, {nullptr, &y, nullptr})) changed(setting.reload, name + std::string(setting.name.substr(11)));
    }
    if (!same_rows(x.sockets, y.sockets, "sockets[]", &Scope::row)) changed(Reload::running, name + ".sockets");
    if (!same_rows(x.limits, y.limits, "limits[]", &Scope::limit)) changed(Reload::running, name + ".limits");
  }
  return difference;
}

std::vector<const Milter*> milters_of(const Configuration& configuration, const Listener& listener, const SocketRow& row) {
  std::vector<const Milter*> milters;
  for (const TextLine& line : row.milters.empty() ? listener.milters : row.milters)
    for (const Milter& milter : configuration.milters)
      if (base::equal_ignoring_case(milter.name, line.text)) milters.push_back(&milter);
  return milters;
}

Result<MilterAddress> milter_address(std::string_view text) {
  const auto colon = text.find(':');
  const std::string family = base::lower(text.substr(0, colon));
  std::string_view rest = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  MilterAddress address;
  if (family == "unix" || family == "local") {
    if (!rest.starts_with('/')) return Error{Kind::invalid, "the path of a socket begins with \"/\""};
    // What a sockaddr_un holds.
    if (rest.size() > 107) return Error{Kind::invalid, "the path of a socket has at most 107 characters"};
    address.path = rest;
    return address;
  }
  if (family != "inet" && family != "inet6") return Error{Kind::invalid, "it begins with \"unix:\" or \"inet:\""};
  std::string_view host, port;
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    port = rest.substr(0, at);
    host = rest.substr(at + 1);
  } else if (const auto last = rest.rfind(':'); last != std::string_view::npos) {
    host = rest.substr(0, last);
    port = rest.substr(last + 1);
  }
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (base::equal_ignoring_case(host, "localhost")) host = family == "inet6" ? "::1" : "127.0.0.1";
  const auto number = base::number_from<std::uint16_t>(port);
  if (!number || *number == 0) return Error{Kind::invalid, "a port is a number from 1 to 65535"};
  const auto parsed = net::Address::parse(host);
  if (!parsed) return Error{Kind::invalid, "the host is an address: " + parsed.error().what};
  address.endpoint = {*parsed, *number};
  return address;
}

Result<net::Endpoint> name_server(std::string_view text) {
  text = base::trim(text);
  std::string_view port = "53";
  // One colon, or one behind the bracket, begins a port; more of them are an IPv6 address.
  const auto last = text.rfind(':');
  const bool has_port = last != std::string_view::npos && (text.find(':') == last || (last > 0 && text[last - 1] == ']'));
  if (has_port) {
    port = text.substr(last + 1);
    text = text.substr(0, last);
  }
  const auto address = net::Address::parse(text);
  if (!address) return address.error();
  const auto number = base::number_from<std::uint16_t>(port);
  if (!number || *number == 0) return Error{Kind::invalid, "a port is a number from 1 to 65535"};
  return net::Endpoint{*address, *number};
}

}  // namespace postern::conf
