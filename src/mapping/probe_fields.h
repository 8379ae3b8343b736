// SPDX-License-Identifier: Apache-2.0
#pragma once
// Whether a pattern of an access table can match any probe of that table, field by field (access-control.md 2.2 to 2.9): a slip in a word that
// every probe has, `SMPT*` or `tcp_locl`, makes an entry that never matches, and what never matches refuses nobody.
//
// What can't be told is taken for possible: names, domains, and whatever stands beside a wildcard.
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace postern::mapping {

class ProbeFields {
 public:
  // `access_orcpt`: that setting, which adds a field to probes of recipients; nothing: not known. `channels`: the names of all channels; nothing: only
  // the shipped ones are known, and there may be others.
  explicit ProbeFields(std::optional<bool> access_orcpt = {}, std::optional<std::set<std::string>> channels = {})
      : access_orcpt_(access_orcpt), channels_(std::move(channels)) {}

  // What no probe of the table (upper case, without OBSERVE_) has, as a sentence; nothing: the pattern may match one.
  std::optional<std::string> impossible(std::string_view table, std::string_view pattern);

 private:
  enum class Kind : std::uint8_t { nothing, transport, address, port, application, submission, channel, sender, recipient, account, service, tls, any };
  // What stands between two bars of a pattern.
  struct Segment {
    std::size_t first = 0, last = 0;      // of atoms_
    bool spans = false;                   // it may stand for several fields
  };
  struct Atom {
    std::string_view code;                // one operation; a literal without its head
    bool literal = false;
  };
  void split(std::string_view pattern);
  [[nodiscard]] std::string code_of(const Segment& segment) const;
  [[nodiscard]] std::optional<std::string_view> only_literal(const Segment& segment) const;
  [[nodiscard]] std::string_view first_literal(const Segment& segment) const;
  [[nodiscard]] std::string_view last_literal(const Segment& segment) const;
  [[nodiscard]] bool matches(const Segment& segment, std::string_view text) const;
  [[nodiscard]] bool may_be(const Segment& segment, Kind kind) const;
  [[nodiscard]] bool may_begin(const Segment& segment, Kind kind) const;
  [[nodiscard]] bool is_channel(const Segment& segment) const;
  // The first segment that fits nowhere, and the first field that it might have been; nothing: all fit.
  [[nodiscard]] std::optional<std::pair<std::size_t, std::size_t>> misfit(const std::vector<Kind>& fields) const;
  [[nodiscard]] static std::string_view described(Kind kind);
  // What was probably meant; empty: who knows.
  [[nodiscard]] std::string meant(Kind kind, const Segment& segment) const;

  const std::optional<bool> access_orcpt_;
  const std::optional<std::set<std::string>> channels_;
  std::vector<Atom> atoms_;
  std::vector<Segment> segments_;
};

// Whether one text differs from the other by at most one character put in, left out, changed or swapped with its neighbour.
bool nearly_equal(std::string_view a, std::string_view b);

}  // namespace postern::mapping
