// SPDX-License-Identifier: Apache-2.0
// posternctl access: the whole decision for a client, a sender and recipients, step by step (doc/man/posternctl-probe.8).
#include "base/log.h"
#include "base/text.h"
#include "mail/address.h"
#include "net/run_coroutine.h"
#include "policy/access.h"
#include "tools/decision_report.h"
#include "tools/directory_access.h"
#include "tools/outside_answers.h"
#include "tools/posternctl.h"
#include "tools/tables_source.h"

#include <iostream>
#include <optional>

namespace postern::tools {
namespace {

// What stands in probes where nothing was given: the first port that a system takes for a client, and TLS 1.3's usual cipher.
constexpr std::uint16_t kClientPort = 49152;
constexpr const char* kCipher = "TLS_AES_256_GCM_SHA384";

struct Given {
  std::string client, server, authenticated, certificate;
  std::optional<std::string> helo, from;
  std::vector<std::string> recipients;
  bool tls = false, ask = false, trace = false;
  TablesSource source;
};

// "192.0.2.1", "192.0.2.1:25", "[2001:db8::1]:25", "2001:db8::1".
Result<net::Endpoint> endpoint_from(std::string_view text, std::uint16_t default_port) {
  net::Endpoint endpoint;
  endpoint.port = default_port;
  if (auto whole = net::Address::parse(text)) {
    endpoint.address = *whole;
    return endpoint;
  }
  const std::size_t colon = text.rfind(':');
  const auto port = colon == std::string_view::npos ? std::nullopt : base::number_from<std::uint16_t>(text.substr(colon + 1));
  if (!port) return Error{Kind::invalid, "expected an address, with :port behind it if you like, found \"" + std::string(text) + "\""};
  auto address = net::Address::parse(text.substr(0, colon));
  if (!address) return Error{Kind::invalid, std::string(text) + ": " + address.error().what};
  endpoint.address = *address;
  endpoint.port = *port;
  return endpoint;
}

// The service that would have the connection, and the channel on which its session would begin.
struct Place {
  net::Endpoint local;
  conf::Module module = conf::Module::smtp;
  std::string channel;
};

Result<Place> place_of(const conf::Configuration& configuration, const std::string& server) {
  Place place;
  conf::SocketRow row;
  if (server.empty()) {
    // The first SMTP socket there is.
    place.local = {*net::Address::parse("127.0.0.1"), 25};
    for (const conf::Listener& listener : configuration.listeners)
      if (listener.module == conf::Module::smtp && !listener.sockets.empty() && listener.sockets.front().port != 0) {
        const conf::SocketRow& first = listener.sockets.front();
        place.local.port = first.port;
        if (first.address.kind == conf::LocalAddress::Kind::one) place.local.address = first.address.address;
      }
  } else {
    auto given = endpoint_from(server, 25);
    if (!given) return given.error();
    place.local = *given;
  }
  row.port = place.local.port;
  for (const conf::Listener& listener : configuration.listeners) {
    if (listener.module == conf::Module::snmp) continue;
    for (const conf::SocketRow& other : listener.sockets)
      if (other.port == place.local.port) {
        place.module = listener.module;
        row = other;
      }
  }
  place.channel = policy::initial_channel(place.module, row);
  return place;
}

// The address of a command, as the client would write it between angle brackets.
std::string without_brackets(const std::string& text) {
  return text.size() >= 2 && text.front() == '<' && text.back() == '>' ? text.substr(1, text.size() - 2) : text;
}

class Walk {
 public:
  Walk(const conf::Configuration& configuration, const Given& given, Place place, net::Endpoint client, policy::Access access, DecisionReport& report)
      : configuration_(configuration), given_(given), place_(std::move(place)), client_(client), access_(std::move(access)), report_(report) {}

  // Whether everything that was asked for would be accepted.
  bool run() {
    if (!connect()) return false;
    if (place_.module != conf::Module::smtp && place_.module != conf::Module::lmtp) return true;
    if (!choose_channel()) return false;
    if (!given_.from) return true;
    return transaction();
  }

 private:
  bool connect() {
    report_.begin("1", "connection from " + client_.to_string() + " to " + place_.local.to_string() + " (" + std::string(conf::to_string(place_.module)) + ")");
    const policy::PortDecision decision = net::run_coroutine(access_.port_access(place_.module, place_.local, client_, true));
    if (!access_.tables().has("PORT_ACCESS")) report_.fact("PORT_ACCESS", "there is no such table: every connection is accepted");
    if (decision.restricted) report_.fact("session", "restricted: the settings restricted.* hold, no AUTH");
    if (!decision.accepted) {
      report_.reply(decision.text, false);
      return false;
    }
    restricted_ = decision.restricted;
    return true;
  }

