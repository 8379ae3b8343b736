// SPDX-License-Identifier: Apache-2.0
// How domains and accounts are called, and where an account's mailbox goes (directory.h).
#include "base/text.h"
#include "conf/configuration.h"
#include "directory/directory.h"

#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uidna.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <memory>

namespace postern::directory {
namespace {

constexpr std::size_t kMaxDomainBytes = 253;
constexpr std::size_t kMaxLocalBytes = 64;  // RFC 5321 section 4.5.3.1.1

bool is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

Error invalid(std::string what) { return {Kind::invalid, std::move(what)}; }

const UIDNA* idna() {
  struct Closer {
    void operator()(UIDNA* converter) const { uidna_close(converter); }
  };
  static const std::unique_ptr<UIDNA, Closer> converter = [] {
    UErrorCode error = U_ZERO_ERROR;
    std::unique_ptr<UIDNA, Closer> made(uidna_openUTS46(
        UIDNA_USE_STD3_RULES | UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ | UIDNA_NONTRANSITIONAL_TO_ASCII, &error));
    if (U_FAILURE(error)) made.reset();
    return made;
  }();
  return converter.get();
}

// Letters, digits and inner hyphens in labels of 1 to 63 bytes.
bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxDomainBytes) return false;
  for (const std::string_view label : base::split(name, '.')) {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    for (const char c : label)
      if (!(c >= 'a' && c <= 'z') && !base::is_digit(c) && c != '-') return false;
  }
  return true;
}

// RFC 5322 section 3.2.3 atext without the five that mean something to routes, to shells or to file names.
bool is_local_character(unsigned char c) {
  return base::is_digit(static_cast<char>(c)) || base::is_alpha(static_cast<char>(c)) ||
         std::string_view("#$&'*+-=?^_{}~").find(static_cast<char>(c)) != std::string_view::npos;
}

// UTF-8 beyond ASCII: what a person can see in a name. Nothing invisible, nothing that turns the direction of text.
bool is_visible(UChar32 character) {
  switch (u_charType(character)) {
    case U_CONTROL_CHAR: case U_FORMAT_CHAR: case U_SURROGATE: case U_PRIVATE_USE_CHAR: case U_UNASSIGNED:
    case U_SPACE_SEPARATOR: case U_LINE_SEPARATOR: case U_PARAGRAPH_SEPARATOR:
      return false;
    default:
      return true;
  }
}

Result<std::string> canonical_local_part(std::string_view given) {
  if (given.empty()) return invalid("the part before @ is missing");
  if (given.size() > kMaxLocalBytes) return invalid("the part before @ is longer than 64 bytes");
  std::string local;
  if (is_ascii(given)) {
    local = base::lower(given);
  } else {
    if (!base::is_utf8(given)) return invalid("the part before @ is not UTF-8");
    UErrorCode error = U_ZERO_ERROR;
    const auto* normalizer = icu::Normalizer2::getNFCInstance(error);
    if (U_FAILURE(error)) return Error{Kind::temporary, std::string("ICU: ") + u_errorName(error)};
    const icu::UnicodeString lowered =
        icu::UnicodeString::fromUTF8(icu::StringPiece(given.data(), static_cast<std::int32_t>(given.size()))).toLower(icu::Locale::getRoot());
    const icu::UnicodeString normal = normalizer->normalize(lowered, error);
    if (U_FAILURE(error)) return Error{Kind::temporary, std::string("ICU: ") + u_errorName(error)};
    normal.toUTF8String(local);
    if (local.size() > kMaxLocalBytes) return invalid("the part before @ is longer than 64 bytes");
  }
  if (local.front() == '.' || local.back() == '.' || local.find("..") != std::string::npos)
    return invalid("a dot stands at an end of the part before @, or two stand together");
  for (std::int32_t at = 0; at < static_cast<std::int32_t>(local.size());) {
    UChar32 character;
    U8_NEXT(local.data(), at, static_cast<std::int32_t>(local.size()), character);
    if (character == '.') continue;
    if (character < 0 || (character < 0x80 ? !is_local_character(static_cast<unsigned char>(character)) : !is_visible(character)))
      return invalid("a character that account names can't have stands before @");
  }
  return local;
}

}  // namespace

