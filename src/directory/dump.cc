// SPDX-License-Identifier: Apache-2.0
#include "directory/dump.h"

#include "base/base64.h"
#include "base/text.h"
#include "directory/password.h"
#include "directory/signing.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace postern::directory {
namespace {

std::string time_text(base::WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  std::array<char, 48> text;
  const int size = std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                                 static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                                 static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return std::string(text.data(), static_cast<std::size_t>(size));
}

// "2026-11-22T06:30:00Z", with up to six digits behind the seconds if there is a dot.
std::optional<base::WallTime> time_from(std::string_view text) {
  const auto number = [&](std::size_t at, std::size_t digits, char behind) -> std::optional<int> {
    if (text.size() <= at + digits || text[at + digits] != behind) return std::nullopt;
    for (std::size_t i = at; i < at + digits; ++i)
      if (!base::is_digit(text[i])) return std::nullopt;
    return base::number_from<int>(text.substr(at, digits));
  };
  const bool fraction = text.size() > 20 && text[19] == '.';
  const auto year = number(0, 4, '-'), month = number(5, 2, '-'), day = number(8, 2, 'T'), hour = number(11, 2, ':'), minute = number(14, 2, ':'),
             second = number(17, 2, fraction ? '.' : 'Z');
  if (!year || !month || !day || !hour || !minute || !second || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  int microseconds = 0;
  if (fraction) {
    const std::size_t digits = text.size() - 21;
    const auto value = digits >= 1 && digits <= 6 ? number(20, digits, 'Z') : std::nullopt;
    if (!value) return std::nullopt;
    microseconds = *value;
    for (std::size_t i = digits; i < 6; ++i) microseconds *= 10;
  } else if (text.size() != 20) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)), std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return base::WallTime(std::chrono::sys_days(date)) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) + std::chrono::seconds(*second) +
         std::chrono::microseconds(microseconds);
}

void add_field(std::string& out, std::string_view key, std::string_view value) {
  out.append("  ").append(key);
  if (!value.empty()) out.append(" ").append(value);
  out += '\n';
}

void add_unless_empty(std::string& out, std::string_view key, std::string_view value) {
  if (!value.empty()) add_field(out, key, value);
}

// A time that is not known is left out.
void add_time(std::string& out, std::string_view key, base::WallTime time) {
  if (time != base::WallTime{}) add_field(out, key, time_text(time));
}

void add_text(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    char mark = end == std::string_view::npos ? '=' : '|';
    if (mark == '|' && line.ends_with('\r')) {
      mark = '>';
      line.remove_suffix(1);
    }
    out.append("    ") += mark;
    out.append(line) += '\n';
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
}

void add_account(std::string& out, const AccountRecord& record, const std::vector<ScriptRecord>& scripts) {
  const Account& account = record.account;
  add_time(out, "created", account.created);
  if (account.mailbox_directory != mailbox_directory_for(account.name)) add_field(out, "mailbox", account.mailbox_directory);
  add_unless_empty(out, "password", record.password_hash);
  add_time(out, "password-changed", account.password_changed);
  add_unless_empty(out, "scram-sha-1", record.scram_sha1);
  add_unless_empty(out, "scram-sha-256", record.scram_sha256);
  add_unless_empty(out, "description", account.description);
  if (!account.enabled) add_field(out, "disabled", "");
  if (account.held) add_field(out, "held", "");
  if (account.quota_bytes != 0) add_field(out, "quota", std::to_string(account.quota_bytes));
  if (account.quota_messages != 0) add_field(out, "quota-messages", std::to_string(account.quota_messages));
  for (const std::string& address : account.forwarding) add_field(out, "forward", address);
  if (account.keeps_copy) add_field(out, "keep-copy", "");
  for (const std::string& tag : account.conversion_tags) add_field(out, "tag", tag);
  for (const std::string& service : account.services) add_field(out, "service", service);
  add_unless_empty(out, "mail-host", account.mail_host);
  add_unless_empty(out, "active-script", account.active_script);
  for (const ScriptRecord& script : scripts) {
    add_field(out, "script", script.name);
    add_text(out, script.text);
    add_time(out, "changed", script.changed);
    for (const std::string& rule : script.rules) {
      add_field(out, "rule", "");
      add_text(out, rule);
    }
  }
}

}  // namespace

