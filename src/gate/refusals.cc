// SPDX-License-Identifier: Apache-2.0
#include "gate/refusals.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include <algorithm>

namespace postern::gate {
namespace {

// In the texts: %h our host name, %a the remote address, %n the limit, %l the DNS list, and the body's length is right as it stands.
struct Words {
  std::string_view service;
  std::string_view per_address;
  std::string_view full;        // full, reserve, or the table out of reach
  std::string_view not_client;  // L-15, in a session that has begun
  std::string_view listed;      // on a DNS list (access-control.md 8.2)
};

constexpr std::string_view kHttpTooMany =
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 21\r\n\r\ntoo many connections\n";
constexpr std::string_view kHttpFull =
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 30\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 21\r\n\r\ntoo many connections\n";

constexpr std::string_view kHttpNotClient =
    "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 48\r\n\r\naccess from your network address is not allowed\n";

// RFC 4511 section 4.4.1: ExtendedResponse of message id 0 with the name of Notice of Disconnection, 1.3.6.1.4.1.1466.20036.
#define POSTERN_LDAP_NOTICE(code) "\x30\x24\x02\x01\x00\x78\x1f\x0a\x01" code "\x04\x00\x04\x00\x8a\x16" "1.3.6.1.4.1.1466.20036"
constexpr std::string_view kLdapBusy{POSTERN_LDAP_NOTICE("\x33"), 38};
constexpr std::string_view kLdapUnavailable{POSTERN_LDAP_NOTICE("\x34"), 38};
constexpr std::string_view kLdapUnwilling{POSTERN_LDAP_NOTICE("\x35"), 38};
#undef POSTERN_LDAP_NOTICE

#define POSTERN_NOT_CLIENT "access from your network address is not allowed"
#define POSTERN_LISTED "access from %a is refused: it is on the list %l"

// listeners.md L-26, L-15. Who is over a limit of SIP is told nothing; of its 403 the request's own header lines are missing here.
// SMTP serves everybody: it has a blacklist instead.
constexpr Words kWords[] = {
    {"smtp", "421 4.7.0 %h too many connections from %a\r\n", "421 4.3.2 %h too many connections, try again later\r\n", "",
     "554 5.7.1 " POSTERN_LISTED "\r\n"},
    {"lmtp", "421 4.7.0 %h too many connections from %a\r\n", "421 4.3.2 %h too many connections, try again later\r\n", "",
     "554 5.7.1 " POSTERN_LISTED "\r\n"},
    {"pop3", "-ERR [SYS/TEMP] too many connections from %a\r\n", "-ERR [SYS/TEMP] too many connections, try again later\r\n",
     "-ERR [SYS/PERM] " POSTERN_NOT_CLIENT "\r\n", "-ERR [SYS/PERM] " POSTERN_LISTED "\r\n"},
    {"imap", "* BYE [ALERT] too many connections from %a (limit %n)\r\n", "* BYE [UNAVAILABLE] too many connections, try again later\r\n",
     "* BYE " POSTERN_NOT_CLIENT "\r\n", "* BYE " POSTERN_LISTED "\r\n"},
    {"http_admin", kHttpTooMany, kHttpFull, kHttpNotClient, kHttpNotClient},
    {"http_user", kHttpTooMany, kHttpFull, kHttpNotClient, kHttpNotClient},
    {"ldap", kLdapBusy, kLdapUnavailable, kLdapUnwilling, kLdapUnwilling},
    {"managesieve", "BYE (TRYLATER) \"too many connections from %a\"\r\n", "BYE (TRYLATER) \"too many connections, try again later\"\r\n",
     "BYE \"" POSTERN_NOT_CLIENT "\"\r\n", "BYE \"" POSTERN_LISTED "\"\r\n"},
    {"ftp", "421 too many connections from %a\r\n", "421 too many connections, try again later\r\n", "421 " POSTERN_NOT_CLIENT "\r\n",
     "421 " POSTERN_LISTED "\r\n"},
    {"pwd", "500 too many connections from %a\r\n", "500 too many connections, try again later\r\n", "500 " POSTERN_NOT_CLIENT "\r\n",
     "500 " POSTERN_LISTED "\r\n"},
    {"acap", "* BYE \"too many connections from %a\"\r\n", "* BYE \"too many connections, try again later\"\r\n",
     "* BYE \"" POSTERN_NOT_CLIENT "\"\r\n", "* BYE \"" POSTERN_LISTED "\"\r\n"},
    {"sip", "", "", "SIP/2.0 403 Forbidden\r\n", ""},
};
#undef POSTERN_NOT_CLIENT
#undef POSTERN_LISTED

const Words* words_of(std::string_view service) {
  const auto* const words = std::find_if(std::begin(kWords), std::end(kWords), [&](const Words& row) { return row.service == service; });
  return words == std::end(kWords) ? nullptr : words;
}

std::string filled_in(std::string_view words, std::string_view host_name, const net::Address& remote, unsigned limit, std::string_view dns_list) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] != '%' || i + 1 == words.size()) {
      out += words[i];
      continue;
    }
    switch (words[++i]) {
      case 'h': out += host_name; break;
      case 'a': out += remote.to_string(); break;
      case 'n': out += std::to_string(limit); break;
      case 'l': out += dns_list; break;
      default: break;
    }
  }
  return out;
}

}  // namespace

