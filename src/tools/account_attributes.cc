// SPDX-License-Identifier: Apache-2.0
#include "tools/account_attributes.h"

#include "base/text.h"
#include "directory/protocol.h"
#include "tools/directory_answers.h"

#include <algorithm>

namespace postern::tools {

std::vector<Option> AccountAttributes::options(bool change) {
  std::vector<Option> all{{"--description", &description_}, {"--quota", &quota_},       {"--quota-messages", &quota_messages_}, {"--mail-host", &mail_host_}, {"--forward", &forwarding_},
                          {"--service", &services_},        {"--tag", &tags_},          {"--keep-copy", &keep_copy_}, {"--hold", &hold_}};
  if (change)
    all.insert(all.end(), {{"--no-keep-copy", &no_keep_copy_}, {"--no-hold", &no_hold_}, {"--no-forward", &no_forwarding_}, {"--all-services", &all_services_}, {"--no-tags", &no_tags_}});
  return all;
}

Result<boost::json::object> AccountAttributes::request() const {
  const struct { bool first, second; const char *names; } both[] = {{keep_copy_, no_keep_copy_, "--keep-copy and --no-keep-copy"},
                                                                     {hold_, no_hold_, "--hold and --no-hold"},
                                                                     {!forwarding_.empty(), no_forwarding_, "--forward and --no-forward"},
                                                                     {!services_.empty(), all_services_, "--service and --all-services"},
                                                                     {!tags_.empty(), no_tags_, "--tag and --no-tags"}};
  for (const auto& row : both)
    if (row.first && row.second) return Error{Kind::invalid, std::string(row.names) + " exclude each other"};
  boost::json::object request;
  if (description_) request["description"] = *description_;
  if (mail_host_) request["mail_host"] = *mail_host_;
  if (quota_) {
    const auto bytes = *quota_ == "none" ? std::optional<std::uint64_t>(0) : bytes_from(*quota_);
    if (!bytes) return Error{Kind::invalid, "--quota: expected a size like \"2 GiB\", or none, found \"" + base::printable(*quota_, 64) + "\""};
    request["quota_bytes"] = *bytes;
  }
  if (quota_messages_) {
    const auto messages = *quota_messages_ == "none" ? std::optional<std::uint64_t>(0) : base::number_from<std::uint64_t>(*quota_messages_);
    if (!messages) return Error{Kind::invalid, "--quota-messages: expected a number of messages, or none, found \"" + base::printable(*quota_messages_, 64) + "\""};
    request["quota_messages"] = *messages;
  }
  if (!forwarding_.empty() || no_forwarding_) request["forwarding"] = directory::to_json(forwarding_);
  std::vector<std::string> services;
  for (const std::string& given : services_)
    for (const std::string_view word : base::split(given, ',')) {
      if (std::find(std::begin(directory::kServices), std::end(directory::kServices), word) == std::end(directory::kServices))
        return Error{Kind::invalid, "--service: expected pop3, imap, smtp, sieve or web, found \"" + base::printable(word, 64) + "\""};
      if (std::find(services.begin(), services.end(), word) == services.end()) services.emplace_back(word);
    }
  if (!services.empty() || all_services_) request["services"] = directory::to_json(services);
  if (!tags_.empty() || no_tags_) request["conversion_tags"] = directory::to_json(tags_);
  if (keep_copy_ || no_keep_copy_) request["keeps_copy"] = keep_copy_;
  if (hold_ || no_hold_) request["held"] = hold_;
  return request;
}

}  // namespace postern::tools