const std::string& name_of(const Database::Entry& entry) {
  if (entry.domain) return entry.domain->name;
  if (entry.alias) return entry.alias->name;
  return entry.account->account.name;
}

std::string dump_text(const Database::Entry& entry) {
  std::string out;
  if (entry.domain) {
    out = "domain " + entry.domain->name + "\n";
    add_time(out, "created", entry.domain->created);
    if (!entry.domain->filter.empty()) {
      add_field(out, "filter", "");
      add_text(out, entry.domain->filter);
    }
    for (const std::string& tag : entry.domain->conversion_tags) add_field(out, "tag", tag);
    for (const auto& [name, value] : entry.domain->attributes) add_field(out, "attribute", name + " " + value);
    for (const SigningRecord& key : entry.signing_keys) {
      add_field(out, "signing-key", key.key.selector + " " + base::to_base64(key.private_key));
      add_time(out, "key-created", key.key.created);
      if (!key.key.signs) add_field(out, "key-signs", "no");
    }
  } else if (entry.alias) {
    const Alias& alias = *entry.alias;
    out = (alias.kind == Alias::Kind::group ? "group " : "alias ") + alias.name + "\n";
    add_time(out, "created", alias.created);
    add_unless_empty(out, "description", alias.description);
    add_unless_empty(out, "owner", alias.owner);
    for (const std::string& member : alias.members) add_field(out, "member", member);
  } else {
    out = "account " + entry.account->account.name + "\n";
    add_account(out, *entry.account, entry.scripts);
  }
  return out;
}

std::string DumpMistake::to_string() const {
  std::string out = std::to_string(line) + ": ";
  if (!record.empty()) out += record + ": ";
  if (!field.empty()) out += field + ": ";
  return out + text;
}

DumpReader::DumpReader(Found found, bool head) : found_(std::move(found)), head_read_(!head) {}

void DumpReader::mistake(std::uint64_t line, std::string record, std::string field, std::string text) {
  if (mistakes_.size() < kMostMistakes) mistakes_.push_back({line, std::move(record), std::move(field), std::move(text)});
}

void DumpReader::wrong(std::string_view field, std::string text) {
  bad_ = true;
  mistake(line_, record_, std::string(field), std::move(text));
}

bool DumpReader::first(std::string_view key) {
  if (std::find(seen_.begin(), seen_.end(), key) != seen_.end()) {
    wrong(key, "given twice");
    return false;
  }
  seen_.emplace_back(key);
  return true;
}

void DumpReader::read(std::string_view line) {
  ++line_;
  if (!head_read_) {
    head_read_ = true;
    ends_with_crlf_ = line.ends_with('\r');
    if (ends_with_crlf_) line.remove_suffix(1);
    if (line != kDumpHead) mistake(line_, "", "", "not a dump of this version: expected \"" + std::string(kDumpHead) + "\"");
    return;
  }
  if (ends_with_crlf_ && line.ends_with('\r')) line.remove_suffix(1);
  const std::size_t start = line.find_first_not_of(" \t");
  if (start == std::string_view::npos) {
    if (line.find('\r') == std::string_view::npos) return;
  } else if (start > 0 && std::string_view("|>=").find(line[start]) != std::string_view::npos) {
    text_line(line[start], line.substr(start + 1));
    return;
  }
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (start == std::string_view::npos || start >= line.size() || line[start] == '#') return;
  std::string_view words = line.substr(start);
  const std::size_t blank = words.find(' ');
  const std::string_view key = words.substr(0, blank), value = blank == std::string_view::npos ? std::string_view() : words.substr(blank + 1);
  if (start == 0) begin_record(key, value);
  else if (record_.empty()) wrong(key.substr(0, 64), "a field stands outside of a record");
  else field(key, value);
}

