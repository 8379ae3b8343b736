// SPDX-License-Identifier: Apache-2.0
#pragma once
// Mail addresses: the strict ones of SMTP (RFC 5321 section 4.1.2, with UTF-8 by RFC 6531) and the lenient ones that stand in
// header fields (RFC 5322 section 3.4 with its obsolete forms).
//
// Canonical form, the one that is stored, compared and looked up: the domain in lower case with U-labels turned into A-labels
// (IDNA 2008 as UTS #46 processes it, through ICU), an address literal in its shortest form, the local part as it was given but
// without quotes that it does not need. The case of the local part is kept; whoever owns the domain decides what it means.
//
// Failure: Kind::invalid, with a text fit for the reply to the client. Everything here is bounded by its input's length.
#include "base/result.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::mail {

// RFC 5321 section 4.5.3.1 says 64 octets for a local part. Senders that encode a recipient into their return path (VERP, BATV,
// SRS) exceed that every day, so up to 256 are accepted; a domain keeps to 255 and its labels to 63 (RFC 1035).
inline constexpr std::size_t kLocalPartBytes = 256;
inline constexpr std::size_t kDomainBytes = 255;
inline constexpr std::size_t kLabelBytes = 63;
inline constexpr std::size_t kSourceRouteHosts = 32;

struct Mailbox {
  std::string local_part;           // as meant: without quotes and backslashes
  std::string domain;               // canonical; "[192.0.2.1]" and "[IPv6:2001:db8::1]" for literals; empty only for <Postmaster>
  bool needs_smtputf8 = false;      // the local part has bytes from 0x80; a domain never needs it in canonical form
  bool given_with_utf8 = false;     // the client's text had bytes from 0x80: allowed only after SMTPUTF8 (RFC 6531 section 3.1)
  [[nodiscard]] std::string to_string() const;  // canonical text
  [[nodiscard]] bool is_literal() const { return !domain.empty() && domain.front() == '['; }
  friend bool operator==(const Mailbox&, const Mailbox&) = default;
};

struct Path {
  bool null = false;                // <>
  bool postmaster = false;          // <Postmaster> without a domain; mailbox.local_part is "postmaster", its domain empty
  Mailbox mailbox;
  [[nodiscard]] std::string to_string() const;  // canonical, without <>; empty for the null path
};

struct ParsedPath {
  Path path;
  std::string_view rest;            // of the text given: what stands behind '>', parameters with the blank in front
};

// The path at the start of what follows "MAIL FROM:" / "RCPT TO:". Source routes are checked and dropped (RFC 5321 appendix C).
// Only the first takes <>, only the second <Postmaster>. Whether UTF-8 is allowed is for the caller: given_with_utf8.
// Beyond the grammar: '_' in domain labels (host names of the world have it). Not taken: blanks inside the brackets, missing
// brackets, a trailing dot, empty atoms ("a..b").
Result<ParsedPath> parse_reverse_path(std::string_view text);
Result<ParsedPath> parse_forward_path(std::string_view text);

// "local@domain", all of `text`, nothing around it.
Result<Mailbox> parse_mailbox(std::string_view text);

// A domain or an address literal, all of `text`, in canonical form.
Result<std::string> canonical_domain(std::string_view text);

// A local part as text needs it: quoted if it is no dot-atom.
std::string quoted_local_part(std::string_view local_part);

// Sub-addressing (RFC 5233): splits at the first character of `delimiters` that is not the first of the local part. Without one:
// user is the whole local part and there is no detail; "user+" has an empty one. The views are into `local_part`.
struct SubAddress {
  std::string_view user;
  std::optional<std::string_view> detail;
};
SubAddress split_sub_address(std::string_view local_part, std::string_view delimiters);

// One entry of an address list in a header field.
struct ListedAddress {
  bool valid = false;               // false: no address could be read out of `raw`
  std::string raw;                  // the entry's text, comments and all
  std::string display_name;         // unquoted, not decoded; empty if none
  std::string local_part;           // as meant: without quotes
  std::string domain;               // as it stands, without comments and blanks; empty for "user" alone, which is not valid
  [[nodiscard]] std::string address() const { return local_part + "@" + domain; }
};

struct AddressListLimits {
  std::size_t addresses = 2000;     // a field
  std::size_t comment_depth = 50;
};

struct AddressList {
  std::vector<ListedAddress> addresses;  // members of groups stand in line with the others, group names are dropped
  bool grouped = false;                  // there was a group, an empty one too
  bool cut = false;                      // a limit was reached: the rest is missing
};

// The addresses in an unfolded field value. Must be given the text before encoded words are decoded: a ',' or '@' inside one
// makes no address. Never fails: what can't be read is an entry with valid == false. Time is linear in the length.
AddressList parse_address_list(std::string_view value, const AddressListLimits& limits = {});

}  // namespace postern::mail
