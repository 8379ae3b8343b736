// SPDX-License-Identifier: Apache-2.0
#include "tools/client_settings.h"

#include "base/text.h"
#include "directory/password.h"
#include "policy/channels.h"

#include <algorithm>

namespace postern::tools {
namespace {

void add_sockets(const conf::Configuration& configuration, conf::Module module, const std::string& channel, std::vector<ClientSocket>& sockets) {
  const bool has_certificate = !configuration.tls.domains.empty();
  for (const conf::Listener& listener : configuration.listeners) {
    if (listener.module != module) continue;
    for (const conf::SocketRow& row : listener.sockets) {
      if (row.port == 0 || row.restriction == conf::Restriction::grant) continue;
      if (!channel.empty() && policy::initial_channel(module, row) != channel) continue;
      if (row.init_tls == conf::InitTls::off && !has_certificate) continue;
      // A device in front of us does TLS there.
      const ClientSocket socket{row.port, row.init_tls != conf::InitTls::off};
      if (std::find(sockets.begin(), sockets.end(), socket) == sockets.end()) sockets.push_back(socket);
    }
  }
  std::stable_sort(sockets.begin(), sockets.end(), [](const ClientSocket& a, const ClientSocket& b) { return a.tls_at_once > b.tls_at_once; });
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

// The same each time for the same thing, so that a profile that is installed again takes the place of the earlier one. Version 8 of RFC 9562: made in a
// way of one's own.
std::string uuid_of(std::string_view text) {
  const std::string digest = directory::hmac_sha256("postern client settings", text);
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (std::size_t i = 0; i < 16; ++i) {
    unsigned byte = static_cast<unsigned char>(digest[i]);
    if (i == 6) byte = (byte & 0x0f) | 0x80;
    if (i == 8) byte = (byte & 0x3f) | 0x80;
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

std::string key(std::string_view name, std::string_view type, std::string_view value) {
  return "      <key>" + std::string(name) + "</key><" + std::string(type) + ">" + escaped(value) + "</" + std::string(type) + ">\n";
}
std::string key(std::string_view name, bool value) { return "      <key>" + std::string(name) + "</key><" + (value ? "true" : "false") + "/>\n"; }

}  // namespace

Result<ClientSettings> client_settings(const conf::Configuration& configuration, const std::string& domain, const std::string& host) {
  ClientSettings settings;
  settings.domain = domain;
  settings.host = host;
  add_sockets(configuration, conf::Module::pop3, "", settings.pop3);
  add_sockets(configuration, conf::Module::smtp, "tcp_submit", settings.submission);
  add_sockets(configuration, conf::Module::managesieve, "", settings.managesieve);
  if (settings.pop3.empty()) return Error{Kind::not_found, "listeners.pop3 has no socket with TLS: programs could not fetch mail"};
  if (settings.submission.empty()) return Error{Kind::not_found, "listeners.smtp has no socket with TLS on channel tcp_submit (ports 587 and 465 have it): programs could not send mail"};
  return settings;
}

std::string thunderbird_settings(const ClientSettings& settings) {
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">\n  <emailProvider id=\"" + escaped(settings.domain) + "\">\n    <domain>" +
                    escaped(settings.domain) + "</domain>\n    <displayName>" + escaped(settings.domain) + "</displayName>\n    <displayShortName>" + escaped(settings.domain) +
                    "</displayShortName>\n";
  const auto add = [&](const char* element, const char* type, const ClientSocket& socket) {
    out += "    <" + std::string(element) + " type=\"" + type + "\">\n      <hostname>" + escaped(settings.host) + "</hostname>\n      <port>" + std::to_string(socket.port) +
           "</port>\n      <socketType>" + (socket.tls_at_once ? "SSL" : "STARTTLS") +
           "</socketType>\n      <username>%EMAILADDRESS%</username>\n      <authentication>password-cleartext</authentication>\n    </" + element + ">\n";
  };
  for (const ClientSocket& socket : settings.pop3) add("incomingServer", "pop3", socket);
  for (const ClientSocket& socket : settings.submission) add("outgoingServer", "smtp", socket);
  return out + "  </emailProvider>\n</clientConfig>\n";
}

std::string apple_profile(const ClientSettings& settings, const std::string& address) {
  const ClientSocket &in = settings.pop3.front(), &out = settings.submission.front();
  const std::string reversed = [&] {
    std::string name;
    for (const std::string_view label : base::split(settings.domain, '.')) name = std::string(label) + (name.empty() ? "" : ".") + name;
    return name;
  }();
  // A device that gets a profile with an identifier that it knows puts it in that one's place: two accounts of a family on one device are two.
  const std::string uuid = uuid_of("profile " + address), identifier = reversed + ".mail." + uuid;
  std::string text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
                     "<plist version=\"1.0\">\n<dict>\n  <key>PayloadContent</key>\n  <array>\n    <dict>\n";
  text += key("PayloadType", "string", "com.apple.mail.managed") + key("PayloadVersion", "integer", "1") + key("PayloadIdentifier", "string", identifier + ".account") +
          key("PayloadUUID", "string", uuid_of("account " + address)) + key("PayloadDisplayName", "string", "Mail for " + address) +
          key("EmailAccountDescription", "string", address) + key("EmailAccountType", "string", "EmailTypePOP") + key("EmailAddress", "string", address) +
          key("IncomingMailServerAuthentication", "string", "EmailAuthPassword") + key("IncomingMailServerHostName", "string", settings.host) +
          key("IncomingMailServerPortNumber", "integer", std::to_string(in.port)) + key("IncomingMailServerUseSSL", true) + key("IncomingMailServerUsername", "string", address) +
          key("OutgoingMailServerAuthentication", "string", "EmailAuthPassword") + key("OutgoingMailServerHostName", "string", settings.host) +
          key("OutgoingMailServerPortNumber", "integer", std::to_string(out.port)) + key("OutgoingMailServerUseSSL", true) + key("OutgoingMailServerUsername", "string", address) +
          key("OutgoingPasswordSameAsIncomingPassword", true);
  text += "    </dict>\n  </array>\n" + key("PayloadType", "string", "Configuration") + key("PayloadVersion", "integer", "1") + key("PayloadIdentifier", "string", identifier) +
          key("PayloadUUID", "string", uuid) + key("PayloadDisplayName", "string", "Mail at " + settings.domain) +
          key("PayloadRemovalDisallowed", false) + "</dict>\n</plist>\n";
  return text;
}

std::string service_records(const ClientSettings& settings) {
  struct Row {
    std::string name, data;
  };
  std::vector<Row> rows;
  // RFC 8314 section 5.1: what has TLS from the start is preferred.
  const auto add = [&](const std::vector<ClientSocket>& sockets, const std::string& at_once, const std::string& later) {
    for (const bool wanted : {true, false}) {
      const std::string& service = wanted ? at_once : later;
      const int priority = wanted ? 0 : 10;
      const auto found = std::find_if(sockets.begin(), sockets.end(), [&](const ClientSocket& one) { return one.tls_at_once == wanted; });
      if (service.empty()) continue;
      if (found != sockets.end())
        rows.push_back({"_" + service + "._tcp." + settings.domain + ".", "SRV " + std::to_string(priority) + " 1 " + std::to_string(found->port) + " " + settings.host + "."});
      // RFC 6186 section 3.4: a single dot says that there is none.
      else rows.push_back({"_" + service + "._tcp." + settings.domain + ".", "SRV 0 0 0 ."});
    }
  };
  add(settings.submission, "submissions", "submission");
  add(settings.pop3, "pop3s", "pop3");
  add({}, "imaps", "imap");
  add(settings.managesieve, "", "sieve");
  std::size_t width = 0;
  for (const Row& row : rows) width = std::max(width, row.name.size());
  std::string out;
  for (const Row& row : rows) out += row.name + std::string(width - row.name.size() + 2, ' ') + row.data + "\n";
  return out;
}

}  // namespace postern::tools
