// SPDX-License-Identifier: Apache-2.0
#include "mapping/probe_fields.h"

#include "base/text.h"
#include "mapping/address.h"
#include "mapping/code.h"
#include "mapping/known_names.h"
#include "mapping/listing.h"
#include "mapping/pattern.h"
#include "mapping/tables.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <utility>

namespace postern::mapping {
namespace {

constexpr std::size_t kSetBytes = 32;
constexpr std::array<std::string_view, 4> kSubmissions = {"mail", "send", "saml", "soml"};
constexpr std::array<std::string_view, 9> kServices = {"smtp", "submission", "pop3", "imap", "sieve", "http", "ldap", "radius", "sip"};
constexpr std::string_view kApplication = "smtp/";
constexpr std::string_view kChannelCharacters = "abcdefghijklmnopqrstuvwxyz0123456789_$-";
constexpr std::size_t kChannelBytes = 32;

bool have_common_start(std::string_view a, std::string_view b) {
  const std::size_t length = std::min(a.size(), b.size());
  return a.substr(0, length) == b.substr(0, length);
}

bool all_of(std::string_view text, std::string_view characters) { return text.find_first_not_of(characters) == std::string_view::npos; }

// As probes have it: IPv6 in the shortest form.
bool is_probe_address(std::string_view text) {
  if (address4(text)) return true;
  const auto address = address6(text);
  if (!address) return false;
  char shortest[INET6_ADDRSTRLEN] = "";
  return ::inet_ntop(AF_INET6, address->data(), shortest, sizeof shortest) != nullptr && text == shortest;
}

}  // namespace

bool nearly_equal(std::string_view a, std::string_view b) {
  if (a.size() < b.size()) std::swap(a, b);
  if (a.size() - b.size() > 1) return false;
  std::size_t i = 0;
  while (i < b.size() && a[i] == b[i]) ++i;
  if (a.size() > b.size()) return a.substr(i + 1) == b.substr(i);
  if (i == b.size() || a.substr(i + 1) == b.substr(i + 1)) return true;
  return i + 1 < a.size() && a[i] == b[i + 1] && a[i + 1] == b[i] && a.substr(i + 2) == b.substr(i + 2);
}

void ProbeFields::split(std::string_view pattern) {
  atoms_.clear();
  segments_.assign(1, {});
  CodeReader in(pattern);
  while (!in.at_end()) {
    const std::size_t start = in.position();
    const auto operation = static_cast<PatternOp>(in.u8());
    bool spans = false;
    switch (operation) {
      case PatternOp::literal: {
        std::string_view text = in.text();
        for (;;) {
          const std::size_t bar = text.find('|');
          if (const std::string_view part = text.substr(0, bar); !part.empty()) atoms_.push_back({part, true});
          if (bar == std::string_view::npos) break;
          text.remove_prefix(bar + 1);
          segments_.back().last = atoms_.size();
          segments_.push_back({atoms_.size(), atoms_.size()});
        }
        continue;
      }
      case PatternOp::wildcard: {
        in.u8();
        const auto character_class = static_cast<CharacterClass>(in.u8());
        spans = character_class == CharacterClass::any;
        if (character_class == CharacterClass::set) {
          const std::string_view set = in.raw(kSetBytes);
          spans = set.size() == kSetBytes && (static_cast<unsigned char>(set['|' / 8]) >> '|' % 8 & 1) != 0;
        }
        break;
      }
      case PatternOp::block4: in.raw(9); break;
      case PatternOp::block6: in.raw(18); break;
      case PatternOp::back:
        in.raw(2);
        spans = true;
        break;
      default: break;
    }
    atoms_.push_back({pattern.substr(start, in.position() - start), false});
    segments_.back().spans |= spans;
  }
  segments_.back().last = atoms_.size();
}

std::string ProbeFields::code_of(const Segment& segment) const {
  CodeWriter code;
  for (std::size_t i = segment.first; i < segment.last; ++i) {
    if (atoms_[i].literal) {
      code.op(PatternOp::literal);
      code.text(atoms_[i].code);
    } else {
      code.raw(atoms_[i].code);
    }
  }
  return code.take();
}

std::optional<std::string_view> ProbeFields::only_literal(const Segment& segment) const {
  if (segment.first == segment.last) return std::string_view();
  if (segment.last - segment.first == 1 && atoms_[segment.first].literal) return atoms_[segment.first].code;
  return std::nullopt;
}

std::string_view ProbeFields::first_literal(const Segment& segment) const {
  return segment.first < segment.last && atoms_[segment.first].literal ? atoms_[segment.first].code : std::string_view();
}

std::string_view ProbeFields::last_literal(const Segment& segment) const {
  return segment.first < segment.last && atoms_[segment.last - 1].literal ? atoms_[segment.last - 1].code : std::string_view();
}

bool ProbeFields::matches(const Segment& segment, std::string_view text) const {
  if (const auto literal = only_literal(segment)) return *literal == text;
  // A back match is to what stood in another field.
  for (std::size_t i = segment.first; i < segment.last; ++i)
    if (!atoms_[i].literal && static_cast<PatternOp>(atoms_[i].code[0]) == PatternOp::back) return true;
  return match_folded(code_of(segment), text, kMaxMatchSteps).matched;
}

bool ProbeFields::is_channel(const Segment& segment) const {
  const auto literal = only_literal(segment);
  if (channels_) {
    if (literal) return channels_->contains(std::string(*literal));
    return std::any_of(channels_->begin(), channels_->end(), [&](const std::string& name) { return matches(segment, name); });
  }
  if (!literal) return may_begin(segment, Kind::channel);
  if (literal->empty() || literal->size() > kChannelBytes || !all_of(*literal, kChannelCharacters)) return false;
  // A name of the site's own, unless it is nearly one of ours.
  return std::find(kShippedChannels.begin(), kShippedChannels.end(), *literal) != kShippedChannels.end() ||
         std::none_of(kShippedChannels.begin(), kShippedChannels.end(), [&](std::string_view name) { return name.size() > 1 && nearly_equal(*literal, name); });
}

bool ProbeFields::may_be(const Segment& segment, Kind kind) const {
  const auto literal = only_literal(segment);
  // Nothing but a wildcard, as most are.
  if (!literal && segment.spans && segment.last - segment.first == 1) return kind != Kind::nothing || matches(segment, "");
  switch (kind) {
    case Kind::any: return true;
    case Kind::nothing: return matches(segment, "");
    case Kind::transport: return matches(segment, "tcp");
    case Kind::address:
      if (literal) return is_probe_address(*literal);
      return std::all_of(atoms_.begin() + static_cast<std::ptrdiff_t>(segment.first), atoms_.begin() + static_cast<std::ptrdiff_t>(segment.last),
                         [](const Atom& atom) { return !atom.literal || all_of(atom.code, "0123456789abcdef.:"); });
    case Kind::port:
      if (literal) return base::number_from<std::uint16_t>(*literal).value_or(0) != 0 && !literal->starts_with('0');
      return std::all_of(atoms_.begin() + static_cast<std::ptrdiff_t>(segment.first), atoms_.begin() + static_cast<std::ptrdiff_t>(segment.last),
                         [](const Atom& atom) { return !atom.literal || all_of(atom.code, "0123456789"); });
    case Kind::application:
      if (literal) return literal->starts_with(kApplication);
      return may_begin(segment, kind);
    case Kind::submission: return std::any_of(kSubmissions.begin(), kSubmissions.end(), [&](std::string_view word) { return matches(segment, word); });
    case Kind::service: return std::any_of(kServices.begin(), kServices.end(), [&](std::string_view word) { return matches(segment, word); });
    case Kind::channel: return is_channel(segment);
    case Kind::tls: return !literal || literal->empty() || *literal == "ext" || literal->starts_with("tls") || literal->starts_with("dtls");
    case Kind::sender:
    case Kind::recipient:
    case Kind::account:
      if (literal && literal->empty()) return kind == Kind::sender;
      if (literal && literal->find('@') == std::string_view::npos) return false;
      return may_begin(segment, kind) && !last_literal(segment).ends_with('>') && !last_literal(segment).ends_with('@');
  }
  return true;
}

// Where a segment may stand for several fields, only the start of the first one is looked at.
bool ProbeFields::may_begin(const Segment& segment, Kind kind) const {
  const std::string_view start = first_literal(segment);
  if (start.empty()) return true;
  const auto begins = [&](std::string_view word) { return have_common_start(word, start); };
  switch (kind) {
    case Kind::nothing: return false;
    case Kind::transport: return begins("tcp");
    case Kind::address: return all_of(start, "0123456789abcdef.:");
    case Kind::port: return all_of(start, "0123456789");
    case Kind::application: return begins(kApplication);
    case Kind::submission: return std::any_of(kSubmissions.begin(), kSubmissions.end(), begins);
    case Kind::service: return std::any_of(kServices.begin(), kServices.end(), begins);
    case Kind::channel:
      if (!channels_) return all_of(start, kChannelCharacters);
      return std::any_of(channels_->begin(), channels_->end(), begins);
    case Kind::sender:
    case Kind::recipient:
    case Kind::account: return !start.starts_with('<') && !start.starts_with('@');
    case Kind::tls:
    case Kind::any: return true;
  }
  return true;
}

std::optional<std::pair<std::size_t, std::size_t>> ProbeFields::misfit(const std::vector<Kind>& fields) const {
  if (segments_.size() > fields.size()) return std::pair{std::size_t{0}, fields.size()};
  // Bit j of `reached`: the segments so far may stand for the first j fields.
  std::uint32_t reached = 1;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const Segment& segment = segments_[i];
    // Each of those behind it needs a field, too; the last one takes all that are left.
    const std::size_t left = segments_.size() - 1 - i, most = fields.size() - left, least = left == 0 ? fields.size() : 1;
    std::uint32_t next = 0;
    std::size_t tried = 0;
    for (std::size_t j = 0; j < most; ++j) {
      if ((reached >> j & 1) == 0) continue;
      tried = j;
      if (j + 1 >= least && may_be(segment, fields[j])) next |= 1U << (j + 1);
      if (segment.spans && may_begin(segment, fields[j]))
        for (std::size_t end = std::max(j + 2, least); end <= most; ++end) next |= 1U << end;
    }
    if (next == 0) return std::pair{i, tried};
    reached = next;
  }
  return std::nullopt;
}

