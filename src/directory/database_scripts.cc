// SPDX-License-Identifier: Apache-2.0
// The scripts of accounts (directory/database.h): several, at most one active.
#include "base/log.h"
#include "base/text.h"
#include "directory/database.h"
#include "directory/keys.h"

#include <algorithm>

namespace postern::directory {
namespace {

void tell(bool* in_force, bool value) {
  if (in_force != nullptr) *in_force = value;
}

}  // namespace

Result<AccountRecord> Database::present_account(const std::string& name) {
  auto record = account(name);
  if (!record) return record.error();
  if (!record->has_value()) return Error{Kind::not_found, "there is no account " + name};
  if (!(*record)->account.filter.empty()) {
    if (auto written = change(**record); !written) return written.error();
    (*record)->account.filter.clear();
  }
  return std::move(**record);
}

Result<std::vector<ScriptRecord>> Database::script_records(const std::string& account) {
  std::vector<ScriptRecord> scripts;
  auto looked = store_.for_each(script_prefix(account), [&](std::string_view, std::string_view value) {
    auto script = decode_script(value);
    if (script) scripts.push_back(std::move(*script));
    else base::log_event(base::Severity::error, "directory-record", {{"key", account}, {"error", script.error().what}, {"kind", to_string(script.error().kind)}});
    return true;
  });
  if (!looked) return looked.error().in("account database");
  return scripts;
}

Result<std::vector<ScriptEntry>> Database::scripts(const std::string& account) {
  const auto record = present_account(account);
  if (!record) return record.error();
  const auto scripts = script_records(account);
  if (!scripts) return scripts.error();
  std::vector<ScriptEntry> entries;
  for (const ScriptRecord& script : *scripts)
    entries.push_back({script.name, script.text.size(), script.name == record->account.active_script, script.changed});
  return entries;
}

Result<std::optional<ScriptRecord>> Database::script(const std::string& account, const std::string& name) {
  if (const auto record = present_account(account); !record) return record.error();
  if (!check_script_name(name)) return std::optional<ScriptRecord>();
  auto bytes = bytes_of(script_key(account, name));
  if (!bytes) return bytes.error();
  if (!bytes->has_value()) return std::optional<ScriptRecord>();
  auto script = decode_script(**bytes);
  if (!script) return script.error().in(account);
  return std::optional<ScriptRecord>(std::move(*script));
}

Result<ScriptOutcome> Database::have_space(const std::string& account, const std::string& name, std::uint64_t bytes, const Limits* limits) {
  if (const auto record = present_account(account); !record) return record.error();
  if (!check_script_name(name)) return ScriptOutcome::bad_name;
  if (bytes > std::min(limits == nullptr ? kMaxFilterBytes : limits->script_bytes, kMaxFilterBytes)) return ScriptOutcome::too_large;
  if (limits == nullptr) return ScriptOutcome::done;
  const auto there = bytes_of(script_key(account, name));
  if (!there) return there.error();
  if (there->has_value()) return ScriptOutcome::done;
  std::size_t count = 0;
  auto looked = store_.for_each(script_prefix(account), [&](std::string_view, std::string_view) { return ++count < limits->scripts; });
  if (!looked) return looked.error().in("account database");
  return count < limits->scripts ? ScriptOutcome::done : ScriptOutcome::too_many;
}

Result<ScriptOutcome> Database::put_script(const std::string& account, const ScriptRecord& script, const Limits* limits, bool* in_force) {
  tell(in_force, false);
  const auto space = have_space(account, script.name, script.text.size(), limits);
  if (!space || *space != ScriptOutcome::done) return space;
  if (!base::is_utf8(script.text) || script.text.find('\0') != std::string::npos) return ScriptOutcome::not_text;
  if (auto good = check(script); !good) return good.error();
  const auto record = present_account(account);
  if (!record) return record.error();
  if (auto written = store_.put(script_key(account, script.name), encode(script)); !written) return written.error();
  tell(in_force, record->account.active_script == script.name);
  return ScriptOutcome::done;
}

Result<ScriptOutcome> Database::remove_script(const std::string& account, const std::string& name, bool even_active, bool* in_force) {
  tell(in_force, false);
  auto record = present_account(account);
  if (!record) return record.error();
  if (!check_script_name(name)) return ScriptOutcome::not_found;
  const auto there = bytes_of(script_key(account, name));
  if (!there) return there.error();
  if (!there->has_value()) return ScriptOutcome::not_found;
  const bool active = record->account.active_script == name;
  if (active && !even_active) return ScriptOutcome::active;
  std::vector<keyfile::Change> changes{{script_key(account, name), std::nullopt}};
  if (active) {
    record->account.active_script.clear();
    changes.push_back({account_key(account), encode(*record)});
  }
  if (auto written = store_.write(changes); !written) return written.error();
  tell(in_force, active);
  return ScriptOutcome::done;
}

Result<ScriptOutcome> Database::rename_script(const std::string& account, const std::string& name, const std::string& new_name) {
  auto record = present_account(account);
  if (!record) return record.error();
  if (!check_script_name(new_name)) return ScriptOutcome::bad_name;
  auto old = script(account, name);
  if (!old) return old.error();
  if (!old->has_value()) return ScriptOutcome::not_found;
  const auto there = bytes_of(script_key(account, new_name));
  if (!there) return there.error();
  if (there->has_value()) return ScriptOutcome::exists;
  (*old)->name = new_name;
  std::vector<keyfile::Change> changes{{script_key(account, name), std::nullopt}, {script_key(account, new_name), encode(**old)}};
  // RFC 5804 section 2.11.1: the active one stays active.
  if (record->account.active_script == name) {
    record->account.active_script = new_name;
    changes.push_back({account_key(account), encode(*record)});
  }
  if (auto written = store_.write(changes); !written) return written.error();
  return ScriptOutcome::done;
}

Result<ScriptOutcome> Database::activate_script(const std::string& account, const std::string& name, bool* in_force) {
  tell(in_force, false);
  auto record = present_account(account);
  if (!record) return record.error();
  if (!name.empty()) {
    if (!check_script_name(name)) return ScriptOutcome::not_found;
    const auto there = bytes_of(script_key(account, name));
    if (!there) return there.error();
    if (!there->has_value()) return ScriptOutcome::not_found;
  }
  if (record->account.active_script == name) return ScriptOutcome::done;
  record->account.active_script = name;
  if (auto written = store_.put(account_key(account), encode(*record)); !written) return written.error();
  tell(in_force, true);
  return ScriptOutcome::done;
}

}  // namespace postern::directory