void DumpReader::end() {
  if (!head_read_) mistake(1, "", "", "the file is empty: expected \"" + std::string(kDumpHead) + "\"");
  finish_record();
}

void DumpReader::begin_record(std::string_view kind, std::string_view name) {
  finish_record();
  entry_ = {};
  seen_.clear();
  bad_ = false;
  text_ = nullptr;
  record_line_ = line_;
  record_ = std::string(kind.substr(0, 64)) + " " + base::printable(name, 400);
  Result<std::string> canonical = Error{Kind::invalid, "expected \"domain\", \"account\", \"alias\" or \"group\" at the beginning of a line"};
  if (kind == "domain") {
    canonical = canonical_new_domain(name);
    if (canonical) entry_.domain = Domain{*canonical, {}, {}};
  } else if (kind == "account") {
    canonical = canonical_account(name);
    if (canonical) {
      entry_.account.emplace();
      entry_.account->account.name = *canonical;
    }
  } else if (kind == "alias" || kind == "group") {
    canonical = canonical_alias(name);
    if (canonical) {
      entry_.alias.emplace();
      entry_.alias->name = *canonical;
      entry_.alias->kind = kind == "group" ? Alias::Kind::group : Alias::Kind::alias;
    }
  }
  if (!canonical) wrong("", canonical.error().what);
}

void DumpReader::finish_record() {
  if (record_.empty()) return;
  const bool known = entry_.domain || entry_.account || entry_.alias;
  if (known && !bad_) {
    Result<void> good;
    if (entry_.domain) {
      good = check(*entry_.domain);
      auto& keys = entry_.signing_keys;
      std::sort(keys.begin(), keys.end(), [](const SigningRecord& a, const SigningRecord& b) { return a.key.selector < b.key.selector; });
      const auto same = std::adjacent_find(keys.begin(), keys.end(), [](const SigningRecord& a, const SigningRecord& b) { return a.key.selector == b.key.selector; });
      if (good && same != keys.end()) good = Error{Kind::invalid, "there are two signing keys " + same->key.selector};
      if (good && keys.size() > kMaxSigningKeys) good = Error{Kind::invalid, "there are more than " + std::to_string(kMaxSigningKeys) + " signing keys"};
    }
    if (entry_.alias) good = check(*entry_.alias);
    if (entry_.account) {
      Account& account = entry_.account->account;
      if (account.mailbox_directory.empty()) account.mailbox_directory = mailbox_directory_for(account.name);
      good = check(*entry_.account);
      for (const ScriptRecord& script : entry_.scripts)
        if (good) good = check(script);
      std::sort(entry_.scripts.begin(), entry_.scripts.end(), [](const ScriptRecord& a, const ScriptRecord& b) { return a.name < b.name; });
      const auto same = std::adjacent_find(entry_.scripts.begin(), entry_.scripts.end(), [](const ScriptRecord& a, const ScriptRecord& b) { return a.name == b.name; });
      if (good && same != entry_.scripts.end()) good = Error{Kind::invalid, "there are two scripts " + same->name};
      const auto active = std::find_if(entry_.scripts.begin(), entry_.scripts.end(), [&](const ScriptRecord& script) { return script.name == account.active_script; });
      if (good && !account.active_script.empty() && active == entry_.scripts.end()) good = Error{Kind::invalid, "there is no script " + account.active_script};
    }
    if (good) found_(std::move(entry_), record_line_);
    else mistake(record_line_, record_, "", good.error().what);
  }
  record_.clear();
  text_ = nullptr;
}

