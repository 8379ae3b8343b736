// SPDX-License-Identifier: Apache-2.0
#pragma once
// MTA-STS (RFC 8461) without the network: what stands in a domain's TXT record and in its policy, and which hosts a policy covers.
//
// All of it was written by strangers. A policy that breaks the grammar is no policy, not a part of one: Kind::invalid, with the reason.
// Limits: kStsPolicyBytes of text, kStsHosts host patterns; a policy holds a year at most (section 3.2).
#include "base/clock.h"
#include "base/result.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::relay {

inline constexpr std::size_t kStsPolicyBytes = 64 * 1024;
inline constexpr std::size_t kStsHosts = 500;
inline constexpr std::chrono::seconds kStsLongest{31557600};

struct StsPolicy {
  enum class Mode { none, testing, enforce } mode = Mode::none;
  std::vector<std::string> hosts;  // lower case; "*.example.net" stands for one label before it. Empty only with mode none
  std::chrono::seconds max_age{0};

  // Section 4.1. `host`: lower case.
  [[nodiscard]] bool covers(std::string_view host) const;
  // As a file that reads back as this policy; its lines are what reports quote (RFC 8460 section 4.4).
  [[nodiscard]] std::string to_text() const;
  friend bool operator==(const StsPolicy&, const StsPolicy&) = default;
};
std::string_view to_string(StsPolicy::Mode mode);

// Section 3.2.
Result<StsPolicy> parse_sts_policy(std::string_view text);

// The id that the TXT records of _mta-sts.DOMAIN name (section 3.1); nothing if they name none, or several.
std::optional<std::string> sts_id(const std::vector<std::string>& texts);

// Whether a policy can be asked for: mta-sts.DOMAIN must be the name of a host. `domain` in lower case.
bool may_have_sts_policy(std::string_view domain);

// A policy as it is kept on disk, one file a domain: a line with the format's version, `id` and `fetched` (seconds since 1970), an empty
// line, the policy's text.
struct KeptStsPolicy {
  std::string id;
  base::WallTime fetched{};
  StsPolicy policy;

  [[nodiscard]] base::WallTime until() const { return fetched + policy.max_age; }
  friend bool operator==(const KeptStsPolicy&, const KeptStsPolicy&) = default;
};
std::string to_bytes(const KeptStsPolicy& kept);
// Kind::corrupt for what to_bytes() of this version did not write.
Result<KeptStsPolicy> kept_sts_policy_from(std::string_view bytes);

}  // namespace postern::relay