std::string_view ProbeFields::described(Kind kind) {
  switch (kind) {
    case Kind::nothing: return "nothing";
    case Kind::transport: return "TCP";
    case Kind::address: return "an address (IPv6 in its shortest form)";
    case Kind::port: return "a port's number";
    case Kind::application: return "SMTP/ and the client's name";
    case Kind::submission: return "MAIL";
    case Kind::channel: return "the name of a channel";
    case Kind::sender: return "an address without <>, or nothing";
    case Kind::recipient: return "an address without <>";
    case Kind::account: return "the address of an account";
    case Kind::service: return "smtp, submission, pop3, imap, sieve, http, ldap, radius or sip";
    case Kind::tls: return "the version of TLS, ext, or nothing";
    case Kind::any: break;
  }
  return "something else";
}

std::string ProbeFields::meant(Kind kind, const Segment& segment) const {
  const auto literal = only_literal(segment);
  if (!literal) return {};
  if (kind == Kind::channel)
    for (const std::string_view name : kShippedChannels)
      if (name.size() > 1 && nearly_equal(*literal, name)) return std::string(name);
  // A domain alone, as other programs take it.
  if ((kind == Kind::sender || kind == Kind::recipient) && literal->find('.') != std::string_view::npos && literal->find('@', 1) == std::string_view::npos)
    return "*@" + std::string(literal->substr(literal->starts_with('@') ? 1 : 0));
  return {};
}

