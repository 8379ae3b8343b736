// SPDX-License-Identifier: Apache-2.0
#include "directory/protocol.h"

namespace postern::directory {
namespace {

using boost::json::array;
using boost::json::object;

}  // namespace

array to_json(const std::vector<std::string>& texts) {
  array out;
  out.reserve(texts.size());
  for (const std::string& text : texts) out.emplace_back(text);
  return out;
}

std::optional<std::vector<std::string>> texts_in(const object& from, std::string_view member) {
  const auto* found = from.if_contains(member);
  if (found == nullptr || !found->is_array()) return std::nullopt;
  std::vector<std::string> texts;
  texts.reserve(found->get_array().size());
  for (const auto& entry : found->get_array()) {
    if (!entry.is_string()) return std::nullopt;
    texts.emplace_back(entry.get_string());
  }
  return texts;
}

object to_json(const Domain& domain, bool with_filter) {
  object out;
  out["name"] = domain.name;
  out["created"] = base::to_microseconds(domain.created);
  out["filter_bytes"] = domain.filter.size();
  if (with_filter) out["filter"] = domain.filter;
  if (!domain.conversion_tags.empty()) out["conversion_tags"] = to_json(domain.conversion_tags);
  if (!domain.attributes.empty()) {
    object attributes;
    for (const auto& [name, value] : domain.attributes) attributes[name] = value;
    out["attributes"] = std::move(attributes);
  }
  array keys;
  for (const SigningKey& key : domain.signing_keys) keys.push_back(to_json(key));
  if (!keys.empty()) out["signing_keys"] = std::move(keys);
  return out;
}

std::string_view to_string(SigningKey::Type type) { return type == SigningKey::Type::rsa ? "rsa" : "ed25519"; }

std::optional<SigningKey::Type> signing_type_from(std::string_view text) {
  if (text == "rsa") return SigningKey::Type::rsa;
  if (text == "ed25519") return SigningKey::Type::ed25519;
  return std::nullopt;
}

object to_json(const SigningKey& key) {
  object out;
  out["selector"] = key.selector;
  out["type"] = to_string(key.type);
  out["public_key_hex"] = to_hex(key.public_key);
  out["created"] = base::to_microseconds(key.created);
  out["signs"] = key.signs;
  return out;
}

Result<SigningKey> signing_key_from(const object& from) {
  const auto selector = text_in(from, "selector"), type = text_in(from, "type"), hex = text_in(from, "public_key_hex");
  const auto created = number_in(from, "created");
  const auto known = signing_type_from(type.value_or(""));
  auto bytes = from_hex(hex.value_or(""));
  if (!selector || !known || !hex || !bytes || !created) return Error{Kind::invalid, "not a signing key"};
  SigningKey key;
  key.selector = *selector;
  key.type = *known;
  key.public_key = std::move(*bytes);
  key.created = base::from_microseconds(static_cast<std::int64_t>(*created));
  key.signs = truth_in(from, "signs").value_or(true);
  return key;
}

object to_json(const Account& account, bool with_filter) {
  object out;
  out["name"] = account.name;
  out["mailbox_directory"] = account.mailbox_directory;
  out["description"] = account.description;
  out["quota_bytes"] = account.quota_bytes;
  out["quota_messages"] = account.quota_messages;
  out["full_until"] = base::to_microseconds(account.full_until);
  out["enabled"] = account.enabled;
  out["held"] = account.held;
  out["forwarding"] = to_json(account.forwarding);
  out["keeps_copy"] = account.keeps_copy;
  out["conversion_tags"] = to_json(account.conversion_tags);
  out["services"] = to_json(account.services);
  out["mail_host"] = account.mail_host;
  out["created"] = base::to_microseconds(account.created);
  out["password_changed"] = base::to_microseconds(account.password_changed);
  if (!account.password_mark.empty()) out["password_mark"] = account.password_mark;
  out["active_script"] = account.active_script;
  if (with_filter) out["filter"] = account.filter;
  return out;
}

object to_json(const Alias& alias) {
  object out;
  out["name"] = alias.name;
  out["kind"] = alias.kind == Alias::Kind::group ? "group" : "alias";
  out["members"] = to_json(alias.members);
  out["owner"] = alias.owner;
  out["description"] = alias.description;
  out["created"] = base::to_microseconds(alias.created);
  return out;
}

object to_json(const ScriptEntry& script) {
  object out;
  out["name"] = script.name;
  out["bytes"] = script.bytes;
  out["active"] = script.active;
  out["changed"] = base::to_microseconds(script.changed);
  return out;
}

Result<Domain> domain_from(const object& from) {
  const auto name = text_in(from, "name");
  const auto created = number_in(from, "created");
  if (!name || !created) return Error{Kind::invalid, "not a domain"};
  Domain domain{*name, text_in(from, "filter").value_or(""), base::from_microseconds(static_cast<std::int64_t>(*created))};
  if (const auto* keys = from.if_contains("signing_keys"); keys != nullptr && keys->is_array())
    for (const auto& entry : keys->get_array()) {
      auto key = entry.is_object() ? signing_key_from(entry.get_object()) : Result<SigningKey>(Error{Kind::invalid, "not a signing key"});
      if (!key) return key.error();
      domain.signing_keys.push_back(std::move(*key));
    }
  domain.conversion_tags = texts_in(from, "conversion_tags").value_or(std::vector<std::string>());
  if (const auto* attributes = from.if_contains("attributes"); attributes != nullptr && attributes->is_object())
    for (const auto& attribute : attributes->get_object()) {
      if (!attribute.value().is_string()) return Error{Kind::invalid, "not an attribute of a domain"};
      domain.attributes.emplace(attribute.key(), attribute.value().get_string());
    }
  return domain;
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
  account.quota_messages = number_in(from, "quota_messages").value_or(0);
  account.full_until = base::from_microseconds(static_cast<std::int64_t>(number_in(from, "full_until").value_or(0)));
  account.password_changed = base::from_microseconds(static_cast<std::int64_t>(number_in(from, "password_changed").value_or(0)));
  account.password_mark = text_in(from, "password_mark").value_or("");
  account.enabled = *enabled;
  account.created = base::from_microseconds(static_cast<std::int64_t>(*created));
  account.held = truth_in(from, "held").value_or(false);
  account.forwarding = texts_in(from, "forwarding").value_or(std::vector<std::string>());
  account.keeps_copy = truth_in(from, "keeps_copy").value_or(false);
  account.conversion_tags = texts_in(from, "conversion_tags").value_or(std::vector<std::string>());
  account.services = texts_in(from, "services").value_or(std::vector<std::string>());
  account.mail_host = text_in(from, "mail_host").value_or("");
  account.active_script = text_in(from, "active_script").value_or("");
  return account;
}

Result<Alias> alias_from(const object& from) {
  const auto name = text_in(from, "name");
  const auto kind = text_in(from, "kind");
  const auto created = number_in(from, "created");
  auto members = texts_in(from, "members");
  if (!name || !kind || !created || !members) return Error{Kind::invalid, "not an alias"};
  Alias alias;
  alias.kind = *kind == "group" ? Alias::Kind::group : Alias::Kind::alias;
  alias.name = *name;
  alias.members = std::move(*members);
  alias.owner = text_in(from, "owner").value_or("");
  alias.description = text_in(from, "description").value_or("");
  alias.created = base::from_microseconds(static_cast<std::int64_t>(*created));
  return alias;
}

Result<ScriptEntry> script_from(const object& from) {
  const auto name = text_in(from, "name");
  const auto bytes = number_in(from, "bytes");
  const auto active = truth_in(from, "active");
  const auto changed = number_in(from, "changed");
  if (!name || !bytes || !active || !changed) return Error{Kind::invalid, "not a script"};
  return ScriptEntry{*name, static_cast<std::size_t>(*bytes), *active, base::from_microseconds(static_cast<std::int64_t>(*changed))};
}

Result<ScriptOutcome> script_outcome_in(const object& answer) {
  const auto text = text_in(answer, "outcome");
  for (auto outcome = ScriptOutcome::done; text;) {
    if (*text == to_string(outcome)) return outcome;
    if (outcome == ScriptOutcome::logged_out) break;
    outcome = static_cast<ScriptOutcome>(static_cast<std::uint8_t>(outcome) + 1);
  }
  return Error{Kind::invalid, "not the outcome of a question about scripts"};
}

}  // namespace postern::directory