void DumpReader::field(std::string_view key, std::string_view value) {
  text_ = nullptr;
  if (entry_.domain) domain_field(key, value);
  else if (entry_.account) account_field(key, value);
  else if (entry_.alias) alias_field(key, value);
}

void DumpReader::text_line(char mark, std::string_view text) {
  if (text_ == nullptr) return wrong("", "a line of text stands where no text belongs");
  // Never written so; something else has changed the line ends.
  if (mark == '|' && text.ends_with('\r')) return wrong("", "the line ends with CRLF, and the head line does not: line ends were changed; > marks a line of text that has CRLF");
  if (text_ended_) return wrong("", "a line of text stands behind the last one, which is marked by =");
  if (text_->size() + text.size() > kMaxFilterBytes) return wrong("", "the text is longer than 1,000,000 bytes");
  text_->append(text);
  if (mark == '>') *text_ += '\r';
  if (mark != '=') *text_ += '\n';
  text_ended_ = mark == '=';
}

void DumpReader::time(std::string_view key, std::string_view value, base::WallTime& into) {
  if (!first(key)) return;
  const auto time = time_from(value);
  if (time) into = *time;
  else wrong(key, "expected a time like 2026-11-22T06:30:00Z, found \"" + base::printable(value, 64) + "\"");
}

void DumpReader::target(std::string_view key, std::string_view value, std::vector<std::string>& into) {
  auto canonical = canonical_target(value);
  if (canonical) into.push_back(std::move(*canonical));
  else wrong(key, base::printable(value, 400) + ": " + canonical.error().what);
}

void DumpReader::domain_field(std::string_view key, std::string_view value) {
  if (key == "created") return time(key, value, entry_.domain->created);
  if (key == "signing-key" || key == "key-created" || key == "key-signs") return signing_key(key, value);
  if (key == "tag") {
    entry_.domain->conversion_tags.emplace_back(value);
    return;
  }
  if (key == "attribute") return attribute(key, value);
  if (key != "filter") return wrong(key.substr(0, 64), "domains have no such field");
  if (!first(key)) return;
  text_ = &entry_.domain->filter;
  text_ended_ = false;
}

void DumpReader::attribute(std::string_view key, std::string_view value) {
  const auto blank = value.find(' ');
  auto name = canonical_attribute(value.substr(0, blank));
  if (!name) return wrong(key, base::printable(value.substr(0, blank), kMaxAttributeNameBytes) + ": " + name.error().what);
  const std::string text(blank == std::string_view::npos ? std::string_view() : value.substr(blank + 1));
  if (!entry_.domain->attributes.emplace(*name, text).second) wrong(key, *name + " is given twice");
}

void DumpReader::signing_key(std::string_view key, std::string_view value) {
  if (key != "signing-key") {
    if (entry_.signing_keys.empty()) return wrong(key, "belongs to a signing key; none stands above it");
    SigningKey& above = entry_.signing_keys.back().key;
    if (key == "key-created") return time(key, value, above.created);
    if (!first(key)) return;
    if (value != "no" && value != "yes") return wrong(key, "expected yes or no");
    above.signs = value == "yes";
    return;
  }
  if (entry_.signing_keys.size() > kMaxSigningKeys) return wrong(key, "there are more than " + std::to_string(kMaxSigningKeys));
  const auto blank = value.find(' ');
  auto selector = canonical_selector(value.substr(0, blank));
  if (!selector) return wrong(key, base::printable(value.substr(0, blank), 64) + ": " + selector.error().what);
  auto bytes = blank == std::string_view::npos ? std::nullopt : base::from_base64(value.substr(blank + 1));
  if (!bytes || bytes->size() > kMaxSigningKeyBytes) return wrong(key, "expected a selector and a private key (DER) in base64");
  auto record = signing_record_from(std::move(*bytes), std::move(*selector), {});
  if (!record) return wrong(key, record.error().what);
  entry_.signing_keys.push_back(std::move(*record));
  std::erase(seen_, "key-created");
  std::erase(seen_, "key-signs");
}

