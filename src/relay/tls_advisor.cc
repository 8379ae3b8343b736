// SPDX-License-Identifier: Apache-2.0
#include "relay/tls_advisor.h"

#include "base/text.h"
#include "net/frames.h"

#include <utility>

namespace postern::relay {
namespace {

constexpr std::chrono::seconds kSaveEvery{60};

std::string shown(const net::TlsaRecord& record) { return record.kind() + " " + net::to_hex(record.data); }

}  // namespace

TlsAdvisorSettings tls_advisor_settings(const conf::Configuration& configuration) {
  TlsAdvisorSettings settings;
  settings.dane = configuration.relay.dane;
  settings.mta_sts = configuration.relay.mta_sts;
  settings.fetch.port = static_cast<std::uint16_t>(configuration.relay.mta_sts_port);
  settings.fetch.time = configuration.relay.mta_sts_time;
  settings.report_days = configuration.relay.tls_report_days;
  return settings;
}

TlsAdvisor::TlsAdvisor(net::asio::io_context& io, net::TimeLimits& limits, net::Resolver& resolver, std::shared_ptr<const net::TlsClient> tls,
                       TlsAdvisorSettings settings)
    : io_(io),
      resolver_(resolver),
      tls_(std::move(tls)),
      settings_(settings),
      fetcher_(io, limits, resolver, tls_, settings.fetch),
      policies_(io, resolver, [this](std::string domain) { return fetcher_.fetch(std::move(domain)); }, settings.read_only ? nullptr : &base::system_files(),
                settings.policies),
      reports_(settings.reports, settings.child, settings.read_only ? 0 : settings.report_days),
      disk_(io, 1, 4) {}

net::Awaitable<TlsDecision> TlsAdvisor::decide(const TlsQuestion& question, const net::HostAddresses& addresses) {
  Dane dane;
  StsFound sts;
  if (asks_domain(question)) {
    // A host that the route names is as good as one that DNSSEC names.
    const bool secure = question.names_secure || !question.route.by_mx;
    if (settings_.dane && secure) dane = co_await find_dane(resolver_, *tls_, question.host, question.route.port, addresses);
    // RFC 8461 section 2: where DANE has spoken, MTA-STS changes nothing.
    if (settings_.mta_sts && question.route.by_mx && dane.state == Dane::State::none) sts = co_await policies_.find(question.domain);
  }
  co_return decide_tls(question, std::move(dane), std::move(sts));
}

void TlsAdvisor::count(const TlsQuestion& question, const TlsDecision& decision, std::string failure, std::string address, std::string reason) {
  TlsSessionEnd end;
  end.domain = question.domain;
  end.policy_type = "no-policy-found";
  if (decision.dane.state != Dane::State::none) {
    end.policy_type = "tlsa";
    for (const net::TlsaRecord& record : decision.dane.records) end.lines.push_back(shown(record));
    // RFC 8460 section 4.3.2.1: TLS is had, but not by what they say.
    if (failure.empty() && decision.dane.state == Dane::State::unusable) failure = "tlsa-invalid";
  } else if (decision.sts.policy || !decision.sts.trouble.empty()) {
    end.policy_type = "sts";
    if (decision.sts.policy) {
      const std::string text = decision.sts.policy->policy.to_text();
      for (const std::string_view line : base::split(text, '\n'))
        if (!line.empty()) end.lines.emplace_back(line);
      end.hosts = decision.sts.policy->policy.hosts;
    } else if (failure.empty()) {
      failure = decision.sts.trouble;
      reason = decision.sts.reason;
    }
  }
  end.failure = std::move(failure);
  if (!end.failure.empty()) {
    end.host = question.host;
    end.address = std::move(address);
    end.reason = std::move(reason);
  }
  reports_.count(end);
}

net::Awaitable<void> TlsAdvisor::run() {
  co_await policies_.clean();
  net::asio::steady_timer timer(io_);
  for (;;) {
    timer.expires_after(kSaveEvery);
    co_await timer.async_wait(net::use_awaitable);
    [[maybe_unused]] const auto ended = co_await disk_.run(reports_.writing(), kSaveEvery);
  }
}

}  // namespace postern::relay
