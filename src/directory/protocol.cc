// SPDX-License-Identifier: Apache-2.0
#include "directory/protocol.h"

namespace postern::directory {
namespace {

using boost::json::object;

}  // namespace

object to_json(const Domain& domain, bool with_filter) {
  object out;
  out["name"] = domain.name;
  out["created"] = base::to_microseconds(domain.created);
  out["filter_bytes"] = domain.filter.size();
  if (with_filter) out["filter"] = domain.filter;
  return out;
}

object to_json(const Account& account, bool with_filter) {
  object out;
  out["name"] = account.name;
  out["mailbox_directory"] = account.mailbox_directory;
  out["description"] = account.description;
  out["quota_bytes"] = account.quota_bytes;
  out["enabled"] = account.enabled;
  out["created"] = base::to_microseconds(account.created);
  out["filter_bytes"] = account.filter.size();
  if (with_filter) out["filter"] = account.filter;
  return out;
}

Result<Domain> domain_from(const object& from) {
  const auto name = text_in(from, "name");
  const auto created = number_in(from, "created");
  if (!name || !created) return Error{Kind::invalid, "not a domain"};
  return Domain{*name, text_in(from, "filter").value_or(""), base::from_microseconds(static_cast<std::int64_t>(*created))};
}

Result<Account> account_from(const object& from) {
  const auto name = text_in(from, "name");
  const auto mailbox = text_in(from, "mailbox_directory");
  const auto created = number_in(from, "created");
  const auto enabled = truth_in(from, "enabled");
  if (!name || !mailbox || !created || !enabled) return Error{Kind::invalid, "not an account"};
  Account account;
  account.name = *name;
  account.mailbox_directory = *mailbox;
  account.filter = text_in(from, "filter").value_or("");
  account.description = text_in(from, "description").value_or("");
  account.quota_bytes = number_in(from, "quota_bytes").value_or(0);
  account.enabled = *enabled;
  account.created = base::from_microseconds(static_cast<std::int64_t>(*created));
  return account;
}

}  // namespace postern::directory