Result<std::string> canonical_domain(std::string_view name) {
  if (!name.empty() && name.back() == '.') name.remove_suffix(1);
  if (name.empty()) return invalid("the domain is missing");
  if (name.size() > 1024) return invalid("the domain is too long");
  std::string canonical = base::lower(name);
  // An A-label is checked like a U-label: "xn--" in front of something else is no name.
  if (!is_ascii(canonical) || canonical.starts_with("xn--") || canonical.find(".xn--") != std::string::npos) {
    if (!base::is_utf8(canonical)) return invalid("the domain is not UTF-8");
    if (idna() == nullptr) return Error{Kind::temporary, "ICU: no IDNA data"};
    std::array<char, 512> ascii;
    UIDNAInfo info = UIDNA_INFO_INITIALIZER;
    UErrorCode error = U_ZERO_ERROR;
    const std::int32_t size = uidna_nameToASCII_UTF8(idna(), canonical.data(), static_cast<std::int32_t>(canonical.size()), ascii.data(),
                                                     static_cast<std::int32_t>(ascii.size()), &info, &error);
    if (U_FAILURE(error) || info.errors != 0 || size > static_cast<std::int32_t>(ascii.size()))
      return invalid("the domain is not a valid internationalised name");
    canonical.assign(ascii.data(), static_cast<std::size_t>(size));
  }
  if (!is_host_name(canonical)) return invalid("the domain is not made of labels of letters, digits and inner hyphens");
  return canonical;
}

Result<std::string> canonical_account(std::string_view address) {
  const auto at = address.rfind('@');
  if (at == std::string_view::npos) return invalid("an account's name is an address: local@domain");
  auto domain = canonical_domain(address.substr(at + 1));
  if (!domain) return domain.error();
  auto local = canonical_local_part(address.substr(0, at));
  if (!local) return local.error();
  return *local + "@" + *domain;
}

Result<std::string> canonical_alias(std::string_view address) {
  if (!address.starts_with('@')) return canonical_account(address);
  auto domain = canonical_domain(address.substr(1));
  if (!domain) return domain.error();
  return "@" + *domain;
}

Result<std::string> canonical_target(std::string_view address) {
  const auto at = address.rfind('@');
  if (at == std::string_view::npos || at == 0) return invalid("an address is needed: local@domain");
  if (address.size() > kMaxTargetBytes) return invalid("the address is longer than 512 bytes");
  const std::string_view local = address.substr(0, at);
  if (!base::is_utf8(local)) return invalid("the part before @ is not UTF-8");
  if (std::any_of(local.begin(), local.end(), base::is_control)) return invalid("a control character stands before @");
  // RFC 5321 section 4.1.2: a dot-string, or a quoted string in which only \ and " need a backslash.
  if (local.front() == '"') {
    bool closed = false;
    for (std::size_t i = 1; i < local.size(); ++i) {
      if (closed) return invalid("something stands between the quotes and @");
      if (local[i] == '\\') ++i;
      else if (local[i] == '"') closed = true;
    }
    if (!closed) return invalid("the double quotes don't end");
  } else {
    for (const std::string_view atom : base::split(local, '.')) {
      if (atom.empty()) return invalid("a dot stands at an end of the part before @, or two stand together");
      for (const char c : atom)
        if (!base::is_alpha(c) && !base::is_digit(c) && static_cast<unsigned char>(c) < 0x80 &&
            std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) == std::string_view::npos)
          return invalid("a character stands before @ that needs double quotes around it");
    }
  }
  const std::string_view domain = address.substr(at + 1);
  if (domain.size() > 2 && domain.front() == '[' && domain.find(']') == domain.size() - 1) {
    const std::string_view inside = domain.substr(1, domain.size() - 2);
    if (!net::Address::parse(inside.starts_with("IPv6:") ? inside.substr(5) : inside)) return invalid("the address literal is not right");
    return std::string(address);
  }
  auto canonical = canonical_domain(domain);
  if (!canonical) return canonical.error();
  return std::string(local) + "@" + *canonical;
}

Result<void> check_script_name(std::string_view name) {
  if (name.empty()) return invalid("a script's name is missing");
  if (name.size() > kMaxScriptNameBytes) return invalid("the script's name is longer than 128 characters");
  if (!base::is_utf8(name)) return invalid("the script's name is not UTF-8");
  std::size_t characters = 0;
  for (std::int32_t at = 0; at < static_cast<std::int32_t>(name.size()); ++characters) {
    UChar32 character;
    U8_NEXT(name.data(), at, static_cast<std::int32_t>(name.size()), character);
    if (character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x2028 || character == 0x2029)
      return invalid("a control character or a line separator stands in the script's name");
    if (character == '/') return invalid("a / stands in the script's name");
  }
  if (characters > kMaxScriptNameCharacters) return invalid("the script's name is longer than 128 characters");
  return {};
}

