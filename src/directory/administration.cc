// SPDX-License-Identifier: Apache-2.0
#include "directory/administration.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "directory/dump.h"
#include "directory/password.h"
#include "directory/protocol.h"

#include <boost/json/array.hpp>

#include <algorithm>
#include <functional>
#include <set>

namespace postern::directory {
namespace {

using boost::json::object;

// A list's answer ends behind the entry with which it has so many bytes.
constexpr std::size_t kListBytes = 1024 * 1024;

// A piece of a dump: so many entries, and not many more bytes; but no more than fits an answer.
constexpr std::size_t kDumpEntries = 500, kDumpBytes = 1024 * 1024, kAnswerBytes = 6 * 1024 * 1024;

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

Administered done_with(const Alias& alias) {
  Administered done;
  done.answer["alias"] = to_json(alias);
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

Administered domain_add(Database& database, const object& request, const Limits&) {
  return with_canonical(request, canonical_new_domain, [&](const std::string& name) {
    const Domain domain{name, {}, base::wall_now()};
    if (auto added = database.add(domain); !added) return failed(added.error());
    return done_with(domain);
  });
}

Administered domain_remove(Database& database, const object& request, const Limits&) {
  return with_canonical(request, canonical_domain, [&](const std::string& name) {
    if (auto removed = database.remove_domain(name); !removed) return failed(removed.error());
    return done_with(Domain{name, {}, {}});
  });
}

// What the question says of the domain's attributes.
Result<void> set_attributes(Domain& domain, const object& request) {
  if (auto tags = texts_in(request, "conversion_tags")) domain.conversion_tags = std::move(*tags);
  const auto* const attributes = request.if_contains("attributes");
  if (attributes == nullptr) return {};
  if (!attributes->is_object()) return Error{Kind::invalid, "\"attributes\" is not an object"};
  for (const auto& member : attributes->get_object()) {
    auto name = canonical_attribute(member.key());
    if (!name) return name.error().in(base::printable(member.key(), kMaxAttributeNameBytes));
    if (!member.value().is_string()) return Error{Kind::invalid, *name + ": the value is not text"};
    const std::string value(member.value().get_string());
    if (value.empty()) domain.attributes.erase(*name);
    else domain.attributes.insert_or_assign(std::move(*name), value);
  }
  return {};
}

// Reads, changes and writes back one domain.
Administered change_domain(Database& database, const object& request, const std::function<Result<void>(Domain&)>& change) {
  return with_canonical(request, canonical_domain, [&](const std::string& name) {
    auto domain = database.domain(name);
    if (!domain) return failed(domain.error());
    if (!domain->has_value()) return failed({Kind::not_found, "there is no domain " + name});
    if (auto good = change(**domain); !good) return failed(good.error());
    if (auto changed = database.change(**domain); !changed) return failed(changed.error());
    return done_with(**domain);
  });
}

Administered domain_change(Database& database, const object& request, const Limits&) {
  return change_domain(database, request, [&](Domain& domain) { return set_attributes(domain, request); });
}

Administered domain_filter(Database& database, const object& request, const Limits&) {
  const auto filter = text_in(request, "filter");
  if (!filter) return missing("filter");
  return change_domain(database, request, [&](Domain& domain) -> Result<void> {
    domain.filter = *filter;
    return {};
  });
}

Administered with_selector(const object& request, const std::function<Administered(const std::string&, const std::string&)>& work) {
  return with_canonical(request, canonical_domain, [&](const std::string& name) {
    const auto selector = text_in(request, "selector");
    if (!selector) return missing("selector");
    const auto proper = canonical_selector(*selector);
    if (!proper) return failed(proper.error().in(*selector));
    return work(name, *proper);
  });
}

Administered dkim_add(Database& database, const object& request, const Limits&) {
  return with_selector(request, [&](const std::string& name, const std::string& selector) {
    auto key = signing_key_from(request);
    auto private_key = from_hex(text_in(request, "private_key_hex").value_or(""));
    if (!key || !private_key) return failed({Kind::invalid, "the question lacks a key"});
    key->selector = selector;
    SigningRecord record{std::move(*key), std::move(*private_key)};
    const auto added = database.add_signing_key(name, record);
    wipe(record.private_key);
    if (!added) return failed(added.error());
    Administered done;
    done.answer["key"] = to_json(record.key);
    done.changed = true;
    return done;
  });
}

Administered dkim_use(Database& database, const object& request, const Limits&) {
  return with_selector(request, [&](const std::string& name, const std::string& selector) {
    const auto signs = truth_in(request, "signs");
    if (!signs) return missing("signs");
    if (auto used = database.use_signing_key(name, selector, *signs); !used) return failed(used.error());
    Administered done;
    done.changed = true;
    return done;
  });
}

Administered dkim_remove(Database& database, const object& request, const Limits&) {
  return with_selector(request, [&](const std::string& name, const std::string& selector) {
    if (auto removed = database.remove_signing_key(name, selector); !removed) return failed(removed.error());
    Administered done;
    done.changed = true;
    return done;
  });
}

Administered dkim_list(Database& database, const object& request, const Limits&) {
  return with_canonical(request, canonical_domain, [&](const std::string& name) {
    const auto domain = database.domain(name);
    if (!domain) return failed(domain.error());
    if (!domain->has_value()) return failed({Kind::not_found, "there is no domain " + name});
    const auto keys = database.signing_keys(name);
    if (!keys) return failed(keys.error());
    boost::json::array entries;
    for (const SigningRecord& key : *keys) entries.push_back(to_json(key.key));
    Administered done;
    done.answer["keys"] = std::move(entries);
    return done;
  });
}

// Reads, changes and writes back one account.
Administered change_account(Database& database, const object& request, const std::function<Result<void>(AccountRecord&)>& change) {
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
  if (!is_password_hash(*hash)) return Error{Kind::invalid, "the password's hash is of no kind that passwords can be checked against: posternctl-account(8) lists them"};
  // Sessions that are open end when they see it. Never twice the same, whatever the clock does.
  record.account.password_changed = std::max(base::wall_now(), record.account.password_changed + std::chrono::microseconds(1));
  record.password_hash = *hash;
  // Of another password, or of this one.
  record.scram_sha1 = text_in(request, "scram_sha1").value_or("");
  record.scram_sha256 = text_in(request, "scram_sha256").value_or("");
  return {};
}

// The addresses of a list in canonical form, each once. Nothing if there is no such member.
Result<std::optional<std::vector<std::string>>> targets_in(const object& request, std::string_view member) {
  if (!request.contains(member)) return std::optional<std::vector<std::string>>();
  const auto given = texts_in(request, member);
  if (!given) return Error{Kind::invalid, "\"" + std::string(member) + "\" is not a list of addresses"};
  std::vector<std::string> targets;
  std::set<std::string> seen;
  for (const std::string& text : *given) {
    auto target = canonical_target(text);
    if (!target) return target.error().in(text);
    if (seen.insert(*target).second) targets.push_back(std::move(*target));
  }
  return std::optional(std::move(targets));
}

// What the question says of the account's attributes.
Result<void> set_attributes(AccountRecord& record, const object& request) {
  Account& account = record.account;
  if (request.contains("password_hash"))
    if (auto good = set_hash(record, request); !good) return good;
  if (const auto text = text_in(request, "description")) account.description = *text;
  if (const auto number = number_in(request, "quota_bytes")) account.quota_bytes = *number;
  if (const auto number = number_in(request, "quota_messages")) account.quota_messages = *number;
  if (const auto truth = truth_in(request, "enabled")) account.enabled = *truth;
  if (const auto truth = truth_in(request, "held")) account.held = *truth;
  if (const auto truth = truth_in(request, "keeps_copy")) account.keeps_copy = *truth;
  if (auto tags = texts_in(request, "conversion_tags")) account.conversion_tags = std::move(*tags);
  if (auto services = texts_in(request, "services")) account.services = std::move(*services);
  if (const auto host = text_in(request, "mail_host")) {
    if (!host->empty()) {
      auto canonical = canonical_domain(*host);
      if (!canonical) return canonical.error().in(*host);
      account.mail_host = std::move(*canonical);
    } else {
      account.mail_host.clear();
    }
  }
  auto forwarding = targets_in(request, "forwarding");
  if (!forwarding) return forwarding.error();
  if (forwarding->has_value()) account.forwarding = std::move(**forwarding);
  if (account.forwarding.empty()) account.keeps_copy = false;
  return {};
}

Administered account_add(Database& database, const object& request, const Limits&) {
  return with_canonical(request, canonical_account, [&](const std::string& name) {
    AccountRecord record;
    record.account.name = name;
    record.account.mailbox_directory = mailbox_directory_for(name);
    record.account.created = base::wall_now();
    if (!request.contains("password_hash")) return missing("password_hash");
    if (auto good = set_attributes(record, request); !good) return failed(good.error());
    record.account.password_changed = {};
    if (auto added = database.add(record); !added) return failed(added.error());
    return done_with(record.account);
  });
}

Administered account_remove(Database& database, const object& request, const Limits&) {
  return with_canonical(request, canonical_account, [&](const std::string& name) {
    auto removed = database.remove_account(name);
    if (!removed) return failed(removed.error());
    return done_with(removed->account);
  });
}

Administered account_change(Database& database, const object& request, const Limits&) {
  return change_account(database, request, [&](AccountRecord& record) { return set_attributes(record, request); });
}

Administered account_filter(Database& database, const object& request, const Limits&) {
  const auto filter = text_in(request, "filter");
  if (!filter) return missing("filter");
  return with_canonical(request, canonical_account, [&](const std::string& name) {
    const auto put = filter->empty() ? database.remove_script(name, std::string(kMainScript), true)
                                     : database.put_script(name, {std::string(kMainScript), *filter, {}, base::wall_now()}, nullptr);
    if (!put) return failed(put.error());
    if (*put == ScriptOutcome::too_large) return failed({Kind::invalid, "the filter is longer than 1,000,000 bytes"});
    if (*put == ScriptOutcome::not_text) return failed({Kind::invalid, "the filter is not UTF-8 text"});
    const auto active = database.activate_script(name, filter->empty() ? std::string() : std::string(kMainScript));
    if (!active) return failed(active.error());
    auto record = database.account(name);
    if (!record) return failed(record.error());
    if (!record->has_value()) return failed({Kind::not_found, "there is no account " + name});
    return done_with((*record)->account);
  });
}

// Puts the members of the list into the alias.
Result<void> set_members(Alias& alias, std::vector<std::string> members, const Limits& limits) {
  if (members.size() > limits.group_members)
    return Error{Kind::invalid, std::to_string(members.size()) + " members; directory.group_members allows " + std::to_string(limits.group_members)};
  if (std::find(members.begin(), members.end(), alias.name) != members.end()) return Error{Kind::invalid, alias.name + " would lead to itself"};
  alias.members = std::move(members);
  return {};
}

Result<void> set_owner(Alias& alias, const object& request) {
  const auto owner = text_in(request, "owner");
  if (!owner) return {};
  alias.owner.clear();
  if (owner->empty()) return {};
  auto canonical = canonical_target(*owner);
  if (!canonical) return canonical.error().in(*owner);
  alias.owner = std::move(*canonical);
  return {};
}

Administered alias_add(Database& database, const object& request, const Limits& limits) {
  return with_canonical(request, canonical_alias, [&](const std::string& name) {
    Alias alias;
    alias.name = name;
    alias.kind = text_in(request, "kind") == "group" ? Alias::Kind::group : Alias::Kind::alias;
    alias.description = text_in(request, "description").value_or("");
    alias.created = base::wall_now();
    auto members = targets_in(request, "members");
    if (!members) return failed(members.error());
    if (auto good = set_members(alias, std::move(*members).value_or(std::vector<std::string>()), limits); !good) return failed(good.error());
    if (auto good = set_owner(alias, request); !good) return failed(good.error());
    if (auto added = database.add(alias); !added) return failed(added.error());
    return done_with(alias);
  });
}

// An alias is not changed as a group, nor the other way round.
Result<void> check_kind(const Alias& alias, const object& request) {
  const auto kind = text_in(request, "kind");
  if (!kind || (*kind == "group") == (alias.kind == Alias::Kind::group)) return {};
  return Error{Kind::invalid, alias.name + (alias.kind == Alias::Kind::group ? " is a group" : " is an alias")};
}

Administered alias_change(Database& database, const object& request, const Limits& limits) {
  return with_canonical(request, canonical_alias, [&](const std::string& name) {
    auto found = database.alias(name);
    if (!found) return failed(found.error());
    if (!found->has_value()) return failed({Kind::not_found, "there is no alias or group " + name});
    Alias& alias = **found;
    if (auto good = check_kind(alias, request); !good) return failed(good.error());
    auto members = targets_in(request, "members"), add = targets_in(request, "add"), drop = targets_in(request, "drop");
    for (const auto* list : {&members, &add, &drop})
      if (!*list) return failed(list->error());
    std::vector<std::string> changed = std::move(*members).value_or(alias.members);
    if (drop->has_value()) {
      for (const std::string& target : **drop) {
        const auto place = std::find(changed.begin(), changed.end(), target);
        if (place == changed.end()) return failed({Kind::not_found, target + " is not a member of " + name});
        changed.erase(place);
      }
    }
    if (add->has_value())
      for (std::string& target : **add) {
        if (std::find(changed.begin(), changed.end(), target) != changed.end()) return failed({Kind::invalid, target + " is a member of " + name + " already"});
        changed.push_back(std::move(target));
      }
    if (auto good = set_members(alias, std::move(changed), limits); !good) return failed(good.error());
    if (auto good = set_owner(alias, request); !good) return failed(good.error());
    if (const auto text = text_in(request, "description")) alias.description = *text;
    if (auto written = database.change(alias); !written) return failed(written.error());
    return done_with(alias);
  });
}

Administered alias_remove(Database& database, const object& request, const Limits&) {
  return with_canonical(request, canonical_alias, [&](const std::string& name) {
    if (const auto found = database.alias(name); found && found->has_value())
      if (auto good = check_kind(**found, request); !good) return failed(good.error());
    auto removed = database.remove_alias(name);
    if (!removed) return failed(removed.error());
    return done_with(*removed);
  });
}

std::size_t limit_in(const object& request) {
  return std::clamp<std::size_t>(number_in(request, "limit").value_or(kListLimit), 1, kListLimit);
}

Administered domain_list(Database& database, const object& request, const Limits&) {
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

// The domain that a list is asked for; empty: all.
Result<std::string> domain_in(Database& database, const object& request) {
  const std::string domain = text_in(request, "domain").value_or("");
  if (domain.empty()) return domain;
  auto proper = canonical_domain(domain);
  if (!proper) return proper.error().in(domain);
  auto there = database.domain(*proper);
  if (!there) return there.error();
  if (!there->has_value()) return Error{Kind::not_found, "there is no domain " + *proper};
  return proper;
}

Administered account_list(Database& database, const object& request, const Limits&) {
  const std::size_t limit = limit_in(request);
  const auto domain = domain_in(database, request);
  if (!domain) return failed(domain.error());
  auto list = database.accounts(*domain, text_in(request, "after").value_or(""), limit);
  if (!list) return failed(list.error());
  boost::json::array entries;
  std::size_t bytes = 0;
  for (const AccountRecord& record : *list) {
    if (bytes > kListBytes) break;
    object entry = to_json(record.account, false);
    entry["password"] = !record.password_hash.empty();
    entries.push_back(std::move(entry));
    bytes += encode(record).size();
  }
  Administered done;
  done.answer["more"] = entries.size() == limit || entries.size() < list->size();
  done.answer["accounts"] = std::move(entries);
  return done;
}

Administered alias_list(Database& database, const object& request, const Limits&) {
  const auto domain = domain_in(database, request);
  if (!domain) return failed(domain.error());
  const auto kind = text_in(request, "kind");
  Administered done;
  boost::json::array entries;
  std::size_t bytes = 0;
  // A few at a time: one may be a megabyte.
  std::string after = text_in(request, "after").value_or("");
  for (const std::size_t limit = limit_in(request); entries.size() < limit && bytes < kListBytes;) {
    auto list = database.aliases(*domain, after, 4);
    if (!list) return failed(list.error());
    if (list->empty()) {
      after.clear();
      break;
    }
    for (const Alias& alias : *list) {
      if (kind && *kind != (alias.kind == Alias::Kind::group ? "group" : "alias")) continue;
      entries.push_back(to_json(alias));
      for (const std::string& member : alias.members) bytes += member.size() + 4;
    }
    after = list->back().name;
  }
  done.answer["more"] = !after.empty();
  done.answer["after"] = after;
  done.answer["aliases"] = std::move(entries);
  return done;
}

// A piece of a dump; "position" asks for the next one. One account may have more scripts than an answer takes: "skip" bytes of its text are
// known then, and "size" tells whether it is still the same text.
Administered directory_dump(Database& database, const object& request, const Limits&) {
  std::string position = text_in(request, "position").value_or("");
  const std::string before = position;
  const auto skip = static_cast<std::size_t>(number_in(request, "skip").value_or(0));
  const auto entries = database.entries(position, skip > 0 ? 1 : kDumpEntries, kDumpBytes);
  if (!entries) return failed(entries.error());
  std::string text;
  for (const Database::Entry& entry : *entries) text += dump_text(entry);
  Administered done;
  done.answer["more"] = !entries->empty();
  if (skip > text.size() || (skip > 0 && number_in(request, "size") != text.size()))
    return failed({Kind::temporary, before.substr(std::min<std::size_t>(1, before.size())) + " or what follows it was changed meanwhile; begin again"});
  // Entries are many and small, or one that is large.
  if (text.size() - skip > kAnswerBytes) {
    if (entries->size() > 1) {
      position = before;
      const auto first = database.entries(position, 1, 1);
      if (!first) return failed(first.error());
      text = first->empty() ? std::string() : dump_text(first->front());
    }
    if (text.size() - skip > kAnswerBytes) {
      const std::size_t end = text.rfind('\n', skip + kAnswerBytes) + 1;
      done.answer["text"] = std::string_view(text).substr(skip, end - skip);
      done.answer["position"] = before;
      done.answer["skip"] = end;
      done.answer["size"] = text.size();
      return done;
    }
  }
  done.answer["text"] = std::string_view(text).substr(skip);
  done.answer["position"] = position;
  return done;
}

// The domain of an address, or of "@domain".
std::string domain_of(std::string_view name) { return std::string(name.substr(name.rfind('@') + 1)); }

// Nothing if the accounts of the domain of this name are here.
Result<void> check_is_here(const std::string& name, const Elsewhere& elsewhere) {
  const std::string reason = elsewhere ? elsewhere(domain_of(name)) : std::string();
  if (!reason.empty()) return Error{Kind::denied, name + ": " + reason};
  return {};
}

Administered directory_load(Database& database, const object& request, const Elsewhere& elsewhere) {
  const auto text = text_in(request, "text");
  if (!text) return missing("text");
  std::vector<Database::Entry> entries;
  DumpReader reader([&](Database::Entry entry, std::uint64_t) { entries.push_back(std::move(entry)); }, false);
  for (std::string_view left = *text; !left.empty();) {
    const auto end = std::min(left.find('\n'), left.size());
    reader.read(left.substr(0, end));
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  reader.end();
  if (!reader.mistakes().empty()) return failed({Kind::invalid, reader.mistakes().front().to_string()});
  for (const Database::Entry& entry : entries)
    if (!entry.domain)
      if (const auto here = check_is_here(name_of(entry), elsewhere); !here) return failed(here.error());
  const bool check_only = truth_in(request, "check").value_or(false);
  const auto counts = database.load(entries, truth_in(request, "replace").value_or(false), check_only);
  if (!counts) return failed(counts.error());
  Administered done;
  done.answer["added"] = counts->added;
  done.answer["replaced"] = counts->replaced;
  done.answer["unchanged"] = counts->unchanged;
  done.changed = !check_only && counts->added + counts->replaced > 0;
  return done;
}

// One question about the scripts of `account`. `limits` null: an administrator asks.
Administered script_answer(Database& database, const std::string& account, const std::string& ask, const object& request, const Limits* limits) {
  Administered done;
  const auto outcome_is = [&](const Result<ScriptOutcome>& outcome) -> Administered {
    // The account went while its owner was logged in.
    if (!outcome && outcome.error().kind == Kind::not_found && limits != nullptr) done.answer["outcome"] = to_string(ScriptOutcome::logged_out);
    else if (!outcome) return failed(outcome.error());
    else done.answer["outcome"] = to_string(*outcome);
    return std::move(done);
  };
  if (ask == "script-list") {
    const auto scripts = database.scripts(account);
    if (!scripts) return outcome_is(scripts.error());
    boost::json::array entries;
    for (const ScriptEntry& script : *scripts) entries.push_back(to_json(script));
    done.answer["scripts"] = std::move(entries);
    return outcome_is(ScriptOutcome::done);
  }
  const auto name = text_in(request, "script");
  if (!name) return missing("script");
  if (ask == "script-get") {
    const auto script = database.script(account, *name);
    if (!script) return outcome_is(script.error());
    if (!script->has_value()) return outcome_is(ScriptOutcome::not_found);
    done.answer["text"] = (*script)->text;
    done.answer["rules"] = to_json((*script)->rules);
    return outcome_is(ScriptOutcome::done);
  }
  if (ask == "script-space") {
    const auto bytes = number_in(request, "bytes");
    return bytes ? outcome_is(database.have_space(account, *name, *bytes, limits)) : missing("bytes");
  }
  if (ask == "script-put") {
    const auto text = text_in(request, "text");
    if (!text) return missing("text");
    const ScriptRecord script{*name, *text, texts_in(request, "rules").value_or(std::vector<std::string>()), base::wall_now()};
    const auto put = database.put_script(account, script, limits, &done.changed);
    return outcome_is(put);
  }
  if (ask == "script-remove") {
    const auto removed = database.remove_script(account, *name, limits == nullptr, &done.changed);
    return outcome_is(removed);
  }
  if (ask == "script-activate") {
    const auto activated = database.activate_script(account, *name, &done.changed);
    return outcome_is(activated);
  }
  const auto new_name = text_in(request, "new_name");
  if (!new_name) return missing("new_name");
  const auto renamed = database.rename_script(account, *name, *new_name);
  done.changed = renamed && *renamed == ScriptOutcome::done;
  return outcome_is(renamed);
}

bool is_about_scripts(const std::optional<std::string>& ask) {
  constexpr std::string_view asks[] = {"script-list", "script-get", "script-space", "script-put", "script-remove", "script-activate", "script-rename"};
  return ask && std::find(std::begin(asks), std::end(asks), *ask) != std::end(asks);
}

object unreadable(const Error& error) {
  base::log_event(base::Severity::error, "directory-record", {{"error", error.what}, {"kind", to_string(error.kind)}});
  return error_answer({Kind::temporary, "the record can't be read"});
}

object look_up_domain(Database& database, const std::string& name, const Elsewhere& elsewhere) {
  object answer;
  answer["found"] = false;
  const auto canonical = canonical_domain(name);
  if (!canonical) return answer;
  if (const std::string reason = elsewhere ? elsewhere(*canonical) : std::string(); !reason.empty()) answer["elsewhere"] = reason;
  auto domain = database.domain(*canonical);
  if (!domain) return unreadable(domain.error());
  if (!domain->has_value()) return answer;
  const auto keys = database.signing_keys(*canonical);
  if (!keys) return unreadable(keys.error());
  for (const SigningRecord& key : *keys)
    if (key.key.signs) (*domain)->signing_keys.push_back(key.key);
  answer["found"] = true;
  answer["domain"] = to_json(**domain, true);
  return answer;
}

object look_up_script(Database& database, const std::string& account, const std::string& script) {
  object answer;
  answer["found"] = false;
  const auto canonical = canonical_account(account);
  if (!canonical) return answer;
  const auto found = database.script(*canonical, script);
  if (!found && found.error().kind != Kind::not_found) return unreadable(found.error());
  if (!found || !found->has_value()) return answer;
  answer["found"] = true;
  answer["text"] = (*found)->text;
  return answer;
}

object look_up_account(Database& database, const std::string& name) {
  object answer;
  answer["found"] = false;
  const auto canonical = canonical_alias(name);
  if (!canonical) return answer;
  if (canonical->front() != '@') {
    auto record = database.account(*canonical);
    if (!record) return unreadable(record.error());
    if (record->has_value()) {
      if (auto filter = database.read_filter(**record); !filter) return unreadable(filter.error());
      answer["found"] = true;
      answer["account"] = to_json((*record)->account, true);
      return answer;
    }
  }
  const auto alias = database.alias(*canonical);
  if (!alias) return unreadable(alias.error());
  if (alias->has_value()) answer["alias"] = to_json(**alias);
  return answer;
}

}  // namespace

std::string kept_in_ldap(const std::string& domain) { return "the accounts of " + domain + " are in an LDAP directory, and are looked after there"; }

std::optional<object> look_up(Database& database, const object& request, const Elsewhere& elsewhere) {
  const auto ask = text_in(request, "ask");
  const auto name = text_in(request, "name");
  if (!name) return std::nullopt;
  if (ask == "domain") return look_up_domain(database, *name, elsewhere);
  if (ask == "account") return look_up_account(database, *name);
  if (ask == "account-script") return look_up_script(database, *name, text_in(request, "script").value_or(""));
  return std::nullopt;
}

std::optional<Administered> administer(Database& database, const object& request, const Limits& limits, const Elsewhere& elsewhere) {
  constexpr struct {
    std::string_view ask;
    Administered (*answer)(Database&, const object&, const Limits&);
  } questions[] = {
      {"domain-add", domain_add},         {"domain-remove", domain_remove},   {"domain-filter", domain_filter},   {"domain-change", domain_change},
      {"dkim-add", dkim_add},             {"dkim-use", dkim_use},             {"dkim-remove", dkim_remove},       {"dkim-list", dkim_list},
      {"domain-list", domain_list},       {"account-add", account_add},       {"account-remove", account_remove},
      {"account-filter", account_filter}, {"account-change", account_change}, {"account-list", account_list},
      {"alias-add", alias_add},           {"alias-change", alias_change},     {"alias-remove", alias_remove},
      {"alias-list", alias_list},         {"directory-dump", directory_dump},
  };
  // What changes an account or an alias, and what would be for nobody where they are elsewhere.
  constexpr std::string_view changes[] = {"account-add", "account-change", "account-filter", "alias-add", "alias-change", "script-put", "script-rename", "script-activate"};
  const auto ask = text_in(request, "ask");
  if (ask == "directory-load") return directory_load(database, request, elsewhere);
  if (elsewhere && std::find(std::begin(changes), std::end(changes), ask) != std::end(changes))
    if (const auto name = canonical_alias(text_in(request, "name").value_or("")))
      if (const auto here = check_is_here(*name, elsewhere); !here) return failed(here.error());
  for (const auto& question : questions)
    if (ask == question.ask) return question.answer(database, request, limits);
  if (!is_about_scripts(ask)) return std::nullopt;
  return with_canonical(request, canonical_account, [&](const std::string& name) { return script_answer(database, name, *ask, request, nullptr); });
}

std::optional<Administered> administer_own_scripts(Database& database, const std::string& account, const object& request, const Limits& limits) {
  const auto ask = text_in(request, "ask");
  if (!is_about_scripts(ask)) return std::nullopt;
  return script_answer(database, account, *ask, request, &limits);
}

}  // namespace postern::directory
