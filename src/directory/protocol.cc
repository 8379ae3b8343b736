// SPDX-License-Identifier: Apache-2.0
#include "directory/protocol.h"

#include "base/text.h"

namespace postern::directory {
namespace {

using boost::json::object;

constexpr Kind kKinds[] = {Kind::invalid, Kind::not_found, Kind::denied, Kind::temporary, Kind::permanent, Kind::corrupt};

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

object error_answer(const Error& error) {
  object inner;
  inner["kind"] = to_string(error.kind);
  inner["text"] = base::is_utf8(error.what) ? error.what : std::string("the reason is not UTF-8 text");
  object out;
  out["error"] = std::move(inner);
  return out;
}

std::optional<Error> error_in(const object& answer) {
  const auto* found = answer.if_contains("error");
  if (found == nullptr) return std::nullopt;
  Error error{Kind::temporary, "directory: an error without a text"};
  if (!found->is_object()) return error;
  const object& inner = found->get_object();
  error.what = text_in(inner, "text").value_or(error.what);
  const std::string kind = text_in(inner, "kind").value_or("");
  for (const Kind known : kKinds)
    if (kind == to_string(known)) error.kind = known;
  return error;
}

std::optional<std::string> text_in(const object& from, std::string_view name) {
  const auto* found = from.if_contains(name);
  if (found == nullptr || !found->is_string()) return std::nullopt;
  return std::string(found->get_string());
}

std::optional<std::uint64_t> number_in(const object& from, std::string_view name) {
  const auto* found = from.if_contains(name);
  if (found == nullptr) return std::nullopt;
  if (found->is_uint64()) return found->get_uint64();
  if (found->is_int64() && found->get_int64() >= 0) return static_cast<std::uint64_t>(found->get_int64());
  return std::nullopt;
}

std::optional<bool> truth_in(const object& from, std::string_view name) {
  const auto* found = from.if_contains(name);
  if (found == nullptr || !found->is_bool()) return std::nullopt;
  return found->get_bool();
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    text += digits[static_cast<unsigned char>(c) >> 4];
    text += digits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
    if (error != std::errc{} || end != text.data() + i + 2) return std::nullopt;
    bytes += static_cast<char>(value);
  }
  return bytes;
}

}  // namespace postern::directory