  bool choose_channel() {
    report_.begin("2", "source channel");
    report_.fact("initial channel", place_.channel);
    policy::Notes notes;
    channel_ = net::run_coroutine(access_.source_channel(place_.channel, client_.address, notes));
    for (const policy::Note& note : notes) report_.fact("not answered", note.fields.back().value);
    const policy::Channel* channel = access_.site().channels.find(channel_);
    const auto switch_to = [&](const std::string& name, const char* why) {
      if (channel == nullptr || name.empty()) return;
      report_.fact(why, channel_ + " -> " + name);
      channel_ = name;
      channel = access_.site().channels.find(name);
    };
    if (channel_ != place_.channel) report_.fact("by address", place_.channel + " -> " + channel_);
    if (given_.tls) switch_to(channel == nullptr ? std::string() : channel->tls_switch, "after STARTTLS");
    const auto authentication = channel == nullptr ? policy::Channel::Authentication::none : channel->authentication;
    if (authentication != policy::Channel::Authentication::none) {
      const policy::PortDecision decision = net::run_coroutine(access_.port_access(place_.module, place_.local, client_, false));
      if (!decision.auth_rules.empty()) report_.fact("AUTH rule set", decision.auth_rules);
      auth_rules_ = decision.auth_rules;
    }
    if (!given_.authenticated.empty()) {
      if (authentication == policy::Channel::Authentication::none || restricted_) {
        report_.fact("source channel", channel_);
        report_.reply("502 5.5.1 AUTH is not offered " + std::string(restricted_ ? "in a restricted session" : "on this channel"), false);
        return false;
      }
      policy::LoginFacts login;
      login.id = "posternctl";
      login.service = place_.channel == "tcp_submit" ? "submission" : "smtp";
      login.client = client_.address;
      login.tls = given_.tls ? "TLSv1.3" : "";
      login.mechanism = "PLAIN";
      login.account = given_.authenticated;
      login.certificate = given_.certificate;
      const policy::LoginDecision decision = net::run_coroutine(access_.login_access(login));
      if (!decision.accepted) {
        if (!decision.text.empty()) report_.fact("for the log", decision.text);
        // What can't be decided now is no wrong password (access-control.md 2.9).
        report_.reply(decision.temporary ? "454 4.7.0 the account can't be checked now, try again later" : "535 5.7.8 authentication failed", false);
        return false;
      }
      switch_to(channel->authentication_switch, "after AUTH");
    }
    authentication_demanded_ = authentication == policy::Channel::Authentication::demanded && given_.authenticated.empty();
    report_.fact("source channel", channel_);
    return true;
  }

  bool transaction() {
    const std::string from = without_brackets(*given_.from);
    report_.begin("3", "MAIL FROM:<" + from + ">");
    const auto refuse = [&](const policy::Reply& reply) {
      report_.reply(shown_reply(reply), false);
      return false;
    };
    if (authentication_demanded_) return refuse({530, "5.7.0", "authentication required"});
    const auto path = mail::parse_reverse_path("<" + from + ">");
    if (!path) return refuse({501, "5.1.7", path.error().what});

    auto facts = std::make_shared<policy::SessionFacts>();
    facts->id = "posternctl";
    facts->local = place_.local;
    facts->remote = client_;
    facts->source_channel = channel_;
    facts->helo = given_.helo.value_or("[" + client_.address.to_literal() + "]");
    facts->extended = true;
    facts->lmtp = place_.module == conf::Module::lmtp;
    if (given_.tls) {
      facts->cipher = kCipher;
      facts->tls_protocol = "TLSv1.3";
    }
    facts->certificate = given_.certificate;
    facts->authenticated = given_.authenticated;
    facts->auth_rules = auth_rules_;
    policy::TransactionAccess access(access_, facts);
    const policy::SenderDecision sender = net::run_coroutine(access.mail_from(path->path.mailbox.local_part, path->path.mailbox.domain, from));
    report_.effects(sender.effects);
    if (!sender.accepted) return refuse(sender.reply);
    report_.fact("envelope sender", "<" + sender.reverse_path + ">");
    if (sender.message_bytes) report_.fact("message bytes", std::to_string(*sender.message_bytes));
    if (sender.recipients) report_.fact("recipients", std::to_string(*sender.recipients));
    if (sender.recipient_cutoff) report_.fact("recipient cutoff", std::to_string(*sender.recipient_cutoff));
    report_.reply("250 2.1.0 Ok", true);

    bool all = true;
    for (const std::string& recipient : given_.recipients) all = one_recipient(access, without_brackets(recipient)) && all;
    return all;
  }

