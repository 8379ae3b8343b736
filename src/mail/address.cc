// SPDX-License-Identifier: Apache-2.0
#include "mail/address.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <unicode/uidna.h>

#include <algorithm>
#include <array>
#include <memory>

namespace postern::mail {

namespace {

Error malformed(std::string text) { return Error{Kind::invalid, std::move(text)}; }

// RFC 5322 section 3.2.3; bytes from 0x80 by RFC 6531 section 3.3.
bool is_atom_byte(char c) {
  if (static_cast<unsigned char>(c) >= 0x80) return true;
  return base::is_alpha(c) || base::is_digit(c) || (c != '\0' && std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos);
}

bool is_dot_atom(std::string_view text) {
  if (text.empty() || text.front() == '.' || text.back() == '.') return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.') {
      if (text[i - 1] == '.') return false;
    } else if (!is_atom_byte(text[i])) {
      return false;
    }
  }
  return true;
}

bool has_utf8(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

struct IdnaClose {
  void operator()(UIDNA* idna) const { uidna_close(idna); }
};

// RFC 5890 to 5893 as UTS #46 processes them, non-transitional, so that "ß" stays itself.
const UIDNA* idna() {
  static const std::unique_ptr<UIDNA, IdnaClose> instance = [] {
    UErrorCode status = U_ZERO_ERROR;
    std::unique_ptr<UIDNA, IdnaClose> made(
        uidna_openUTS46(UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ | UIDNA_NONTRANSITIONAL_TO_ASCII, &status));
    return U_SUCCESS(status) ? std::move(made) : nullptr;
  }();
  return instance.get();
}

Result<std::string> to_a_labels(std::string_view domain) {
  if (idna() == nullptr) return Error{Kind::temporary, "international domain names are not available"};
  if (domain.size() > 4 * kDomainBytes) return malformed("domain is longer than 255 octets");
  std::array<char, 4 * kDomainBytes> out{};
  UIDNAInfo info = UIDNA_INFO_INITIALIZER;
  UErrorCode status = U_ZERO_ERROR;
  const std::int32_t length = uidna_nameToASCII_UTF8(idna(), domain.data(), static_cast<std::int32_t>(domain.size()), out.data(),
                                                     static_cast<std::int32_t>(out.size()), &info, &status);
  if (U_FAILURE(status) || info.errors != 0 || length <= 0) return malformed("domain is no valid international domain name");
  return std::string(out.data(), static_cast<std::size_t>(length));
}

// RFC 5321 section 4.1.2 "Domain", already in lower case; '_' is let through (address.h).
Result<void> check_ascii_domain(std::string_view domain) {
  if (domain.empty()) return malformed("domain is missing");
  if (domain.size() > kDomainBytes) return malformed("domain is longer than 255 octets");
  for (const std::string_view label : base::split(domain, '.')) {
    if (label.empty()) return malformed("domain has an empty label");
    if (label.size() > kLabelBytes) return malformed("domain has a label of more than 63 octets");
    if (label.front() == '-' || label.back() == '-') return malformed("domain has a label that begins or ends with '-'");
    for (const char c : label)
      if (!base::is_alpha(c) && !base::is_digit(c) && c != '-' && c != '_') return malformed("domain has a character that is not allowed there");
  }
  return {};
}

// RFC 5321 section 4.1.3. General-address-literal is not taken: no tag but IPv6 is registered.
Result<std::string> canonical_literal(std::string_view text) {
  if (text.size() < 3 || text.back() != ']') return malformed("address literal has no ']'");
  const std::string inside(text.substr(1, text.size() - 2));
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  std::array<char, INET6_ADDRSTRLEN> shortest{};
  if (base::starts_with_ignoring_case(inside, "IPv6:")) {
    const std::string address = inside.substr(5);
    if (address.find('\0') != std::string::npos || inet_pton(AF_INET6, address.c_str(), bytes.data()) != 1)
      return malformed("address literal holds no IPv6 address");
    inet_ntop(AF_INET6, bytes.data(), shortest.data(), shortest.size());
    return "[IPv6:" + std::string(shortest.data()) + "]";
  }
  if (inside.find('\0') != std::string::npos || inet_pton(AF_INET, inside.c_str(), bytes.data()) != 1)
    return malformed("address literal holds neither an IPv4 address nor \"IPv6:\" and an address");
  inet_ntop(AF_INET, bytes.data(), shortest.data(), shortest.size());
  return "[" + std::string(shortest.data()) + "]";
}

// Reads the parts of a path from left to right. Every function returns an error or moves on.
class PathReader {
 public:
  explicit PathReader(std::string_view text) : text_(text) {}

  [[nodiscard]] bool at_end() const { return at_ >= text_.size(); }
  [[nodiscard]] char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  [[nodiscard]] std::string_view rest() const { return text_.substr(at_); }

  Result<std::string> local_part() {
    if (peek() == '"') return quoted_string();
    const std::size_t begin = at_;
    while (!at_end() && (is_atom_byte(peek()) || peek() == '.')) ++at_;
    const std::string_view found = text_.substr(begin, at_ - begin);
    if (found.empty()) return malformed("local part is missing");
    if (!is_dot_atom(found)) return malformed("local part has a dot at an end or two in a row");
    return checked_local_part(std::string(found));
  }

  // A domain or literal up to what can't belong to it.
  Result<std::string> domain() {
    const std::size_t begin = at_;
    if (peek() == '[') {
      while (!at_end() && peek() != ']') ++at_;
      if (!take(']')) return malformed("address literal has no ']'");
    } else {
      while (!at_end() && (is_atom_byte(peek()) || peek() == '.')) ++at_;
    }
    return canonical_domain(text_.substr(begin, at_ - begin));
  }

  Result<Mailbox> mailbox() {
    const std::size_t begin = at_;
    auto local = local_part();
    if (!local) return local.error();
    if (!take('@')) return malformed("address has no '@' behind its local part");
    auto host = domain();
    if (!host) return host.error();
    Mailbox found{std::move(*local), std::move(*host), false, has_utf8(text_.substr(begin, at_ - begin))};
    found.needs_smtputf8 = has_utf8(found.local_part);
    return found;
  }

  // A-d-l of RFC 5321 section 4.1.2: "@one.example,@two.example:". Checked and forgotten.
  Result<void> source_route() {
    if (peek() != '@') return {};
    for (std::size_t hosts = 0;; ++hosts) {
      if (hosts == kSourceRouteHosts) return malformed("source route has too many hosts");
      if (!take('@')) return malformed("source route is malformed");
      if (auto host = domain(); !host) return host.error();
      if (take(':')) return {};
      if (!take(',')) return malformed("source route is malformed");
    }
  }

 private:
  // RFC 5321 section 4.1.2 Quoted-string: printable ASCII and blanks (no tab), a backslash before any of them, UTF-8.
  Result<std::string> quoted_string() {
    std::string meant;
    ++at_;
    for (;;) {
      if (at_end()) return malformed("quoted local part has no closing quote");
      char c = text_[at_++];
      if (c == '"') return checked_local_part(std::move(meant));
      if (c == '\\') {
        if (at_end()) return malformed("quoted local part has no closing quote");
        c = text_[at_++];
        if (static_cast<unsigned char>(c) >= 0x80) return malformed("local part has a backslash before a character that is not ASCII");
      }
      if (base::is_control(c)) return malformed("local part has a control character");
      meant += c;
    }
  }

  static Result<std::string> checked_local_part(std::string meant) {
    if (meant.size() > kLocalPartBytes) return malformed("local part is longer than " + std::to_string(kLocalPartBytes) + " octets");
    if (has_utf8(meant) && !base::is_utf8(meant)) return malformed("local part is not valid UTF-8");
    return meant;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

Result<ParsedPath> bracketed(PathReader& in) {
  if (auto route = in.source_route(); !route) return route.error();
  auto mailbox = in.mailbox();
  if (!mailbox) return mailbox.error();
  if (!in.take('>')) return malformed("address has no '>' behind it");
  return ParsedPath{Path{false, false, std::move(*mailbox)}, in.rest()};
}

}  // namespace

std::string quoted_local_part(std::string_view local_part) {
  if (is_dot_atom(local_part)) return std::string(local_part);
  std::string out = "\"";
  for (const char c : local_part) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string Mailbox::to_string() const {
  std::string text = quoted_local_part(local_part);
  if (!domain.empty()) text.append("@").append(domain);
  return text;
}

std::string Path::to_string() const { return null ? std::string() : mailbox.to_string(); }

Result<std::string> canonical_domain(std::string_view text) {
  if (!text.empty() && text.front() == '[') return canonical_literal(text);
  if (has_utf8(text)) {
    if (!base::is_utf8(text)) return malformed("domain is not valid UTF-8");
    auto ascii = to_a_labels(text);
    if (!ascii) return ascii.error();
    if (auto checked = check_ascii_domain(*ascii); !checked) return checked.error();
    return ascii;
  }
  std::string canonical = base::lower(text);
  if (auto checked = check_ascii_domain(canonical); !checked) return checked.error();
  return canonical;
}

Result<Mailbox> parse_mailbox(std::string_view text) {
  PathReader in(text);
  auto mailbox = in.mailbox();
  if (mailbox && !in.at_end()) return malformed("something stands behind the address");
  return mailbox;
}

Result<ParsedPath> parse_reverse_path(std::string_view text) {
  PathReader in(text);
  if (!in.take('<')) return malformed("address is not in angle brackets");
  if (in.take('>')) return ParsedPath{Path{true, false, {}}, in.rest()};
  return bracketed(in);
}

Result<ParsedPath> parse_forward_path(std::string_view text) {
  // RFC 5321 section 4.5.1: "Postmaster" without a domain, in any case.
  constexpr std::string_view kPostmaster = "<postmaster>";
  if (base::starts_with_ignoring_case(text, kPostmaster))
    return ParsedPath{Path{false, true, Mailbox{"postmaster", "", false, false}}, text.substr(kPostmaster.size())};
  PathReader in(text);
  if (!in.take('<')) return malformed("address is not in angle brackets");
  if (in.peek() == '>') return malformed("recipient is empty");
  return bracketed(in);
}

SubAddress split_sub_address(std::string_view local_part, std::string_view delimiters) {
  const auto at = delimiters.empty() ? std::string_view::npos : local_part.find_first_of(delimiters, 1);
  if (at == std::string_view::npos) return {local_part, std::nullopt};
  return {local_part.substr(0, at), local_part.substr(at + 1)};
}

}  // namespace postern::mail
