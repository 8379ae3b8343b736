// SPDX-License-Identifier: Apache-2.0
#include "relay/tls_reports.h"

#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "net/frames.h"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace postern::relay {
namespace {

using boost::json::array;
using boost::json::object;

constexpr std::uint64_t kFormat = 1;
constexpr std::size_t kMostFiles = 100'000;

array to_array(const std::vector<std::string>& texts) {
  array made;
  for (const std::string& text : texts) made.emplace_back(text);
  return made;
}

std::optional<std::vector<std::string>> texts_in(const object& from, std::string_view name) {
  const auto* const found = from.if_contains(name);
  if (found == nullptr || !found->is_array()) return std::nullopt;
  std::vector<std::string> texts;
  for (const auto& one : found->get_array()) {
    if (!one.is_string()) return std::nullopt;
    texts.emplace_back(one.get_string());
  }
  return texts;
}

// Visits the objects of a list; false if it is no such list, or `visit` says so.
template <class Visit>
bool each_in(const object& from, std::string_view name, Visit visit) {
  const auto* const found = from.if_contains(name);
  if (found == nullptr || !found->is_array()) return false;
  return std::all_of(found->get_array().begin(), found->get_array().end(), [&](const auto& one) { return one.is_object() && visit(one.get_object()); });
}

std::string day_of(std::string_view file) { return std::string(file.substr(0, 10)); }

}  // namespace

TlsCounts::Ends* TlsCounts::ends_of(const Policy& policy) {
  const auto known = policies_.find(policy);
  if (known != policies_.end()) return &known->second;
  return policies_.size() < kReportedPolicies ? &policies_[policy] : nullptr;
}

void TlsCounts::add_failure(Ends& ends, const Failure& failure, std::uint64_t times) {
  ends.failed += times;
  const auto known = ends.failures.find(failure);
  if (known != ends.failures.end()) known->second += times;
  else if (ends.failures.size() < kReportedFailures) ends.failures.emplace(failure, times);
}

void TlsCounts::count(const TlsSessionEnd& end) {
  Ends* const ends = ends_of({end.domain, end.policy_type, end.lines, end.hosts});
  if (ends == nullptr) return;
  if (end.failure.empty()) ++ends->good;
  else add_failure(*ends, {end.failure, end.host, end.address, base::printable(end.reason, 200)}, 1);
}

void TlsCounts::add(const TlsCounts& other) {
  for (const auto& [policy, theirs] : other.policies_) {
    Ends* const ends = ends_of(policy);
    if (ends == nullptr) continue;
    ends->good += theirs.good;
    std::uint64_t named = 0;
    for (const auto& [failure, times] : theirs.failures) {
      add_failure(*ends, failure, times);
      named += times;
    }
    ends->failed += theirs.failed - std::min(theirs.failed, named);
  }
}

std::vector<std::string> TlsCounts::domains() const {
  std::vector<std::string> found;
  for (const auto& [policy, ends] : policies_)
    if (found.empty() || found.back() != policy.domain) found.push_back(policy.domain);
  return found;
}

std::string TlsCounts::to_text() const {
  array policies;
  for (const auto& [policy, ends] : policies_) {
    array failures;
    for (const auto& [failure, times] : ends.failures)
      failures.push_back(object{{"result", failure.result}, {"host", failure.host}, {"address", failure.address}, {"reason", failure.reason}, {"times", times}});
    policies.push_back(object{{"domain", policy.domain}, {"type", policy.type}, {"lines", to_array(policy.lines)}, {"hosts", to_array(policy.hosts)},
                              {"good", ends.good}, {"failed", ends.failed}, {"failures", std::move(failures)}});
  }
  return boost::json::serialize(object{{"format", kFormat}, {"policies", std::move(policies)}}) + "\n";
}

Result<TlsCounts> TlsCounts::parse(std::string_view text) {
  const Error bad{Kind::corrupt, "not a file of TLS counts"};
  boost::system::error_code error;
  const auto value = boost::json::parse(text, error);
  if (error || !value.is_object() || net::number_in(value.get_object(), "format") != kFormat) return bad;
  TlsCounts counts;
  const bool good = each_in(value.get_object(), "policies", [&](const object& from) {
    const auto domain = net::text_in(from, "domain"), type = net::text_in(from, "type");
    auto lines = texts_in(from, "lines"), hosts = texts_in(from, "hosts");
    const auto good = net::number_in(from, "good"), failed = net::number_in(from, "failed");
    if (!domain || !type || !lines || !hosts || !good || !failed) return false;
    Ends* const ends = counts.ends_of({*domain, *type, std::move(*lines), std::move(*hosts)});
    if (ends == nullptr) return true;
    const bool whole = each_in(from, "failures", [&](const object& one) {
      const auto result = net::text_in(one, "result"), host = net::text_in(one, "host"), address = net::text_in(one, "address"), reason = net::text_in(one, "reason");
      const auto times = net::number_in(one, "times");
      if (!result || !host || !address || !reason || !times) return false;
      add_failure(*ends, {*result, *host, *address, *reason}, *times);
      return true;
    });
    ends->good += *good;
    ends->failed = std::max(ends->failed, *failed);
    return whole;
  });
  if (!good) return bad;
  return counts;
}

