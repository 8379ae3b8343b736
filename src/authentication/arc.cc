// SPDX-License-Identifier: Apache-2.0
#include "authentication/arc.h"

#include "base/text.h"

#include <algorithm>

namespace postern::authentication {
namespace {

// "i=3;" at the beginning of ARC-Authentication-Results (RFC 8617 section 4.1.1), which is no tag list.
unsigned instance_of_results(std::string_view value) {
  const auto end = value.find(';');
  const std::string text = without_blanks(value.substr(0, end));
  if (end == std::string_view::npos || !text.starts_with("i=")) return 0;
  return base::number_from<unsigned>(std::string_view(text).substr(2)).value_or(0);
}

// A set that is not there yet is made.
ArcSet* set_at(std::vector<ArcSet>& sets, unsigned instance) {
  if (instance == 0 || instance > kMostInstances) return nullptr;
  if (sets.size() < instance) sets.resize(instance);
  return &sets[instance - 1];
}

// False: it is none, or its place is taken.
bool take_field(std::vector<ArcSet>& sets, const mail::HeaderField& field, std::string& reason) {
  const bool results = base::equal_ignoring_case(field.name, "ARC-Authentication-Results");
  const bool message = base::equal_ignoring_case(field.name, "ARC-Message-Signature");
  if (!results && !message && !base::equal_ignoring_case(field.name, "ARC-Seal")) return true;
  Signature signature;
  unsigned instance = 0;
  if (results) {
    instance = instance_of_results(field.raw);
  } else {
    auto parsed = parse_signature(field.raw, message ? SignatureKind::arc_message : SignatureKind::arc_seal);
    if (!parsed) {
      reason = std::string(field.name) + ": " + parsed.error().what;
      return false;
    }
    signature = std::move(*parsed);
    instance = signature.instance;
  }
  ArcSet* const set = set_at(sets, instance);
  const mail::HeaderField** const place = set == nullptr ? nullptr : results ? &set->results : message ? &set->message : &set->seal;
  if (place == nullptr || *place != nullptr) {
    reason = std::string(field.name) + (place == nullptr ? ": bad i=" : " stands there twice");
    return false;
  }
  *place = &field;
  if (message) set->message_signature = std::move(signature);
  else if (!results) set->seal_signature = std::move(signature);
  return true;
}

}  // namespace

ArcChain read_chain(const mail::Header& header) {
  ArcChain chain;
  for (const mail::HeaderField& field : header.fields)
    if (!take_field(chain.sets, field, chain.reason)) {
      chain.outcome = Outcome::fail;
      return chain;
    }
  if (chain.sets.empty()) return chain;
  chain.outcome = Outcome::fail;
  for (std::size_t i = 0; i < chain.sets.size(); ++i) {
    const ArcSet& set = chain.sets[i];
    if (set.results == nullptr || set.message == nullptr || set.seal == nullptr) {
      chain.reason = "set " + std::to_string(i + 1) + " is not whole";
      return chain;
    }
    const bool right = set.seal_signature.chain == (i == 0 ? "none" : "pass");
    if (!right) {
      chain.reason = "cv=" + set.seal_signature.chain + " in set " + std::to_string(i + 1);
      return chain;
    }
  }
  chain.outcome = Outcome::pass;
  return chain;
}

std::string sealed_header(const std::vector<ArcSet>& sets, std::size_t count, std::string_view own_results, std::string_view own_message, std::string_view own,
                          bool failed) {
  std::string text;
  for (std::size_t i = 0; i + 1 < count && !failed; ++i)
    for (const mail::HeaderField* const field : {sets[i].results, sets[i].message, sets[i].seal}) text += canonical_field(whole_field(*field), Form::relaxed);
  text += canonical_field(own_results, Form::relaxed);
  text += canonical_field(own_message, Form::relaxed);
  text += canonical_field(without_signature(own), Form::relaxed);
  text.resize(text.size() - 2);
  return text;
}

net::Awaitable<ArcAnswer> check_chain(const mail::Header& header, const ArcChain& chain, std::string body, std::int64_t seconds, Keys& keys) {
  ArcAnswer answer{chain.outcome, chain.reason, static_cast<unsigned>(chain.sets.size()), {}};
  if (chain.outcome != Outcome::pass) co_return answer;
  const ArcSet& newest = chain.sets.back();
  answer.sealer = newest.seal_signature.domain;
  const auto note = [&](const Checked& checked, const char* what, std::size_t instance) {
    if (checked.outcome == Outcome::pass) return true;
    answer.outcome = checked.outcome == Outcome::temperror ? Outcome::temperror : Outcome::fail;
    answer.reason = std::string(what) + " of set " + std::to_string(instance) + ": " + checked.reason;
    return false;
  };
  // Step 4: the newest message signature must hold; of the earlier ones nobody expects it.
  const Signature& message = newest.message_signature;
  Checked checked = check_validity(message, seconds);
  if (checked.outcome == Outcome::pass && body.empty()) checked = {Outcome::fail, "the body is too large to be looked at"};
  if (checked.outcome == Outcome::pass && message.body_hash != body) checked = {Outcome::fail, "the body was changed"};
  if (checked.outcome == Outcome::pass)
    checked = co_await keys.check(message, sha256(signed_header(header, message.fields, message.header_form, whole_field(*newest.message))));
  if (!note(checked, "message signature", chain.sets.size())) co_return answer;
  // Step 5: every seal, the newest first.
  for (std::size_t count = chain.sets.size(); count > 0; --count) {
    const ArcSet& set = chain.sets[count - 1];
    checked = check_validity(set.seal_signature, seconds);
    if (checked.outcome == Outcome::pass)
      checked = co_await keys.check(set.seal_signature, sha256(sealed_header(chain.sets, count, whole_field(*set.results), whole_field(*set.message), whole_field(*set.seal), false)));
    if (!note(checked, "seal", count)) co_return answer;
  }
  co_return answer;
}

}  // namespace postern::authentication
