// SPDX-License-Identifier: Apache-2.0
#include "directory/record.h"

#include "base/text.h"
#include "directory/password.h"

#include <algorithm>
#include <cstdint>

namespace postern::directory {
namespace {

constexpr char kDomain = 'D', kAccount = 'A', kAlias = 'L', kScript = 'S', kSigningKey = 'K';
constexpr char kVersion = 1, kTaggedAccount = 2, kDomainWithAttributes = 2, kKeyForLater = 2;
constexpr unsigned char kEnabled = 1, kHeld = 2, kKeepsCopy = 4;

// The fields of an account, in the order in which they stand. A tag is never used for something else.
enum class Field : unsigned char {
  end = 0,  // nothing stands behind it, not even a length
  created = 1,
  flags = 2,
  name = 3,
  mailbox_directory = 4,
  password_hash = 5,
  description = 6,
  quota = 7,
  active_script = 8,
  forwarding = 9,
  conversion_tags = 10,
  services = 11,
  mail_host = 12,
  scram_sha1 = 13,
  scram_sha256 = 14,
  password_changed = 15,
  quota_messages = 16,
};
constexpr std::size_t kMaxNameBytes = 64 + 1 + 253;
constexpr std::size_t kMaxMailboxBytes = 253 + 1 + 3 * 64;

class Writer {
 public:
  Writer() = default;
  Writer(char kind, char version = kVersion) : bytes_{kind, version} {}
  Writer& number(std::uint64_t value) {
    for (int shift = 56; shift >= 0; shift -= 8) bytes_ += static_cast<char>(value >> shift);
    return *this;
  }
  Writer& byte(unsigned char value) {
    bytes_ += static_cast<char>(value);
    return *this;
  }
  Writer& text(std::string_view value) {
    const auto size = static_cast<std::uint32_t>(value.size());
    for (int shift = 24; shift >= 0; shift -= 8) bytes_ += static_cast<char>(size >> shift);
    bytes_ += value;
    return *this;
  }
  Writer& texts(const std::vector<std::string>& values) {
    for (const std::string& value : values) text(value);
    return *this;
  }
  // With their number in front.
  Writer& counted(const std::vector<std::string>& values) {
    const auto count = static_cast<std::uint32_t>(values.size());
    for (int shift = 24; shift >= 0; shift -= 8) bytes_ += static_cast<char>(count >> shift);
    return texts(values);
  }
  Writer& field(Field tag, std::string_view value) { return byte(static_cast<unsigned char>(tag)).text(value); }
  // What is empty is left out.
  Writer& field_unless_empty(Field tag, std::string_view value) { return value.empty() ? *this : field(tag, value); }
  std::string bytes() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Remembers the first failure; everything behind it reads as empty.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}
  std::uint64_t number(std::size_t width = 8) {
    std::uint64_t value = 0;
    for (const char c : take(width)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::string text(std::size_t limit_bytes) { return std::string(view(limit_bytes)); }
  std::string_view view(std::size_t limit_bytes) {
    const auto size = static_cast<std::size_t>(number(4));
    if (size > limit_bytes) ok_ = false;
    return take(size);
  }
  // Texts to the end.
  std::vector<std::string> texts(std::size_t limit_bytes) {
    std::vector<std::string> values;
    while (ok_ && !left_.empty()) values.push_back(text(limit_bytes));
    return values;
  }
  std::vector<std::string> counted(std::size_t limit_bytes) {
    const auto count = static_cast<std::size_t>(number(4));
    std::vector<std::string> values;
    while (ok_ && values.size() < count) values.push_back(text(limit_bytes));
    return values;
  }
  // All was read and nothing is left.
  [[nodiscard]] bool complete() const { return ok_ && left_.empty(); }

 private:
  std::string_view take(std::size_t count) {
    if (!ok_ || count > left_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view taken = left_.substr(0, count);
    left_.remove_prefix(count);
    return taken;
  }
  std::string_view left_;
  bool ok_ = true;
};

Error corrupt(const char* what) { return {Kind::corrupt, what}; }
Error invalid(const char* what) { return {Kind::invalid, what}; }

bool is_text(std::string_view text) { return base::is_utf8(text) && text.find('\0') == std::string_view::npos; }

Result<void> check_description(const std::string& description) {
  if (description.size() > kMaxDescriptionBytes) return invalid("the description is longer than 1024 bytes");
  if (!is_text(description) || std::any_of(description.begin(), description.end(), base::is_control))
    return invalid("the description is not one line of UTF-8 text");
  return {};
}

// Canonical, each once.
Result<void> check_targets(const std::vector<std::string>& targets) {
  std::vector<std::string_view> sorted(targets.begin(), targets.end());
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) return invalid("an address stands in the list twice");
  for (const std::string& target : targets) {
    const auto canonical = canonical_target(target);
    if (!canonical) return canonical.error().in(target);
    if (*canonical != target) return Error{Kind::invalid, target + ": the address is not in canonical form"};
  }
  return {};
}

}  // namespace

std::string encode(const Domain& domain) {
  // One without them is written as always.
  const bool plain = domain.conversion_tags.empty() && domain.attributes.empty();
  Writer out(kDomain, plain ? kVersion : kDomainWithAttributes);
  out.number(static_cast<std::uint64_t>(base::to_microseconds(domain.created))).text(domain.name).text(domain.filter);
  if (plain) return out.bytes();
  out.counted(domain.conversion_tags);
  for (const auto& [name, value] : domain.attributes) out.text(name).text(value);
  return out.bytes();
}

std::string encode(const AccountRecord& record) {
  const Account& account = record.account;
  const auto flags = static_cast<unsigned char>((account.enabled ? kEnabled : 0) | (account.held ? kHeld : 0) | (account.keeps_copy ? kKeepsCopy : 0));
  Writer out(kAccount, kTaggedAccount);
  out.field(Field::created, Writer().number(static_cast<std::uint64_t>(base::to_microseconds(account.created))).bytes())
      .field(Field::flags, Writer().byte(flags).bytes())
      .field(Field::name, account.name)
      .field(Field::mailbox_directory, account.mailbox_directory)
      .field_unless_empty(Field::password_hash, record.password_hash)
      .field_unless_empty(Field::description, account.description);
  if (account.quota_bytes != 0) out.field(Field::quota, Writer().number(account.quota_bytes).bytes());
  out.field_unless_empty(Field::active_script, account.active_script)
      .field_unless_empty(Field::forwarding, Writer().texts(account.forwarding).bytes())
      .field_unless_empty(Field::conversion_tags, Writer().texts(account.conversion_tags).bytes())
      .field_unless_empty(Field::services, Writer().texts(account.services).bytes())
      .field_unless_empty(Field::mail_host, account.mail_host)
      .field_unless_empty(Field::scram_sha1, record.scram_sha1)
      .field_unless_empty(Field::scram_sha256, record.scram_sha256);
  if (account.password_changed != base::WallTime{})
    out.field(Field::password_changed, Writer().number(static_cast<std::uint64_t>(base::to_microseconds(account.password_changed))).bytes());
  if (account.quota_messages != 0) out.field(Field::quota_messages, Writer().number(account.quota_messages).bytes());
  out.byte(static_cast<unsigned char>(Field::end));
  return out.bytes();
}

std::string encode(const Alias& alias) {
  return Writer(kAlias)
      .byte(static_cast<unsigned char>(alias.kind))
      .number(static_cast<std::uint64_t>(base::to_microseconds(alias.created)))
      .text(alias.name)
      .text(alias.owner)
      .text(alias.description)
      .counted(alias.members)
      .bytes();
}

std::string encode(const ScriptRecord& script) {
  return Writer(kScript)
      .number(static_cast<std::uint64_t>(base::to_microseconds(script.changed)))
      .text(script.name)
      .text(script.text)
      .counted(script.rules)
      .bytes();
}

std::string encode(const SigningRecord& record) {
  return Writer(kSigningKey, record.key.signs ? kVersion : kKeyForLater)
      .byte(static_cast<unsigned char>(record.key.type))
      .number(static_cast<std::uint64_t>(base::to_microseconds(record.key.created)))
      .text(record.key.selector)
      .text(record.key.public_key)
      .text(record.private_key)
      .bytes();
}

Result<Domain> decode_domain(std::string_view bytes) {
  if (bytes.size() < 2 || bytes[0] != kDomain) return corrupt("not the record of a domain");
  if (bytes[1] != kVersion && bytes[1] != kDomainWithAttributes) return corrupt("record of a domain in an unknown version");
  Reader in(bytes.substr(2));
  Domain domain;
  domain.created = base::from_microseconds(static_cast<std::int64_t>(in.number()));
  domain.name = in.text(kMaxNameBytes);
  domain.filter = in.text(kMaxFilterBytes);
  if (bytes[1] == kDomainWithAttributes) {
    domain.conversion_tags = in.counted(kMaxTagBytes);
    const std::vector<std::string> texts = in.texts(kMaxAttributeBytes);
    bool ordered = texts.size() % 2 == 0 && !(texts.empty() && domain.conversion_tags.empty());
    for (std::size_t i = 0; ordered && i < texts.size(); i += 2) {
      ordered = i == 0 || texts[i - 2] < texts[i];
      domain.attributes.emplace(texts[i], texts[i + 1]);
    }
    if (!ordered) return corrupt("record of a domain is damaged");
  }
  if (!in.complete()) return corrupt("record of a domain is damaged");
  if (auto good = check(domain); !good) return Error{Kind::corrupt, "record of a domain: " + good.error().what};
  return domain;
}

namespace {

// Version 1: all fields in a fixed order, the one filter inside.
Result<AccountRecord> decode_first_account(std::string_view bytes) {
  Reader in(bytes);
  AccountRecord record;
  Account& account = record.account;
  account.created = base::from_microseconds(static_cast<std::int64_t>(in.number()));
  const auto flags = in.number(1);
  account.enabled = (flags & kEnabled) != 0;
  account.quota_bytes = in.number();
  account.name = in.text(kMaxNameBytes);
  account.mailbox_directory = in.text(kMaxMailboxBytes);
  record.password_hash = in.text(kMaxHashBytes);
  account.description = in.text(kMaxDescriptionBytes);
  account.filter = in.text(kMaxFilterBytes);
  if (!account.filter.empty()) account.active_script = kMainScript;
  if (!in.complete() || (flags & ~std::uint64_t{kEnabled}) != 0) return corrupt("record of an account is damaged");
  return record;
}

// Fields in the order of their tags, each at most once.
Result<AccountRecord> decode_tagged_account(std::string_view bytes) {
  Reader in(bytes);
  AccountRecord record;
  Account& account = record.account;
  std::uint64_t flags = 0, last = 0;
  // What is cut short reads as the end, and is not complete.
  for (std::uint64_t tag = in.number(1); static_cast<Field>(tag) != Field::end; tag = in.number(1)) {
    const std::string_view value = in.view(bytes.size());
    if (tag <= last) return corrupt("record of an account is damaged");
    last = tag;
    Reader field(value);
    switch (static_cast<Field>(tag)) {
      case Field::created: account.created = base::from_microseconds(static_cast<std::int64_t>(field.number())); break;
      case Field::flags: flags = field.number(1); break;
      case Field::quota:
      case Field::quota_messages: {
        std::uint64_t& quota = static_cast<Field>(tag) == Field::quota ? account.quota_bytes : account.quota_messages;
        quota = field.number();
        if (quota == 0) return corrupt("record of an account is damaged");
        break;
      }
      case Field::password_changed:
        account.password_changed = base::from_microseconds(static_cast<std::int64_t>(field.number()));
        if (account.password_changed == base::WallTime{}) return corrupt("record of an account is damaged");
        break;
      case Field::forwarding: account.forwarding = field.texts(kMaxTargetBytes); break;
      case Field::conversion_tags: account.conversion_tags = field.texts(kMaxTagBytes); break;
      case Field::services: account.services = field.texts(kMaxTagBytes); break;
      default: {
        std::string* text = nullptr;
        switch (static_cast<Field>(tag)) {
          case Field::name: text = &account.name; break;
          case Field::mailbox_directory: text = &account.mailbox_directory; break;
          case Field::password_hash: text = &record.password_hash; break;
          case Field::description: text = &account.description; break;
          case Field::active_script: text = &account.active_script; break;
          case Field::mail_host: text = &account.mail_host; break;
          case Field::scram_sha1: text = &record.scram_sha1; break;
          case Field::scram_sha256: text = &record.scram_sha256; break;
          default: return corrupt("record of an account has a field that this version does not know");
        }
        if (value.empty()) return corrupt("record of an account is damaged");
        *text = value;
        field = Reader({});
      }
    }
    if (!field.complete()) return corrupt("record of an account is damaged");
  }
  if (!in.complete() || (flags & ~std::uint64_t{kEnabled | kHeld | kKeepsCopy}) != 0) return corrupt("record of an account is damaged");
  account.enabled = (flags & kEnabled) != 0;
  account.held = (flags & kHeld) != 0;
  account.keeps_copy = (flags & kKeepsCopy) != 0;
  return record;
}

}  // namespace

Result<AccountRecord> decode_account(std::string_view bytes) {
  if (bytes.size() < 2 || bytes[0] != kAccount) return corrupt("not the record of an account");
  if (bytes[1] != kVersion && bytes[1] != kTaggedAccount) return corrupt("record of an account in an unknown version");
  auto record = bytes[1] == kVersion ? decode_first_account(bytes.substr(2)) : decode_tagged_account(bytes.substr(2));
  if (!record) return record;
  if (auto good = check(*record); !good) return Error{Kind::corrupt, "record of an account: " + good.error().what};
  return record;
}

Result<Alias> decode_alias(std::string_view bytes) {
  if (bytes.size() < 2 || bytes[0] != kAlias) return corrupt("not the record of an alias");
  if (bytes[1] != kVersion) return corrupt("record of an alias in an unknown version");
  Reader in(bytes.substr(2));
  Alias alias;
  const auto kind = in.number(1);
  alias.kind = static_cast<Alias::Kind>(kind);
  alias.created = base::from_microseconds(static_cast<std::int64_t>(in.number()));
  alias.name = in.text(kMaxNameBytes);
  alias.owner = in.text(kMaxTargetBytes);
  alias.description = in.text(kMaxDescriptionBytes);
  alias.members = in.counted(kMaxTargetBytes);
  if (!in.complete() || kind > static_cast<unsigned>(Alias::Kind::group)) return corrupt("record of an alias is damaged");
  if (auto good = check(alias); !good) return Error{Kind::corrupt, "record of an alias: " + good.error().what};
  return alias;
}

Result<ScriptRecord> decode_script(std::string_view bytes) {
  if (bytes.size() < 2 || bytes[0] != kScript) return corrupt("not the record of a script");
  if (bytes[1] != kVersion) return corrupt("record of a script in an unknown version");
  Reader in(bytes.substr(2));
  ScriptRecord script;
  script.changed = base::from_microseconds(static_cast<std::int64_t>(in.number()));
  script.name = in.text(kMaxScriptNameBytes);
  script.text = in.text(kMaxFilterBytes);
  script.rules = in.counted(kMaxFilterBytes);
  if (!in.complete()) return corrupt("record of a script is damaged");
  if (auto good = check(script); !good) return Error{Kind::corrupt, "record of a script: " + good.error().what};
  return script;
}

Result<SigningRecord> decode_signing_key(std::string_view bytes) {
  if (bytes.size() < 2 || bytes[0] != kSigningKey) return corrupt("not the record of a signing key");
  if (bytes[1] != kVersion && bytes[1] != kKeyForLater) return corrupt("record of a signing key in an unknown version");
  Reader in(bytes.substr(2));
  SigningRecord record;
  record.key.signs = bytes[1] == kVersion;
  const auto type = in.number(1);
  record.key.type = static_cast<SigningKey::Type>(type);
  record.key.created = base::from_microseconds(static_cast<std::int64_t>(in.number()));
  record.key.selector = in.text(kMaxNameBytes);
  record.key.public_key = in.text(kMaxSigningKeyBytes);
  record.private_key = in.text(kMaxSigningKeyBytes);
  if (!in.complete() || type > static_cast<unsigned>(SigningKey::Type::ed25519)) return corrupt("record of a signing key is damaged");
  if (auto good = check(record); !good) return Error{Kind::corrupt, "record of a signing key: " + good.error().what};
  return record;
}

Result<void> check(const SigningRecord& record) {
  const auto selector = canonical_selector(record.key.selector);
  if (!selector) return selector.error();
  if (*selector != record.key.selector) return invalid("the selector is not in canonical form");
  if (record.key.public_key.empty() || record.private_key.empty()) return invalid("the key is empty");
  if (record.key.public_key.size() > kMaxSigningKeyBytes || record.private_key.size() > kMaxSigningKeyBytes) return invalid("the key is too large");
  return {};
}

Result<void> check_tags(const std::vector<std::string>& tags) {
  if (tags.size() > kMaxTags) return invalid("there are more than 100 conversion tags");
  for (const std::string& tag : tags)
    if (tag.empty() || tag.size() > kMaxTagBytes || !std::all_of(tag.begin(), tag.end(), [](char c) { return c > ' ' && c < 0x7f && c != ',' && c != '"'; }))
      return invalid("a conversion tag is not 1 to 64 printable ASCII characters without blank, comma and quote");
  return {};
}

Result<std::string> canonical_new_domain(std::string_view name) {
  auto canonical = canonical_domain(name);
  if (!canonical) return canonical;
  const std::string_view last = std::string_view(*canonical).substr(canonical->rfind('.') + 1);
  if (std::all_of(last.begin(), last.end(), base::is_digit)) return invalid("the domain ends in a number, as addresses do");
  return canonical;
}

Result<void> check(const Domain& domain) {
  const auto canonical = canonical_domain(domain.name);
  if (!canonical || *canonical != domain.name) return invalid("the domain's name is not in canonical form");
  if (domain.filter.size() > kMaxFilterBytes) return invalid("the filter is longer than 1,000,000 bytes");
  if (!is_text(domain.filter)) return invalid("the filter is not UTF-8 text");
  if (domain.attributes.size() > kMaxDomainAttributes) return invalid("there are more than 100 attributes");
  for (const auto& [name, value] : domain.attributes) {
    const auto attribute = canonical_attribute(name);
    if (!attribute) return attribute.error().in(base::printable(name, kMaxAttributeNameBytes));
    if (*attribute != name) return invalid("an attribute's name is not in canonical form");
    if (value.empty() || value.size() > kMaxAttributeBytes || !is_text(value) || std::any_of(value.begin(), value.end(), base::is_control))
      return Error{Kind::invalid, "attribute " + name + ": the value is not one line of 1 to " + std::to_string(kMaxAttributeBytes) + " bytes of UTF-8 text"};
  }
  return check_tags(domain.conversion_tags);
}

Result<void> check(const AccountRecord& record) {
  const Account& account = record.account;
  const auto canonical = canonical_account(account.name);
  if (!canonical || *canonical != account.name) return invalid("the account's name is not in canonical form");
  // Today's names give today's directories; an older one is kept as long as it can't lead out of mail/.
  const auto slash = account.mailbox_directory.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == account.mailbox_directory.size() ||
      account.mailbox_directory.find('/', slash + 1) != std::string::npos || account.mailbox_directory.front() == '.' ||
      account.mailbox_directory[slash + 1] == '.' || account.mailbox_directory.find("..") != std::string::npos ||
      account.mailbox_directory.size() > kMaxMailboxBytes || !is_text(account.mailbox_directory) ||
      std::any_of(account.mailbox_directory.begin(), account.mailbox_directory.end(), base::is_control))
    return invalid("the mailbox directory is not \"domain/name\"");
  if (record.password_hash.size() > kMaxHashBytes) return invalid("the password's hash is too long");
  if (!std::all_of(record.password_hash.begin(), record.password_hash.end(), [](char c) { return c > ' ' && c < 0x7f && c != ':'; }))
    return invalid("the password's hash has characters that hashes don't have");
  for (const auto& [digest, text] : {std::pair(ScramDigest::sha1, &record.scram_sha1), std::pair(ScramDigest::sha256, &record.scram_sha256)})
    if (!text->empty() && !read_scram_secret(digest, *text)) return invalid("a SCRAM secret is not in the form of RFC 5803");
  if (auto good = check_description(account.description); !good) return good;
  if (account.filter.size() > kMaxFilterBytes) return invalid("the filter is longer than 1,000,000 bytes");
  if (!is_text(account.filter)) return invalid("the filter is not UTF-8 text");
  if (!account.active_script.empty())
    if (auto good = check_script_name(account.active_script); !good) return good;
  if (account.forwarding.size() > kMaxForwarding) return invalid("mail is forwarded to more than 100 addresses");
  if (auto good = check_targets(account.forwarding); !good) return good;
  if (account.keeps_copy && account.forwarding.empty()) return invalid("a copy is kept, but nothing forwarded");
  if (auto good = check_tags(account.conversion_tags); !good) return good;
  for (const std::string& service : account.services)
    if (std::find(std::begin(kServices), std::end(kServices), service) == std::end(kServices))
      return invalid("services are pop3, imap, smtp, sieve and web");
  if (!account.mail_host.empty()) {
    const auto host = canonical_domain(account.mail_host);
    if (!host || *host != account.mail_host) return invalid("the mail host is not a host's name in canonical form");
  }
  return {};
}

Result<void> check(const Alias& alias) {
  const auto canonical = canonical_alias(alias.name);
  if (!canonical || *canonical != alias.name) return invalid("the alias's name is not in canonical form");
  if (alias.kind == Alias::Kind::group && alias.name.front() == '@') return invalid("a group has an address of its own");
  if (alias.members.empty() && alias.kind == Alias::Kind::alias) return invalid("an alias leads to one address at least");
  std::size_t bytes = 0;
  for (const std::string& member : alias.members) bytes += member.size() + 4;
  if (bytes > kMaxMembersBytes) return invalid("the addresses of all members are longer than 1,000,000 bytes together");
  if (auto good = check_targets(alias.members); !good) return good;
  if (!alias.owner.empty()) {
    if (alias.kind != Alias::Kind::group) return invalid("only a group has an owner");
    if (auto good = check_targets({alias.owner}); !good) return good;
  }
  return check_description(alias.description);
}

Result<void> check(const ScriptRecord& script) {
  if (auto good = check_script_name(script.name); !good) return good;
  if (script.text.size() > kMaxFilterBytes) return invalid("the script is longer than 1,000,000 bytes");
  if (!is_text(script.text)) return invalid("the script is not UTF-8 text");
  std::size_t bytes = script.text.size();
  for (const std::string& rule : script.rules) {
    if (!is_text(rule)) return invalid("a rule is not UTF-8 text");
    bytes += rule.size() + 4;
  }
  if (bytes > kMaxScriptRecordBytes) return invalid("the script and the rules it was made of are longer than 1,040,000 bytes");
  return {};
}

}  // namespace postern::directory
