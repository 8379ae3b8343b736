// SPDX-License-Identifier: Apache-2.0
#pragma once
// How connections to other domains came out as to TLS: counted for each day (UTC), policy domain and policy, in the terms of RFC 8460, so that
// reports can be made of it. Reports are not sent.
//
// Each relay child counts for itself and writes its counts as one file a day, DAY.CHILD (JSON, with a version); whoever reads adds them up.
// A child that is killed loses what it has counted since it wrote last.
// Limits: kReportedPolicies a day and child, kReportedFailures different failures a policy; what is beyond is only summed up, or not counted.
#include "base/clock.h"
#include "base/result.h"

#include <boost/json/object.hpp>

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::relay {

inline constexpr std::size_t kReportedPolicies = 10000;
inline constexpr std::size_t kReportedFailures = 50;
inline constexpr std::size_t kReportFileBytes = 64 * 1024 * 1024;

// One connection, or the attempt of one.
struct TlsSessionEnd {
  std::string domain;              // whose policy
  std::string policy_type;         // "tlsa", "sts", "no-policy-found" (section 4.4)
  std::vector<std::string> lines;  // of the policy
  std::vector<std::string> hosts;  // patterns of MTA-STS
  std::string failure;             // result type (section 4.3); empty: TLS as the policy wants it
  std::string host, address, reason;
};

// The counts of one day.
class TlsCounts {
 public:
  void count(const TlsSessionEnd& end);
  void add(const TlsCounts& other);
  [[nodiscard]] bool empty() const { return policies_.empty(); }
  [[nodiscard]] std::vector<std::string> domains() const;

  // For the disk.
  [[nodiscard]] std::string to_text() const;
  // Kind::corrupt for what to_text() of a known version did not write.
  static Result<TlsCounts> parse(std::string_view text);

  // The report about a domain (section 4.4). `day`: "2026-11-22".
  [[nodiscard]] boost::json::object report(const std::string& domain, const std::string& day, const std::string& organization, const std::string& contact) const;

 private:
  struct Policy {
    std::string domain, type;
    std::vector<std::string> lines, hosts;
    friend auto operator<=>(const Policy&, const Policy&) = default;
  };
  struct Failure {
    std::string result, host, address, reason;
    friend auto operator<=>(const Failure&, const Failure&) = default;
  };
  struct Ends {
    std::uint64_t good = 0, failed = 0;
    std::map<Failure, std::uint64_t> failures;
  };
  Ends* ends_of(const Policy& policy);
  static void add_failure(Ends& ends, const Failure& failure, std::uint64_t times);
  std::map<Policy, Ends> policies_;
};

// "2026-11-22" of a time, and whether a text is such a day.
std::string report_day(base::WallTime time);
bool is_report_day(std::string_view text);

// The counts of a day from all files in the directory. A file that can't be read is left out.
TlsCounts read_counts(int directory, const std::string& day);
// Days of which there are files, the oldest first.
std::vector<std::string> counted_days(int directory);

// The counts of one process.
class TlsReports {
 public:
  // `directory`: not owned; -1: nothing is written. `days`: files older than that are removed; 0: nothing is counted. Reads what this child had
  // counted today.
  TlsReports(int directory, unsigned child, unsigned days);
  void count(const TlsSessionEnd& end);
  // The work of writing what has changed and removing what is too old, for a thread of its own: it owns what it needs, but for the directory.
  // Errors are logged, and what could not be written is tried again with the next change.
  std::function<std::optional<std::string>()> writing();

 private:
  void turn(const std::string& day);
  void keep();
  [[nodiscard]] std::string file() const { return day_ + "." + std::to_string(child_); }
  int directory_;
  unsigned child_, days_;
  std::string day_;
  TlsCounts counts_;
  bool changed_ = false;
  std::vector<std::pair<std::string, std::string>> unwritten_;  // files and what is to stand in them
};

}  // namespace postern::relay
