// SPDX-License-Identifier: Apache-2.0
#include "authentication/keys.h"

#include "base/clock.h"
#include "base/text.h"

namespace postern::authentication {
namespace {

// What clocks may be apart.
constexpr std::int64_t kFutureSeconds = 3600;

}  // namespace

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::none: return "none";
    case Outcome::pass: return "pass";
    case Outcome::fail: return "fail";
    case Outcome::policy: return "policy";
    case Outcome::neutral: return "neutral";
    case Outcome::softfail: return "softfail";
    case Outcome::temperror: return "temperror";
    case Outcome::permerror: break;
  }
  return "permerror";
}

Checked check_validity(const Signature& signature, std::int64_t seconds) {
  // A historic algorithm has failed for good.
  if (signature.historic) return {Outcome::fail, "rsa-sha1 signs nothing any more"};
  if (signature.expires_at && *signature.expires_at < seconds) return {Outcome::fail, "the signature has expired"};
  if (signature.signed_at && *signature.signed_at > seconds + kFutureSeconds) return {Outcome::fail, "the signature was made in the future"};
  return {Outcome::pass, ""};
}

net::Awaitable<std::shared_ptr<const Keys::Found>> Keys::find(std::string name) {
  if (const auto known = known_.find(name); known != known_.end()) co_return known->second;
  auto found = std::make_shared<Found>();
  if (base::steady_now() >= until_) {
    found->trouble = Checked{Outcome::temperror, "no time left to ask for the key"};
    co_return found;
  }
  const auto answer = co_await resolver_.query(name, net::dns::kTxt);
  if (!answer && answer.error().kind == Kind::not_found) {
    found->trouble = Checked{Outcome::permerror, "there is no key"};
  } else if (!answer) {
    found->trouble = Checked{Outcome::temperror, "the key can't be looked up now"};
  } else {
    std::string reason = "there is no key";
    std::size_t count = 0;
    for (const std::string& text : answer->texts()) {
      if (++count > kMostKeyRecords) break;
      auto record = parse_key_record(text);
      if (record) found->records.push_back(std::move(*record));
      else reason = "bad key record: " + record.error().what;
    }
    if (found->records.empty()) found->trouble = Checked{Outcome::permerror, reason};
  }
  known_[name] = found;
  co_return found;
}

net::Awaitable<Checked> Keys::check(const Signature& signature, std::string digest) {
  // Between two signatures, over a megabyte of header each at worst, others have their turn.
  co_await net::asio::post(co_await net::asio::this_coro::executor, net::use_awaitable);
  const auto found = co_await find(signature.selector + "._domainkey." + signature.domain);
  if (found->trouble) co_return *found->trouble;
  Checked checked{Outcome::permerror, "the key is not for this algorithm"};
  for (const KeyRecord& record : found->records) {
    if (record.type != signature.type || !record.takes_sha256()) continue;
    checked = Checked{Outcome::permerror, ""};
    checked.testing = record.testing;
    if (record.key.empty()) checked.reason = "the key was revoked";
    else if (!record.for_mail) checked.reason = "the key is not for mail";
    else if (record.strict && !signature.identity_domain.empty() && signature.identity_domain != signature.domain) checked.reason = "the key is not for subdomains, and i= has one";
    if (!checked.reason.empty()) continue;
    const auto key = read_public_key(record);
    if (!key) {
      checked.outcome = key.error().kind == Kind::denied ? Outcome::policy : Outcome::permerror;
      checked.reason = key.error().what;
      continue;
    }
    checked.bits = key->bits;
    if (verify_digest(*key, digest, signature.signature)) {
      checked.outcome = Outcome::pass;
      co_return checked;
    }
    checked.outcome = Outcome::fail;
    checked.reason = "the signature is not right";
  }
  co_return checked;
}

}  // namespace postern::authentication