std::string refusal_reply(std::string_view service, Reason reason, std::string_view host_name, const net::Address& remote, unsigned limit,
                          std::string_view dns_list) {
  const Words* const words = words_of(service);
  if (words == nullptr) return {};
  // No row of LDAP's bytes holds a percent sign.
  const auto reply = [&](std::string_view text) { return filled_in(text, host_name, remote, limit, dns_list); };
  switch (reason) {
    case Reason::per_address: return reply(words->per_address);
    case Reason::full:
    case Reason::reserved:
    case Reason::unavailable: return reply(words->full);
    case Reason::dns_list: return reply(words->listed);
    default: return {};
  }
}

std::string refusal_reply(const conf::Configuration& configuration, const conf::Listener& listener, const conf::SocketRow& row, const Refusal& refusal,
                          const net::Address& remote) {
  if (row.init_tls == conf::InitTls::on || !listener.refusal_reply) return {};
  return refusal_reply(conf::to_string(listener.module), refusal.reason, configuration.host_name, remote, refusal.limit, refusal.dns_list);
}

std::string_view not_client_reply(std::string_view service) {
  const Words* const words = words_of(service);
  return words == nullptr ? std::string_view() : words->not_client;
}

void note_refusal(Ledger& ledger, const conf::Listener& listener, const net::Endpoint& remote, const net::Endpoint& local, const Refusal& refusal) {
  const bool dry_run = refusal.verdict.dry_run;
  const RefusalDetail detail{refusal.count, refusal.limit, refusal.verdict.table, base::printable(refusal.error, kErrorBytes)};
  if (!ledger.note_refusal(listener.module, refusal.reason, dry_run, counting_key(listener, remote.address), base::steady_now(), detail)) return;
  base::Fields fields{{"listener", conf::to_string(listener.module)},
                      {"reason", to_string(refusal.reason)},
                      {"remote", remote.to_string()},
                      {"local", local.to_string()}};
  if (refusal.limit > 0) {
    fields.emplace_back("count", refusal.count);
    fields.emplace_back("limit", refusal.limit);
  }
  if (!refusal.dns_list.empty()) fields.emplace_back("list", refusal.dns_list);
  if (!refusal.error.empty()) fields.emplace_back("error", refusal.error);
  for (auto& field : log_fields(refusal.verdict)) fields.push_back(std::move(field));
  if (dry_run) base::log_event(base::Severity::notice, "connection-would-be-refused", fields);
  else base::log_event(base::Severity::notice, "connection-refused", fields);
}

void write_refusal_sums(Ledger& ledger, std::chrono::seconds period, bool everything) {
  for (const RefusalSum& sum : ledger.take_sums(period, everything)) {
    base::Fields fields{{"listener", conf::to_string(sum.module)},
                        {"reason", to_string(sum.reason)},
                        {"remote", sum.key ? sum.key->to_string() : "others"},
                        {"count", sum.count},
                        {"seconds", sum.seconds.count()}};
    if (sum.last.limit > 0) {
      fields.emplace_back("connections", sum.last.count);
      fields.emplace_back("limit", sum.last.limit);
    }
    if (!sum.last.setting.empty()) fields.emplace_back("table", base::printable(sum.last.setting, kSettingBytes));
    if (!sum.last.error.empty()) fields.emplace_back("error", base::printable(sum.last.error, kErrorBytes));
    if (sum.dry_run) base::log_event(base::Severity::notice, "connections-would-be-refused", fields);
    else base::log_event(base::Severity::notice, "connections-refused", fields);
  }
}

net::Address counting_key(const conf::Listener& listener, const net::Address& address) {
  return address.prefix(address.is_ipv4() ? listener.ipv4_prefix : listener.ipv6_prefix);
}

}  // namespace postern::gate
