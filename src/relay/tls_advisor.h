// SPDX-License-Identifier: Apache-2.0
#pragma once
// Says which TLS a host must have (relay/tls_policy.h), with all that must be asked for it: TLSA records, MTA-STS policies; and counts how
// connections came out. For the relay, and for posternctl, which shows what the relay would do.
//
// Failure: none; what can't be known is in the decision. One thread.
#include "relay/sts_policies.h"
#include "relay/tls_policy.h"
#include "relay/tls_reports.h"

#include <memory>

namespace postern::relay {

struct TlsAdvisorSettings {
  bool dane = true, mta_sts = true;
  StsFetcher::Settings fetch;
  unsigned report_days = 7;
  unsigned child = 0;
  int policies = -1, reports = -1;  // directories, not owned; -1: nothing is kept or counted
  bool read_only = false;           // for tools: nothing is written
};
TlsAdvisorSettings tls_advisor_settings(const conf::Configuration& configuration);

// Where policies and counts are, below the spool directory.
inline constexpr const char* kStsDirectory = "mta-sts";
inline constexpr const char* kReportsDirectory = "tls-reports";

class TlsAdvisor {
 public:
  // All must outlive it.
  TlsAdvisor(net::asio::io_context& io, net::TimeLimits& limits, net::Resolver& resolver, std::shared_ptr<const net::TlsClient> tls, TlsAdvisorSettings settings);

  // `addresses`: of question.host; question must live until it returns.
  net::Awaitable<TlsDecision> decide(const TlsQuestion& question, const net::HostAddresses& addresses);
  // How a connection by this decision came out; failure: a result type of RFC 8460, empty: well.
  void count(const TlsQuestion& question, const TlsDecision& decision, std::string failure, std::string address, std::string reason);
  // Cleans up once, then writes counts now and then: for as long as the process lives.
  net::Awaitable<void> run();
  // At the end of the process.
  void save() { reports_.writing()(); }

 private:
  net::asio::io_context& io_;
  net::Resolver& resolver_;
  std::shared_ptr<const net::TlsClient> tls_;
  TlsAdvisorSettings settings_;
  StsFetcher fetcher_;
  StsPolicies policies_;
  TlsReports reports_;
  net::BlockingWork disk_;
};

}  // namespace postern::relay
