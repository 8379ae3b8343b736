// SPDX-License-Identifier: Apache-2.0
#include "relay/mta_sts.h"

#include "base/text.h"
#include "net/server_name.h"

#include <algorithm>

namespace postern::relay {
namespace {

constexpr std::string_view kVersion = "STSv1";
constexpr std::string_view kKeptHead = "postern-mta-sts 1\n";
constexpr std::size_t kIdBytes = 32;

constexpr bool is_alphanumeric(char c) { return base::is_alpha(c) || base::is_digit(c); }

std::string_view trim_blanks(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// RFC 5321 section 4.1.2: letters, digits and hyphens; underscores stand in names of real hosts.
bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  for (const std::string_view label : base::split(name, '.'))
    if (label.empty() || label.size() > 63 || !std::all_of(label.begin(), label.end(), [](char c) { return is_alphanumeric(c) || c == '-' || c == '_'; })) return false;
  return true;
}

bool is_id(std::string_view text) { return !text.empty() && text.size() <= kIdBytes && std::all_of(text.begin(), text.end(), is_alphanumeric); }

// "id=2026": what stands behind the sign, if the field is of that name.
std::optional<std::string_view> value_of(std::string_view field, std::string_view name) {
  if (!field.starts_with(name)) return std::nullopt;
  field.remove_prefix(name.size());
  if (!field.starts_with('=')) return std::nullopt;
  return field.substr(1);
}

std::optional<std::string> id_in(std::string_view text) {
  std::optional<std::string> id;
  for (const std::string_view part : base::split(text, ';')) {
    const auto value = value_of(trim_blanks(part), "id");
    if (!value) continue;
    if (id || !is_id(*value)) return std::nullopt;
    id = *value;
  }
  return id;
}

}  // namespace

std::string_view to_string(StsPolicy::Mode mode) {
  switch (mode) {
    case StsPolicy::Mode::testing: return "testing";
    case StsPolicy::Mode::enforce: return "enforce";
    case StsPolicy::Mode::none: break;
  }
  return "none";
}

bool StsPolicy::covers(std::string_view host) const {
  return std::any_of(hosts.begin(), hosts.end(), [&](const std::string& pattern) {
    return pattern.starts_with("*.") ? net::wildcard_covers(pattern, host) : pattern == host;
  });
}

std::string StsPolicy::to_text() const {
  std::string text = "version: " + std::string(kVersion) + "\nmode: " + std::string(to_string(mode)) + "\n";
  for (const std::string& host : hosts) text += "mx: " + host + "\n";
  return text + "max_age: " + std::to_string(max_age.count()) + "\n";
}

Result<StsPolicy> parse_sts_policy(std::string_view text) {
  const auto wrong = [](std::string_view what) { return Error{Kind::invalid, "MTA-STS policy: " + std::string(what)}; };
  if (text.size() > kStsPolicyBytes) return wrong("it is too long");
  StsPolicy policy;
  std::optional<std::string_view> version, mode, max_age;
  for (std::string_view line : base::split(text, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = trim_blanks(line);
    if (line.empty()) continue;
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return wrong("a line without a colon");
    const std::string_view key = trim_blanks(line.substr(0, colon)), value = trim_blanks(line.substr(colon + 1));
    // Section 3.2: of fields that may stand once, the first one counts. Fields that nobody knows are left for later versions.
    if (key == "version" && !version) version = value;
    else if (key == "mode" && !mode) mode = value;
    else if (key == "max_age" && !max_age) max_age = value;
    else if (key == "mx") {
      std::string host = base::lower(value);
      if (!is_host_name(host.starts_with("*.") ? std::string_view(host).substr(2) : std::string_view(host)))
        return wrong("\"" + base::printable(value, 128) + "\" is no host or pattern");
      if (policy.hosts.size() == kStsHosts) return wrong("it has too many hosts");
      policy.hosts.push_back(std::move(host));
    }
  }
  if (version != kVersion) return wrong("expected version STSv1");
  if (mode == "enforce") policy.mode = StsPolicy::Mode::enforce;
  else if (mode == "testing") policy.mode = StsPolicy::Mode::testing;
  else if (mode != "none") return wrong("expected mode enforce, testing or none");
  const auto seconds = max_age && max_age->size() <= 10 ? base::number_from<std::uint64_t>(*max_age) : std::nullopt;
  if (!seconds) return wrong("expected max_age in seconds");
  policy.max_age = std::min(kStsLongest, std::chrono::seconds(*seconds));
  if (policy.hosts.empty() && policy.mode != StsPolicy::Mode::none) return wrong("it names no host");
  return policy;
}

std::optional<std::string> sts_id(const std::vector<std::string>& texts) {
  const std::string* only = nullptr;
  for (const std::string& text : texts) {
    // Others at this name are not for us, whatever they are.
    const auto end = text.find(';');
    if (end == std::string::npos || trim_blanks(std::string_view(text).substr(0, end)) != "v=STSv1") continue;
    if (only != nullptr) return std::nullopt;
    only = &text;
  }
  return only == nullptr ? std::nullopt : id_in(*only);
}

bool may_have_sts_policy(std::string_view domain) {
  return domain.size() + std::string_view("_mta-sts.").size() <= 253 && domain.find('.') != std::string_view::npos && is_host_name(domain);
}

std::string to_bytes(const KeptStsPolicy& kept) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(kept.fetched.time_since_epoch()).count();
  return std::string(kKeptHead) + "id: " + kept.id + "\nfetched: " + std::to_string(seconds) + "\n\n" + kept.policy.to_text();
}

Result<KeptStsPolicy> kept_sts_policy_from(std::string_view bytes) {
  const Error bad{Kind::corrupt, "not a kept MTA-STS policy"};
  if (!bytes.starts_with(kKeptHead)) return bad;
  bytes.remove_prefix(kKeptHead.size());
  const auto take = [&](std::string_view name) -> std::optional<std::string_view> {
    const auto end = bytes.find('\n');
    if (end == std::string_view::npos || !bytes.starts_with(name)) return std::nullopt;
    const std::string_view value = bytes.substr(name.size(), end - name.size());
    bytes.remove_prefix(end + 1);
    return value;
  };
  const auto id = take("id: "), fetched = take("fetched: ");
  const auto seconds = fetched ? base::number_from<std::uint32_t>(*fetched) : std::nullopt;
  if (!id || !is_id(*id) || !seconds || take("") != "") return bad;
  auto policy = parse_sts_policy(bytes);
  if (!policy) return Error{Kind::corrupt, policy.error().what};
  return KeptStsPolicy{std::string(*id), base::WallTime(std::chrono::seconds(*seconds)), std::move(*policy)};
}

}  // namespace postern::relay
