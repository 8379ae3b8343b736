// SPDX-License-Identifier: Apache-2.0
// posternctl tls-policy: which TLS the mail hosts of a domain must have, and by which rule, as the relay would decide now; and the counts of
// how it came out.
#include "tools/ctl_ask.h"
#include "tools/options.h"

#include "base/files.h"
#include "net/frames.h"
#include "net/resolver_client.h"
#include "relay/hosts.h"
#include "relay/tls_advisor.h"

#include <boost/json/serialize.hpp>

#include <iostream>

namespace postern::tools {
namespace {

using boost::json::array;
using boost::json::object;

// What was found out about one host.
struct Host {
  std::string name;
  bool secure = false;             // DNSSEC says that it is one of the domain's
  bool addresses_secure = false;
  std::string trouble;             // it has no addresses now
  std::optional<relay::TlsDecision> decision;
};
struct Found {
  std::optional<relay::Failure> failure;
  std::vector<Host> hosts;
};

// Opened for reading only; -1: there is none yet.
base::Descriptor open_below(int base, const std::string& name) {
  auto opened = base::open_directory(base, name);
  return opened ? std::move(*opened) : base::Descriptor();
}

net::Awaitable<void> look(relay::TlsAdvisor& advisor, net::Resolver& resolver, const conf::Configuration& configuration, const relay::Route& route, std::string domain, Found& found) {
  relay::MailHosts hosts;
  if (route.by_mx) {
    std::vector<std::string> own_names{configuration.host_name};
    hosts = co_await relay::mail_hosts(resolver, domain, std::move(own_names));
  } else {
    hosts.names.push_back(domain);
    hosts.literal = net::Address::parse(domain).has_value();
  }
  found.failure = hosts.failure;
  for (const std::string& name : hosts.names) {
    Host host;
    host.name = name;
    net::HostAddresses addresses;
    addresses.canonical_name = name;
    if (!hosts.literal) {
      auto asked = co_await net::host_addresses(resolver, name);
      if (!asked) {
        host.trouble = asked.error().what;
        found.hosts.push_back(std::move(host));
        continue;
      }
      addresses = std::move(*asked);
    }
    host.addresses_secure = addresses.secure;
    host.secure = hosts.implicit ? addresses.secure : hosts.secure;
    const relay::TlsQuestion question{route, relay::TlsWish::none, domain, name, hosts.literal, host.secure};
    host.decision = co_await advisor.decide(question, addresses);
    found.hosts.push_back(std::move(host));
  }
}

// The policy of MTA-STS that stood behind the decisions.
object sts_object(const Found& found) {
  for (const Host& host : found.hosts) {
    if (!host.decision) continue;
    const relay::StsFound& sts = host.decision->sts;
    object shown;
    if (sts.policy) {
      array hosts;
      for (const std::string& one : sts.policy->policy.hosts) hosts.emplace_back(one);
      shown = {{"id", sts.policy->id},
               {"mode", to_string(sts.policy->policy.mode)},
               {"hosts", std::move(hosts)},
               {"fetched", base::iso8601(sts.policy->fetched)},
               {"until", base::iso8601(sts.policy->until())}};
    }
    if (!sts.trouble.empty()) {
      shown["trouble"] = sts.trouble;
      shown["reason"] = sts.reason;
    }
    if (!shown.empty()) return shown;
  }
  return {};
}

void print_found(const Context& context, const std::string& domain, const relay::Route& route, const Found& found) {
  array hosts;
  std::vector<std::vector<std::string>> rows;
  for (const Host& host : found.hosts) {
    object entry{{"host", host.name}, {"secure", host.secure}, {"addresses_secure", host.addresses_secure}};
    std::string rule = "-", need = "-", reason = host.trouble;
    if (host.decision) {
      const relay::TlsPolicy& policy = host.decision->policy;
      rule = to_string(policy.rule);
      need = host.decision->refused ? "not used" : policy.testing ? std::string(to_string(policy.need)) + ", testing" : std::string(to_string(policy.need));
      reason = host.decision->refused ? host.decision->refused->diagnostic : policy.reason;
      array records;
      for (const net::TlsaRecord& record : host.decision->dane.records) records.emplace_back(record.kind() + " " + net::to_hex(record.data));
      entry["used"] = !host.decision->refused.has_value();
      entry["policy"] = rule;
      entry["need"] = to_string(policy.need);
      entry["testing"] = policy.testing;
      entry["tlsa"] = std::move(records);
    }
    entry["reason"] = reason;
    hosts.push_back(std::move(entry));
    rows.push_back({host.name, host.secure ? "yes" : "no", rule, need, reason});
  }
  const object sts = sts_object(found);
  if (context.json) {
    print_json({{"domain", domain}, {"route", route.name}, {"mta_sts", sts}, {"hosts", std::move(hosts)}});
    return;
  }
  print_table({"HOST", "SECURE", "POLICY", "TLS", "REASON"}, rows);
  if (const auto* const id = sts.if_contains("id"))
    std::cout << "MTA-STS policy " << id->get_string() << ", " << text(sts, "mode") << ", until " << text(sts, "until") << "\n";
  if (sts.contains("trouble")) std::cout << "MTA-STS: " << text(sts, "trouble") << ": " << text(sts, "reason") << "\n";
}

int show(const Context& context, const std::string& given, const std::string& channel) {
  const conf::Configuration& configuration = context.configuration();
  const auto canonical = net::canonical_dns_name(given);
  if (!canonical) {
    print_error(context, given + ": " + canonical.error().what);
    return kUsage;
  }
  auto directory = server_directory(context);
  if (!directory) return fail(context, directory.error());
  auto tls = net::TlsClient::make(configuration.relay.authorities, configuration.tls.ciphers);
  if (!tls) return fail(context, tls.error());
  std::vector<conf::Mistake> checked_already;
  const relay::Routes routes = relay::Routes::parse(configuration, checked_already);
  const relay::Route& route = routes.find(channel, *canonical);
  const std::string domain = route.host.empty() ? *canonical : route.host;

  net::asio::io_context io(1);
  net::TimeLimits limits(io);
  net::ResolverClientSettings resolver_settings;
  resolver_settings.time_limit = configuration.resolver.time_limit + std::chrono::seconds(1);
  net::ResolverClient resolver(io, directory->get(), resolver_settings);
  const base::Descriptor policies = open_below(directory->get(), std::string("spool/") + relay::kStsDirectory);
  relay::TlsAdvisorSettings settings = relay::tls_advisor_settings(configuration);
  settings.read_only = true;
  settings.policies = policies.get();
  relay::TlsAdvisor advisor(io, limits, resolver, *tls, settings);
  Found found;
  std::exception_ptr thrown;
  limits.start();
  net::asio::co_spawn(io, look(advisor, resolver, configuration, route, domain, found), [&](const std::exception_ptr& failure) {
    thrown = failure;
    io.stop();
  });
  io.run();
  if (thrown) std::rethrow_exception(thrown);
  if (found.failure) {
    print_error(context, found.failure->status + " " + found.failure->diagnostic);
    return kFailed;
  }
  print_found(context, domain, route, found);
  return kDone;
}

int report(const Context& context, const std::vector<std::string>& domains, const std::string& given_day) {
  const std::string day = given_day.empty() ? relay::report_day(base::wall_now()) : given_day;
  if (!relay::is_report_day(day) || domains.size() > 1) return wrong_usage(context, "tls-policy");
  const auto wanted = domains.empty() ? Result<std::string>(std::string()) : net::canonical_dns_name(domains.front());
  if (!wanted) {
    print_error(context, domains.front() + ": " + wanted.error().what);
    return kUsage;
  }
  const conf::Configuration& configuration = context.configuration();
  const base::Descriptor directory = open_below(context.base_directory(), std::string("spool/") + relay::kReportsDirectory);
  const relay::TlsCounts counts = directory.valid() ? relay::read_counts(directory.get(), day) : relay::TlsCounts();
  array reports;
  for (const std::string& domain : counts.domains())
    if (domains.empty() || *wanted == domain)
      reports.push_back(counts.report(domain, day, configuration.host_name, "postmaster@" + configuration.host_name));
  if (!domains.empty() && reports.empty()) {
    print_error(context, "nothing was counted for " + domains.front() + " on " + day);
    return kFailed;
  }
  std::cout << boost::json::serialize(domains.empty() ? boost::json::value(std::move(reports)) : std::move(reports.front())) << "\n";
  return kDone;
}

}  // namespace

const char* const kTlsPolicyDetails =
    "tls-policy DOMAIN [--channel NAME]   the domain's mail hosts: which TLS they must have, and by which rule (route, DANE, MTA-STS)\n"
    "tls-policy report [DOMAIN] [--day YYYY-MM-DD]\n"
    "                                     how connections came out that day (UTC; today): the reports of RFC 8460 as JSON, for each domain or one\n";

int run_tls_policy(const Context& context, const std::vector<std::string>& arguments) {
  std::string channel = "tcp_local", day;
  auto words = read_options("tls-policy", {{"--channel", &channel}, {"--day", &day}}, arguments);
  if (!words) {
    print_error(context, words.error().what);
    return kUsage;
  }
  if (words->empty()) return wrong_usage(context, "tls-policy");
  if (words->front() == "report") return report(context, {words->begin() + 1, words->end()}, day);
  if (words->size() != 1) return wrong_usage(context, "tls-policy");
  return show(context, words->front(), channel);
}

}  // namespace postern::tools