void DumpReader::alias_field(std::string_view key, std::string_view value) {
  Alias& alias = *entry_.alias;
  if (key == "created") return time(key, value, alias.created);
  if (key == "member") return target(key, value, alias.members);
  if (key == "description") {
    if (first(key)) alias.description = value;
  } else if (key == "owner") {
    std::vector<std::string> owner;
    if (first(key)) target(key, value, owner);
    if (!owner.empty()) alias.owner = owner.front();
  } else {
    wrong(key.substr(0, 64), "aliases and groups have no such field");
  }
}

void DumpReader::account_field(std::string_view key, std::string_view value) {
  Account& account = entry_.account->account;
  const struct { std::string_view key; bool& truth; bool value; } truths[] = {
      {"disabled", account.enabled, false}, {"held", account.held, true}, {"keep-copy", account.keeps_copy, true}};
  for (const auto& row : truths)
    if (key == row.key) {
      if (!value.empty()) wrong(key, "takes no value, found \"" + base::printable(value, 64) + "\"");
      else if (first(key)) row.truth = row.value;
      return;
    }
  const struct { std::string_view key; std::string& text; } texts[] = {{"mailbox", account.mailbox_directory}, {"description", account.description},
                                                                       {"active-script", account.active_script}, {"mail-host", account.mail_host}};
  for (const auto& row : texts)
    if (key == row.key) {
      if (first(key)) row.text = value;
      return;
    }
  if (key == "created") return time(key, value, account.created);
  if (key == "password-changed") return time(key, value, account.password_changed);
  if (key == "forward") return target(key, value, account.forwarding);
  if (key == "tag") {
    account.conversion_tags.emplace_back(value);
  } else if (key == "service") {
    if (std::find(std::begin(kServices), std::end(kServices), value) == std::end(kServices))
      return wrong(key, "expected pop3, imap, smtp, sieve or web, found \"" + base::printable(value, 64) + "\"");
    account.services.emplace_back(value);
  } else if (key == "password") {
    if (!first(key)) return;
    entry_.account->password_hash = value;
    if (!is_password_hash(entry_.account->password_hash)) wrong(key, "the hash is of no kind that passwords can be checked against");
  } else if (key == "scram-sha-1" || key == "scram-sha-256") {
    const bool sha1 = key == "scram-sha-1";
    if (!first(key)) return;
    (sha1 ? entry_.account->scram_sha1 : entry_.account->scram_sha256) = value;
    if (!read_scram_secret(sha1 ? ScramDigest::sha1 : ScramDigest::sha256, value)) wrong(key, "expected a secret in the form of RFC 5803");
  } else if (key == "quota" || key == "quota-messages") {
    const auto number = base::number_from<std::uint64_t>(value);
    if (!number) return wrong(key, std::string("expected a number of ") + (key == "quota" ? "bytes" : "messages") + ", found \"" + base::printable(value, 64) + "\"");
    if (first(key)) (key == "quota" ? account.quota_bytes : account.quota_messages) = *number;
  } else if (key == "script") {
    if (auto good = check_script_name(value); !good) return wrong(key, good.error().what);
    entry_.scripts.push_back({std::string(value), {}, {}, {}});
    std::erase(seen_, "changed");
    text_ = &entry_.scripts.back().text;
    text_ended_ = false;
  } else if (key == "changed" || key == "rule") {
    if (entry_.scripts.empty()) return wrong(key, "belongs to a script; none stands above it");
    ScriptRecord& script = entry_.scripts.back();
    if (key == "changed") return time(key, value, script.changed);
    script.rules.emplace_back();
    text_ = &script.rules.back();
    text_ended_ = false;
  } else {
    wrong(key.substr(0, 64), "accounts have no such field");
  }
}

}  // namespace postern::directory