std::optional<std::string> ProbeFields::impossible(std::string_view table, std::string_view pattern) {
  using enum Kind;
  static const std::vector<Kind> kConnection = {transport, address, port, address, port, application, submission};
  std::vector<std::vector<Kind>> shapes;
  const auto with_connection = [&](const std::vector<Kind>& rest) {
    for (const std::vector<Kind>& start : {kConnection, std::vector<Kind>{nothing, nothing, submission}}) {
      shapes.push_back(start);
      shapes.back().insert(shapes.back().end(), rest.begin(), rest.end());
    }
  };
  const bool send = table == "SEND_ACCESS" || table == "ORIG_SEND_ACCESS", mail = table == "MAIL_ACCESS" || table == "ORIG_MAIL_ACCESS";
  if (table == "PORT_ACCESS") shapes = {{transport, address, port, address, port}};
  else if (table == "INTERNAL_IP") shapes = {{address}};
  else if (table == "FORWARD") shapes = {{recipient}};
  else if (table == "LOGIN_ACCESS") shapes = {{service, address, tls, any, account}};
  else if (table == "FROM_ACCESS") with_connection({channel, sender, sender});
  else if (send || mail)
    for (const bool original : {false, true}) {
      if (access_orcpt_.value_or(original) != original) continue;
      std::vector<Kind> fields = {channel, sender, channel, recipient};
      if (original) fields.push_back(any);
      if (mail) with_connection(fields);
      else shapes.push_back(std::move(fields));
    }
  if (shapes.empty()) return std::nullopt;
  split(pattern);
  // What comes without a connection is meant only where nothing stands in front.
  const bool without_connection = segments_.size() > 2 && segments_[0].first == segments_[0].last && segments_[1].first == segments_[1].last;
  std::optional<std::pair<std::size_t, std::size_t>> worst;
  const std::vector<Kind>* shape = nullptr;
  for (const std::vector<Kind>& fields : shapes) {
    const auto found = misfit(fields);
    if (!found) return std::nullopt;
    // The shape that the pattern follows furthest is the one that was meant.
    if ((!worst || found->first > worst->first) && (fields.front() == nothing) == without_connection) {
      worst = found;
      shape = &fields;
    }
  }
  // Two empty fields in front of a table that is not about connections.
  if (!worst) return "no probe of " + std::string(table) + " begins like this";
  const Segment& segment = segments_[worst->first];
  if (worst->second >= shape->size()) return "no probe of " + std::string(table) + " has so many fields";
  const Kind kind = (*shape)[worst->second];
  const std::string other = meant(kind, segment);
  return "\"" + pattern_text(code_of(segment)) + "\" never matches: a probe of " + std::string(table) + " has " + std::string(described(kind)) + " there" +
         (other.empty() ? "" : "; did you mean " + other + "?");
}

}  // namespace postern::mapping
