// SPDX-License-Identifier: Apache-2.0
#include "authentication/signature.h"

#include "base/text.h"
#include "net/dns_answer.h"

#include <algorithm>
#include <map>

namespace postern::authentication {
namespace {

// RFC 6376 section 3.5: up to 76 digits; what is more than a body can have bytes is as good as the most.
std::optional<std::uint64_t> number_of(std::string_view text) {
  if (text.empty() || text.size() > 76 || !std::all_of(text.begin(), text.end(), base::is_digit)) return std::nullopt;
  while (text.size() > 1 && text.front() == '0') text.remove_prefix(1);
  if (text.size() > 18) return std::uint64_t{999'999'999'999'999'999};
  return base::number_from<std::uint64_t>(text);
}

Error missing(std::string_view tag) { return {Kind::invalid, "there is no " + std::string(tag) + "="}; }
Error bad(std::string_view tag, std::string_view value) { return {Kind::invalid, std::string(tag) + "= can't be " + base::printable(value, 60)}; }

Result<void> read_forms(Signature& signature, std::string_view text) {
  const auto slash = std::min(text.find('/'), text.size());
  const auto form_of = [](std::string_view name) -> std::optional<Form> {
    if (name == "simple") return Form::simple;
    if (name == "relaxed") return Form::relaxed;
    return std::nullopt;
  };
  const auto header = form_of(text.substr(0, slash));
  const auto body = slash == text.size() ? Form::simple : form_of(text.substr(slash + 1));
  if (!header || !body) return bad("c", text);
  signature.header_form = *header;
  signature.body_form = *body;
  return {};
}

// Narrower than the DNS: it is written into header fields and logs.
std::optional<std::string> plain_domain(std::string_view text) {
  const auto is_plain = [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-' || c == '_' || c == '.'; };
  auto name = net::canonical_dns_name(text);
  if (!name || *name == "." || !std::all_of(name->begin(), name->end(), is_plain)) return std::nullopt;
  return std::move(*name);
}

bool is_at_or_below(std::string_view name, std::string_view domain) {
  return name == domain || (name.size() > domain.size() && name.ends_with(domain) && name[name.size() - domain.size() - 1] == '.');
}

Result<void> read_identity(Signature& signature, const TagList& tags) {
  const auto identity = tags.find("i");
  if (!identity) {
    signature.identity = "@" + signature.domain;
    signature.identity_domain = signature.domain;
    return {};
  }
  // Quoted-printable of DKIM (RFC 6376 section 2.11) may stand in the local part, which nobody here reads.
  const auto at = identity->rfind('@');
  if (at == std::string_view::npos) return bad("i", *identity);
  auto domain = plain_domain(identity->substr(at + 1));
  if (!domain || !is_at_or_below(*domain, signature.domain)) return Error{Kind::invalid, "the domain of i= is not within d="};
  signature.identity = without_blanks(*identity);
  signature.identity_domain = std::move(*domain);
  return {};
}

// What DKIM-Signature and ARC-Message-Signature say of the message.
Result<void> read_message_tags(Signature& signature, const TagList& tags) {
  const auto hash = tags.find("bh");
  if (!hash) return missing("bh");
  auto bytes = folded_base64(*hash);
  if (!bytes || bytes->empty()) return Error{Kind::invalid, "bh= is not base64"};
  signature.body_hash = std::move(*bytes);
  if (const auto forms = tags.find("c"))
    if (auto read = read_forms(signature, *forms); !read) return read;
  const auto names = tags.find("h");
  if (!names) return missing("h");
  const auto list = colon_list(*names);
  if (list.size() > kMostSignedFields) return Error{Kind::invalid, "too many fields in h="};
  for (const std::string_view name : list) {
    if (!mail::is_field_name(name) || name.find(';') != std::string_view::npos) return bad("h", name);
    signature.fields.push_back(base::lower(name));
  }
  if (const auto length = tags.find("l")) {
    signature.length = number_of(*length);
    if (!signature.length) return bad("l", *length);
  }
  return {};
}

Result<void> read_times(Signature& signature, const TagList& tags, SignatureKind kind) {
  for (const auto& [name, time] : {std::pair{"t", &signature.signed_at}, std::pair{"x", &signature.expires_at}}) {
    const auto text = tags.find(name);
    // RFC 8617 section 4.1.3: a seal has no x=; a tag that is not known means nothing.
    if (!text || (kind == SignatureKind::arc_seal && time == &signature.expires_at)) continue;
    const auto number = number_of(*text);
    if (!number) return bad(name, *text);
    *time = static_cast<std::int64_t>(*number);
  }
  if (signature.signed_at && signature.expires_at && *signature.expires_at < *signature.signed_at) return Error{Kind::invalid, "x= is before t="};
  return {};
}

Result<void> read_instance(Signature& signature, const TagList& tags, SignatureKind kind) {
  const auto text = tags.find("i");
  if (!text) return missing("i");
  const auto number = base::number_from<unsigned>(*text);
  if (!number || *number == 0 || *number > kMostInstances) return bad("i", *text);
  signature.instance = *number;
  if (kind != SignatureKind::arc_seal) return {};
  const auto chain = tags.find("cv");
  if (!chain) return missing("cv");
  signature.chain = base::lower(*chain);
  if (signature.chain != "none" && signature.chain != "pass" && signature.chain != "fail") return bad("cv", *chain);
  // RFC 8617 section 4.1.3: a seal that names fields is none.
  if (tags.find("h")) return Error{Kind::invalid, "a seal has no h="};
  return {};
}

}  // namespace

Result<Signature> parse_signature(std::string_view value, SignatureKind kind) {
  const auto tags = TagList::parse(value);
  if (!tags) return tags.error();
  Signature signature;
  if (kind == SignatureKind::dkim) {
    const auto version = tags->find("v");
    if (!version) return missing("v");
    if (*version != "1") return bad("v", *version);
  }
  const auto algorithm = tags->find("a");
  if (!algorithm) return missing("a");
  if (*algorithm == "ed25519-sha256") signature.type = KeyType::ed25519;
  else if (*algorithm == "rsa-sha1") signature.historic = true;
  else if (*algorithm != "rsa-sha256") return bad("a", *algorithm);
  const auto bytes = tags->find("b");
  if (!bytes) return missing("b");
  signature.signature_text = without_blanks(*bytes);
  auto decoded = folded_base64(*bytes);
  if (!decoded || decoded->empty()) return Error{Kind::invalid, "b= is not base64"};
  signature.signature = std::move(*decoded);
  for (const auto& [name, into] : {std::pair{"d", &signature.domain}, std::pair{"s", &signature.selector}}) {
    const auto text = tags->find(name);
    if (!text) return missing(name);
    auto canonical = plain_domain(*text);
    if (!canonical) return bad(name, *text);
    *into = std::move(*canonical);
  }
  if (auto read = read_times(signature, *tags, kind); !read) return read.error();
  if (const auto methods = tags->find("q")) {
    const auto list = colon_list(*methods);
    if (std::find(list.begin(), list.end(), "dns/txt") == list.end()) return bad("q", *methods);
  }
  if (kind != SignatureKind::arc_seal)
    if (auto read = read_message_tags(signature, *tags); !read) return read.error();
  if (kind != SignatureKind::dkim) {
    if (auto read = read_instance(signature, *tags, kind); !read) return read.error();
    // RFC 8617 section 4.1.2.
    if (std::find(signature.fields.begin(), signature.fields.end(), "arc-seal") != signature.fields.end()) return bad("h", "arc-seal");
    return signature;
  }
  if (auto read = read_identity(signature, *tags); !read) return read.error();
  // RFC 6376 section 5.4.
  if (std::find(signature.fields.begin(), signature.fields.end(), "from") == signature.fields.end()) return Error{Kind::invalid, "h= is without From"};
  return signature;
}

std::string_view whole_field(const mail::HeaderField& field) {
  return {field.name.data(), static_cast<std::size_t>(field.raw.data() + field.raw.size() - field.name.data())};
}

std::string without_signature(std::string_view field) {
  const auto colon = field.find(':');
  if (colon == std::string_view::npos) return std::string(field);
  const auto tags = TagList::parse(field.substr(colon + 1));
  if (!tags) return std::string(field);
  const std::string_view value = tags->whole("b");
  if (value.empty()) return std::string(field);
  const auto begin = static_cast<std::size_t>(value.data() - field.data());
  return std::string(field.substr(0, begin)).append(field.substr(begin + value.size()));
}

std::string signed_header(const mail::Header& header, const std::vector<std::string>& fields, Form form, std::string_view own) {
  // For each name the numbers of its fields; the last one is next.
  std::map<std::string, std::vector<std::size_t>, std::less<>> left;
  for (const std::string& name : fields) left.try_emplace(name);
  for (std::size_t i = 0; i < header.fields.size(); ++i) {
    if (header.fields[i].name.data() == own.data()) continue;  // RFC 6376 section 3.5: never itself
    const auto named = left.find(base::lower(header.fields[i].name));
    if (named != left.end()) named->second.push_back(i);
  }
  std::string text;
  for (const std::string& name : fields) {
    std::vector<std::size_t>& numbers = left.find(name)->second;
    if (numbers.empty()) continue;  // signed as absent
    text += canonical_field(whole_field(header.fields[numbers.back()]), form);
    numbers.pop_back();
  }
  text += canonical_field(without_signature(own), form);
  text.resize(text.size() - 2);
  return text;
}

}  // namespace postern::authentication
