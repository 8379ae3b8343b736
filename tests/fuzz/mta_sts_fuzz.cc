// SPDX-License-Identifier: Apache-2.0
// What domains publish for MTA-STS, and what is kept of it: whatever the bytes, what is taken for a policy reads back as itself, and covers no
// host that it does not name.
#include "base/result.h"
#include "net/run_coroutine.h"
#include "relay/sts_fetch.h"
#include "relay/tls_reports.h"

#include <cstddef>
#include <cstdint>

using namespace postern;

namespace {

void check_policy(const relay::StsPolicy& policy) {
  POSTERN_ASSERT(relay::parse_sts_policy(policy.to_text()).value() == policy);
  POSTERN_ASSERT(policy.hosts.size() <= relay::kStsHosts && policy.max_age <= relay::kStsLongest && policy.max_age.count() >= 0);
  POSTERN_ASSERT(!policy.covers(""));
  for (const std::string& host : policy.hosts) {
    POSTERN_ASSERT(host.starts_with("*.") || policy.covers(host));
    if (host.starts_with("*.")) POSTERN_ASSERT(policy.covers("a" + host.substr(1)) || host.size() > 253);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  if (const auto policy = relay::parse_sts_policy(bytes)) check_policy(*policy);
  if (const auto kept = relay::kept_sts_policy_from(bytes)) {
    check_policy(kept->policy);
    POSTERN_ASSERT(relay::kept_sts_policy_from(to_bytes(*kept)).value() == *kept);
  }
  if (const auto id = relay::sts_id({bytes})) POSTERN_ASSERT(!id->empty() && id->size() <= 32);
  static_cast<void>(relay::may_have_sts_policy(bytes));
  if (const auto counts = relay::TlsCounts::parse(bytes)) {
    const std::string text = counts->to_text();
    POSTERN_ASSERT(relay::TlsCounts::parse(text).value().to_text() == text);
  }
  // The same bytes as a web server's answer, cut where they may be cut.
  const std::size_t middle = size / 2;
  net::ScriptedStream stream({bytes.substr(0, middle), bytes.substr(middle)});
  const auto fetched = net::run_coroutine(relay::fetch_sts_policy(stream, "mta-sts.example.net"));
  POSTERN_ASSERT(fetched.policy.has_value() == fetched.trouble.empty());
  if (fetched.policy) check_policy(*fetched.policy);
  return 0;
}