std::string_view login_refusal(const Account& account, std::string_view service) {
  if (!account.enabled) return "disabled";
  if (service == "submission") service = "smtp";
  if (service == "managesieve") service = "sieve";
  const auto& allowed = account.services;
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), service) == allowed.end()) return "service";
  return {};
}

bool login_over(const Account& then, const Account* now, std::string_view service) {
  return now == nullptr || now->created != then.created || now->password_changed != then.password_changed || now->password_mark != then.password_mark ||
         !login_refusal(*now, service).empty();
}

bool is_elsewhere(const Account& account, std::string_view own_name) { return !account.mail_host.empty() && account.mail_host != own_name; }

net::Awaitable<Result<bool>> Lookups::login_is_over(std::shared_ptr<const Account> then, std::string service) {
  const auto now = co_await account(then->name);
  if (!now) co_return now.error();
  co_return login_over(*then, now->get(), service);
}

net::Awaitable<Result<void>> Lookups::note_quota(std::string, base::WallTime) { co_return Result<void>(); }

Limits limits_from(const conf::DirectoryLimits& settings) {
  return {settings.group_members, settings.scripts, static_cast<std::size_t>(settings.script_bytes), settings.script_changes};
}

std::string_view to_string(ScriptOutcome outcome) {
  switch (outcome) {
    case ScriptOutcome::done: return "done";
    case ScriptOutcome::not_found: return "not-found";
    case ScriptOutcome::exists: return "exists";
    case ScriptOutcome::active: return "active";
    case ScriptOutcome::too_many: return "too-many";
    case ScriptOutcome::too_large: return "too-large";
    case ScriptOutcome::bad_name: return "bad-name";
    case ScriptOutcome::not_text: return "not-text";
    case ScriptOutcome::too_often: return "too-often";
    case ScriptOutcome::denied: return "denied";
    case ScriptOutcome::logged_out: return "logged-out";
  }
  return "logged-out";
}

net::Awaitable<Result<std::string>> Lookups::sign(std::string domain, std::string selector, std::string) {
  co_return Error{Kind::temporary, "nobody here signs for " + selector + " of " + domain};
}

Result<std::string> canonical_selector(std::string_view selector) {
  if (selector.empty() || selector.size() > 63) return Error{Kind::invalid, "a selector has 1 to 63 bytes"};
  for (const std::string_view label : base::split(selector, '.')) {
    const bool plain = std::all_of(label.begin(), label.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-'; });
    if (label.empty() || !plain || label.front() == '-' || label.back() == '-') return Error{Kind::invalid, "a selector has letters, digits and inner hyphens, and dots between them"};
  }
  return base::lower(selector);
}

Result<std::string> canonical_attribute(std::string_view name) {
  if (name.empty() || name.size() > kMaxAttributeNameBytes)
    return Error{Kind::invalid, "the name of an attribute has 1 to " + std::to_string(kMaxAttributeNameBytes) + " bytes"};
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return base::is_alpha(c) || base::is_digit(c) || c == '-'; });
  if (!plain || !base::is_alpha(name.front())) return Error{Kind::invalid, "the name of an attribute is a letter, then letters, digits and hyphens"};
  return base::lower(name);
}

const std::string* attribute_of(const Domain& domain, std::string_view name) {
  const std::string wanted = base::lower(name);
  if (wanted == "_domain_name_" || wanted == "_canonical_name_") return &domain.name;
  const auto found = domain.attributes.find(wanted);
  return found == domain.attributes.end() ? nullptr : &found->second;
}

bool has_entry(const Domain& domain) { return domain.attributes.contains(std::string(kDomainDn)); }

std::string mailbox_directory_for(std::string_view canonical) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  const auto at = canonical.rfind('@');
  std::string path(canonical.substr(at + 1));
  path += '/';
  for (const char c : canonical.substr(0, at)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || base::is_alpha(c) || base::is_digit(c) || std::string_view("._-+=").find(c) != std::string_view::npos) {
      path += c;
    } else {
      path += '%';
      path += digits[byte >> 4];
      path += digits[byte & 15];
    }
  }
  return path;
}

}  // namespace postern::directory
