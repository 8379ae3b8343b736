// SPDX-License-Identifier: Apache-2.0
#include "directory/administration.h"

#include "base/clock.h"
#include "base/log.h"
#include "directory/password.h"
#include "directory/protocol.h"

#include <boost/json/array.hpp>

#include <algorithm>
#include <functional>

namespace postern::directory {
namespace {

using boost::json::object;

Administered failed(const Error& error) { return {error_answer(error), false}; }
Administered missing(const char* member) { return failed({Kind::invalid, std::string("the question lacks \"") + member + '"'}); }

Administered done_with(const Domain& domain) {
  Administered done;
  done.answer["domain"] = to_json(domain, false);
  done.changed = true;
  return done;
}

Administered done_with(const Account& account) {
  Administered done;
  done.answer["account"] = to_json(account, false);
  done.changed = true;
  return done;
}

Administered with_canonical(const object& request, Result<std::string> (*canonical)(std::string_view),
                            const std::function<Administered(const std::string&)>& work) {
  const auto name = text_in(request, "name");
  if (!name) return missing("name");
  const auto proper = canonical(*name);
  if (!proper) return failed(proper.error().in(*name));
  return work(*proper);
}

Administered domain_add(Database& database, const object& request) {
  return with_canonical(request, canonical_domain, [&](const std::string& name) {
    const Domain domain{name, {}, base::wall_now()};
    if (auto added = database.add(domain); !added) return failed(added.error());
    return done_with(domain);
  });
}

Administered domain_remove(Database& database, const object& request) {
  return with_canonical(request, canonical_domain, [&](const std::string& name) {
    if (auto removed = database.remove_domain(name); !removed) return failed(removed.error());
    return done_with(Domain{name, {}, {}});
  });
}

Administered domain_filter(Database& database, const object& request) {
  return with_canonical(request, canonical_domain, [&](const std::string& name) {
    const auto filter = text_in(request, "filter");
    if (!filter) return missing("filter");
    auto domain = database.domain(name);
    if (!domain) return failed(domain.error());
    if (!domain->has_value()) return failed({Kind::not_found, "there is no domain " + name});
    (*domain)->filter = *filter;
    if (auto changed = database.change(**domain); !changed) return failed(changed.error());
    return done_with(**domain);
  });
}

// Reads, changes and writes back one account.
Administered account_change(Database& database, const object& request, const std::function<Result<void>(AccountRecord&)>& change) {
  return with_canonical(request, canonical_account, [&](const std::string& name) {
    auto record = database.account(name);
    if (!record) return failed(record.error());
    if (!record->has_value()) return failed({Kind::not_found, "there is no account " + name});
    if (auto good = change(**record); !good) return failed(good.error());
    if (auto changed = database.change(**record); !changed) return failed(changed.error());
    return done_with((*record)->account);
  });
}

Result<void> set_hash(AccountRecord& record, const object& request) {
  const auto hash = text_in(request, "password_hash");
  if (!hash) return Error{Kind::invalid, "the question lacks \"password_hash\""};
  if (!is_password_hash(*hash)) return Error{Kind::invalid, "the password's hash is of no kind that crypt(5) knows"};
  record.password_hash = *hash;
  return {};
}

Administered account_add(Database& database, const object& request) {
  return with_canonical(request, canonical_account, [&](const std::string& name) {
    AccountRecord record;
    record.account.name = name;
    record.account.mailbox_directory = mailbox_directory_for(name);
    record.account.description = text_in(request, "description").value_or("");
    record.account.created = base::wall_now();
    if (auto good = set_hash(record, request); !good) return failed(good.error());
    if (auto added = database.add(record); !added) return failed(added.error());
    return done_with(record.account);
  });
}

Administered account_remove(Database& database, const object& request) {
  return with_canonical(request, canonical_account, [&](const std::string& name) {
    auto removed = database.remove_account(name);
    if (!removed) return failed(removed.error());
    return done_with(removed->account);
  });
}

Administered account_password(Database& database, const object& request) {
  return account_change(database, request, [&](AccountRecord& record) { return set_hash(record, request); });
}

Administered account_filter(Database& database, const object& request) {
  const auto filter = text_in(request, "filter");
  if (!filter) return missing("filter");
  return account_change(database, request, [&](AccountRecord& record) -> Result<void> {
    record.account.filter = *filter;
    return {};
  });
}

Administered account_enable(Database& database, const object& request) {
  const auto enabled = truth_in(request, "enabled");
  if (!enabled) return missing("enabled");
  return account_change(database, request, [&](AccountRecord& record) -> Result<void> {
    record.account.enabled = *enabled;
    return {};
  });
}

std::size_t limit_in(const object& request) {
  return std::clamp<std::size_t>(number_in(request, "limit").value_or(kListLimit), 1, kListLimit);
}

Administered domain_list(Database& database, const object& request) {
  const std::size_t limit = limit_in(request);
  auto list = database.domains(text_in(request, "after").value_or(""), limit);
  if (!list) return failed(list.error());
  boost::json::array entries;
  for (const Domain& domain : *list) entries.push_back(to_json(domain, false));
  Administered done;
  done.answer["more"] = entries.size() == limit;
  done.answer["domains"] = std::move(entries);
  return done;
}

Administered account_list(Database& database, const object& request) {
  const std::size_t limit = limit_in(request);
  std::string domain = text_in(request, "domain").value_or("");
  if (!domain.empty()) {
    auto proper = canonical_domain(domain);
    if (!proper) return failed(proper.error().in(domain));
    domain = *proper;
    auto there = database.domain(domain);
    if (!there) return failed(there.error());
    if (!there->has_value()) return failed({Kind::not_found, "there is no domain " + domain});
  }
  auto list = database.accounts(domain, text_in(request, "after").value_or(""), limit);
  if (!list) return failed(list.error());
  boost::json::array entries;
  for (const AccountRecord& record : *list) {
    object entry = to_json(record.account, false);
    entry["password"] = !record.password_hash.empty();
    entries.push_back(std::move(entry));
  }
  Administered done;
  done.answer["more"] = entries.size() == limit;
  done.answer["accounts"] = std::move(entries);
  return done;
}

object unreadable(const Error& error) {
  base::log_event(base::Severity::error, "directory-record", {{"error", error.what}, {"kind", to_string(error.kind)}});
  return error_answer({Kind::temporary, "the record can't be read"});
}

object look_up_domain(Database& database, const std::string& name) {
  object answer;
  answer["found"] = false;
  const auto canonical = canonical_domain(name);
  if (!canonical) return answer;
  const auto domain = database.domain(*canonical);
  if (!domain) return unreadable(domain.error());
  if (!domain->has_value()) return answer;
  answer["found"] = true;
  answer["domain"] = to_json(**domain, true);
  return answer;
}

object look_up_account(Database& database, const std::string& name) {
  object answer;
  answer["found"] = false;
  const auto canonical = canonical_account(name);
  if (!canonical) return answer;
  const auto record = database.account(*canonical);
  if (!record) return unreadable(record.error());
  if (!record->has_value()) return answer;
  answer["found"] = true;
  answer["account"] = to_json((*record)->account, true);
  return answer;
}

}  // namespace

std::optional<object> look_up(Database& database, const object& request) {
  const auto ask = text_in(request, "ask");
  const auto name = text_in(request, "name");
  if (!name) return std::nullopt;
  if (ask == "domain") return look_up_domain(database, *name);
  if (ask == "account") return look_up_account(database, *name);
  return std::nullopt;
}

std::optional<Administered> administer(Database& database, const object& request) {
  constexpr struct {
    std::string_view ask;
    Administered (*answer)(Database&, const object&);
  } questions[] = {
      {"domain-add", domain_add},         {"domain-remove", domain_remove},       {"domain-filter", domain_filter},
      {"domain-list", domain_list},       {"account-add", account_add},           {"account-remove", account_remove},
      {"account-filter", account_filter}, {"account-password", account_password}, {"account-enable", account_enable},
      {"account-list", account_list},
  };
  const auto ask = text_in(request, "ask");
  for (const auto& question : questions)
    if (ask == question.ask) return question.answer(database, request);
  return std::nullopt;
}

}  // namespace postern::directory