  bool one_recipient(policy::TransactionAccess& access, const std::string& to) {
    report_.begin("4-7", "RCPT TO:<" + to + ">");
    const auto refuse = [&](const policy::Reply& reply) {
      report_.reply(shown_reply(reply), false);
      return false;
    };
    if (place_.module == conf::Module::smtp && configuration_.smtp_blacklist.contains(client_.address)) {
      report_.fact("smtp_blacklist", "has " + client_.address.to_string());
      return refuse({550, "5.7.1", "no mail is accepted from " + client_.address.to_string()});
    }
    const auto path = mail::parse_forward_path("<" + to + ">");
    if (!path) return refuse({501, "5.1.3", path.error().what});
    policy::TransactionAccess::Ask ask;
    ask.local_part = path->path.mailbox.local_part;
    ask.domain = path->path.mailbox.domain;
    ask.as_given = to;
    const policy::RecipientDecision decision = net::run_coroutine(access.recipient(ask));
    report_.effects(decision.effects);
    if (!decision.accepted) return refuse(decision.reply);
    for (const mail::Recipient& recipient : decision.recipients)
      report_.fact("goes to", recipient.address + " on channel " + recipient.destination_channel);
    report_.reply("250 2.1.5 Ok", true);
    return true;
  }

  const conf::Configuration& configuration_;
  const Given& given_;
  Place place_;
  net::Endpoint client_;
  policy::Access access_;
  DecisionReport& report_;
  std::string channel_, auth_rules_;
  bool restricted_ = false, authentication_demanded_ = false;
};

}  // namespace

const std::string& access_details() {
  static const std::string text =
      std::string("  --server IP[:PORT] where the client connects to (default: the first SMTP socket)\n"
                  "  --helo NAME        what it says in EHLO\n"
                  "  --tls              after STARTTLS, or on a socket with TLS\n"
                  "  --certificate NAME subject of its verified certificate\n"
                  "  --auth ADDRESS     after AUTH as this account\n"
                  "  --from ADDRESS     MAIL FROM ('' for the null sender)\n"
                  "  --rcpt ADDRESS     RCPT TO; may be given several times\n"
                  "  --trace            every entry of every table that was tried\n") +
      kAskDetails + kTablesSourceDetails + "Exit status: 0 all accepted, 1 something refused, 2 wrong usage or no tables.\n";
  return text;
}

int run_access(const Context& context, const std::vector<std::string>& arguments) {
  const auto wrong = [&](const std::string& text) {
    print_error(context, text);
    return kUsage;
  };
  Given given;
  std::vector<Option> options = given.source.options();
  options.insert(options.end(), {{"--client", &given.client}, {"--server", &given.server}, {"--helo", &given.helo}, {"--tls", &given.tls},
                                 {"--certificate", &given.certificate}, {"--auth", &given.authenticated}, {"--from", &given.from},
                                 {"--rcpt", &given.recipients}, {"--ask", &given.ask}, {"--trace", &given.trace}});
  const auto rest = read_options("access", options, arguments);
  if (!rest) return wrong(rest.error().what);
  if (!rest->empty()) return wrong("access takes options only, found \"" + rest->front() + "\"");
  if (given.client.empty()) return wrong("access needs --client IP[:PORT]");
  if (!given.recipients.empty() && !given.from) return wrong("--rcpt needs --from (--from '' is the null sender)");
  const auto client = endpoint_from(given.client, kClientPort);
  if (!client) return wrong("--client: " + client.error().what);
  if (!given.authenticated.empty()) {
    const auto name = directory::canonical_account(given.authenticated);
    if (!name) return wrong("--auth: " + name.error().what);
    given.authenticated = *name;
  }

  const conf::Configuration& configuration = context.configuration();
  if (const auto mistakes = policy::check(configuration); !mistakes.empty()) return wrong(mistakes.front().to_string());
  const auto place = place_of(configuration, given.server);
  if (!place) return wrong("--server: " + place.error().what);
  auto tables = open_tables(context, given.source, true);
  if (!tables) return wrong(tables.error().what);
  // The report says it all; what a template writes to syslog is written by the server only.
  base::configure_log(base::Destination::standard_error, "posternctl", base::Severity::critical);

  DecisionReport report(given.trace);
  OutsideAnswers outside(context, given.ask);
  DirectoryLookups directory(context);
  const policy::Access access(policy::Site::from(configuration), std::move(*tables), directory, outside.questions(), &report);
  const bool accepted = Walk(configuration, given, *place, *client, access, report).run();
  if (directory.failure()) {
    print_error(context, "domains and accounts can't be read: " + directory.failure()->what);
    return kUsage;
  }
  report.print(context.json, accepted);
  return accepted ? kDone : kFailed;
}

}  // namespace postern::tools