object TlsCounts::report(const std::string& domain, const std::string& day, const std::string& organization, const std::string& contact) const {
  array policies;
  for (const auto& [policy, ends] : policies_) {
    if (policy.domain != domain) continue;
    object shown{{"policy-type", policy.type}, {"policy-domain", policy.domain}};
    if (!policy.lines.empty()) shown["policy-string"] = to_array(policy.lines);
    if (!policy.hosts.empty()) shown["mx-host"] = to_array(policy.hosts);
    array details;
    for (const auto& [failure, times] : ends.failures) {
      object detail{{"result-type", failure.result}, {"failed-session-count", times}};
      if (!failure.host.empty()) detail["receiving-mx-hostname"] = failure.host;
      if (!failure.address.empty()) detail["receiving-ip"] = failure.address;
      if (!failure.reason.empty()) detail["failure-reason-code"] = failure.reason;
      details.push_back(std::move(detail));
    }
    object entry{{"policy", std::move(shown)},
                 {"summary", {{"total-successful-session-count", ends.good}, {"total-failure-session-count", ends.failed}}}};
    if (!details.empty()) entry["failure-details"] = std::move(details);
    policies.push_back(std::move(entry));
  }
  return {{"organization-name", organization},
          {"date-range", {{"start-datetime", day + "T00:00:00Z"}, {"end-datetime", day + "T23:59:59Z"}}},
          {"contact-info", contact},
          {"report-id", day + "_" + domain + "@" + organization},
          {"policies", std::move(policies)}};
}

std::string report_day(base::WallTime time) { return day_of(base::iso8601(time)); }

bool is_report_day(std::string_view text) {
  if (text.size() != 10) return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (i == 4 || i == 7 ? text[i] != '-' : !base::is_digit(text[i])) return false;
  return true;
}

TlsCounts read_counts(int directory, const std::string& day) {
  TlsCounts sum;
  const auto names = base::list_directory(directory, kMostFiles);
  if (!names) return sum;
  for (const std::string& name : *names) {
    if (!name.starts_with(day + ".") || !base::number_from<unsigned>(std::string_view(name).substr(day.size() + 1))) continue;
    const auto text = base::read_file(directory, name, kReportFileBytes);
    if (!text) continue;
    if (const auto counts = TlsCounts::parse(*text)) sum.add(*counts);
  }
  return sum;
}

std::vector<std::string> counted_days(int directory) {
  std::set<std::string> days;
  const auto names = base::list_directory(directory, kMostFiles);
  for (const std::string& name : names ? *names : std::vector<std::string>())
    if (name.size() > 11 && name[10] == '.' && is_report_day(day_of(name))) days.insert(day_of(name));
  return {days.begin(), days.end()};
}

TlsReports::TlsReports(int directory, unsigned child, unsigned days) : directory_(directory), child_(child), days_(days) {
  if (days_ > 0) turn(report_day(base::wall_now()));
}

void TlsReports::turn(const std::string& day) {
  day_ = day;
  counts_ = {};
  changed_ = false;
  if (directory_ < 0) return;
  const auto text = base::read_file(directory_, file(), kReportFileBytes);
  if (!text) return;
  if (auto counts = TlsCounts::parse(*text)) counts_ = std::move(*counts);
}

void TlsReports::keep() {
  if (std::exchange(changed_, false)) unwritten_.emplace_back(file(), counts_.to_text());
}

void TlsReports::count(const TlsSessionEnd& end) {
  if (days_ == 0) return;
  if (const std::string today = report_day(base::wall_now()); today != day_) {
    keep();
    turn(today);
  }
  counts_.count(end);
  changed_ = true;
}

std::function<std::optional<std::string>()> TlsReports::writing() {
  if (days_ == 0 || directory_ < 0) return [] { return std::optional<std::string>(); };
  keep();
  const std::string oldest = report_day(base::wall_now() - std::chrono::hours(24) * (days_ - 1));
  return [directory = directory_, files = std::exchange(unwritten_, {}), oldest]() -> std::optional<std::string> {
    for (const auto& [name, bytes] : files)
      if (const auto written = base::replace_file(base::system_files(), directory, name, bytes, 0640); !written)
        base::log_event(base::Severity::warning, "tls-counts-not-written", {{"file", name}, {"reason", written.error().what}});
    const auto names = base::list_directory(directory, kMostFiles);
    for (const std::string& name : names ? *names : std::vector<std::string>())
      if (is_report_day(day_of(name)) && day_of(name) < oldest) [[maybe_unused]] const auto gone = base::system_files().unlink(directory, name);
    return std::nullopt;
  };
}

}  // namespace postern::relay
