// SPDX-License-Identifier: Apache-2.0
#include "authentication/verification.h"

#include "base/text.h"

#include <algorithm>

namespace postern::authentication {
namespace {

// Different hashes of one body: its forms, each whole, and some that l= asks for.
constexpr std::size_t kMostHashes = 4;

std::int64_t seconds_of(base::WallTime time) { return base::to_microseconds(time) / 1'000'000; }

}  // namespace

struct Verifier::Candidate {
  const mail::HeaderField* field = nullptr;
  Result<Signature> signature;
};

struct Verifier::Hash {
  explicit Hash(const Signature& signature) : body(signature.body_form, signature.length) {}
  BodyHash body;
  std::string digest;
};

Verifier::Verifier(VerificationSettings settings) : settings_(std::move(settings)) {}
Verifier::~Verifier() = default;

void Verifier::want_hash(const Signature& signature) {
  const bool known = std::any_of(hashes_.begin(), hashes_.end(), [&](const auto& hash) { return hash->body.form() == signature.body_form && hash->body.length() == signature.length; });
  if (!known && hashes_.size() < kMostHashes) hashes_.push_back(std::make_unique<Hash>(signature));
}

void Verifier::end_header() {
  has_header_ = true;
  header_ = mail::parse_header(text_, {.fields = kMostHeaderBytes, .bytes = kMostHeaderBytes});
  if (header_.cut) {
    // Its end came in the piece that made it too large.
    too_large_ = true;
    header_ = {};
    text_ = std::string();
    return;
  }
  if (settings_.dkim)
    for (const mail::HeaderField& field : header_.fields) {
      if (!base::equal_ignoring_case(field.name, "DKIM-Signature")) continue;
      if (candidates_.size() == settings_.signatures) break;
      candidates_.push_back({&field, parse_signature(field.raw, SignatureKind::dkim)});
      const auto& signature = candidates_.back().signature;
      if (signature && !signature->historic) want_hash(*signature);
    }
  if (settings_.arc) {
    chain_ = read_chain(header_);
    if (chain_.outcome == Outcome::pass) want_hash(chain_.sets.back().message_signature);
  }
  // Nothing behind the header is looked at again: the views into it stay good.
  const std::string body = text_.substr(header_.body_offset);
  text_.resize(header_.body_offset);
  add(body);
}

void Verifier::add(std::string_view piece) {
  if (too_large_) return;
  if (!has_header_) {
    const std::size_t looked_at = text_.size() < 3 ? 0 : text_.size() - 3;
    text_ += piece;
    if (text_.starts_with("\r\n") || text_.find("\r\n\r\n", looked_at) != std::string::npos) {
      end_header();
    } else if (text_.size() > kMostHeaderBytes) {
      too_large_ = true;
      text_ = std::string();
    }
    return;
  }
  body_bytes_ += piece.size();
  if (body_bytes_ > settings_.body_bytes) return;
  for (const auto& hash : hashes_) hash->body.add(piece);
}

std::string Verifier::body_hash(const Signature& signature, bool& appended) const {
  if (body_bytes_ > settings_.body_bytes) return {};
  for (const auto& hash : hashes_)
    if (hash->body.form() == signature.body_form && hash->body.length() == signature.length) {
      appended = hash->body.is_appended_to();
      // l= of more than there is: the end is missing.
      return hash->body.is_short() ? std::string("short") : hash->digest;
    }
  return {};
}

net::Awaitable<DkimAnswer> Verifier::check(const Candidate& candidate, Keys& keys, base::WallTime now) {
  DkimAnswer answer;
  if (!candidate.signature) {
    answer.checked = {Outcome::permerror, candidate.signature.error().what};
    co_return answer;
  }
  const Signature& signature = answer.signature = *candidate.signature;
  bool appended = false;
  const std::string body = body_hash(signature, appended);
  answer.checked = check_validity(signature, seconds_of(now));
  if (answer.checked.outcome != Outcome::pass) co_return answer;
  answer.checked = {};
  if (body.empty()) answer.checked = {Outcome::neutral, "the body is too large to be looked at, or is signed in too many ways"};
  else if (body != signature.body_hash) answer.checked = {Outcome::fail, "the body was changed"};
  if (answer.checked.outcome != Outcome::none) co_return answer;
  answer.checked = co_await keys.check(signature, sha256(signed_header(header_, signature.fields, signature.header_form, whole_field(*candidate.field))));
  if (answer.checked.outcome == Outcome::pass && appended) {
    answer.checked.outcome = Outcome::policy;
    answer.checked.reason = "l= leaves the end of the body unsigned";
  } else if (answer.checked.outcome == Outcome::fail && answer.checked.testing) {
    // RFC 6376 section 3.6.1: a signature of a domain that only tests is no worse than none.
    answer.checked.outcome = Outcome::neutral;
    answer.checked.reason += ", the domain tests";
  }
  co_return answer;
}

const mail::Header& Verifier::header() {
  if (!has_header_ && !too_large_) end_header();
  return header_;
}

net::Awaitable<Report> Verifier::report(net::Resolver& resolver, const PublicSuffixes& suffixes, SpfQuestion question, std::optional<SpfAnswer> spf, unsigned lot,
                                        base::WallTime now) {
  static_cast<void>(header());
  for (const auto& hash : hashes_) hash->digest = hash->body.finish();
  const auto until = base::steady_now() + settings_.time;
  Report report;
  if (settings_.spf) {
    report.spf = std::move(spf);
    if (!report.spf) {
      question.until = until;
      report.spf = co_await check_spf(resolver, question);
    }
    if (!report.spf->of_helo) {
      SpfQuestion of_helo = question;
      of_helo.sender.clear();
      of_helo.until = until;
      report.spf_of_helo = co_await check_spf(resolver, std::move(of_helo));
    }
  }
  if (too_large_) co_return report;
  Keys keys(resolver, until);
  report.dkim_checked = settings_.dkim;
  for (const Candidate& candidate : candidates_) {
    DkimAnswer answer = co_await check(candidate, keys, now);
    report.dkim.push_back(std::move(answer));
  }
  if (settings_.arc) {
    std::string body;
    bool appended = false;
    if (chain_.outcome == Outcome::pass) body = body_hash(chain_.sets.back().message_signature, appended);
    if (appended) body = "appended";
    report.arc = co_await check_chain(header_, chain_, std::move(body), seconds_of(now), keys);
  }
  if (!settings_.dmarc) co_return report;
  Authenticated known;
  known.spf = report.spf;
  known.signers = report.signers();
  known.uncertain = std::any_of(report.dkim.begin(), report.dkim.end(), [](const DkimAnswer& one) { return one.checked.outcome == Outcome::temperror; });
  report.dmarc = co_await check_dmarc(resolver, suffixes, header_, std::move(known), lot);
  co_return report;
}

Outcome Report::dkim_outcome() const {
  for (const DkimAnswer& one : dkim)
    if (one.checked.outcome == Outcome::pass) return Outcome::pass;
  return dkim.empty() ? Outcome::none : dkim.front().checked.outcome;
}

std::vector<std::string> Report::signers() const {
  std::vector<std::string> domains;
  for (const DkimAnswer& one : dkim)
    if (one.checked.outcome == Outcome::pass && std::find(domains.begin(), domains.end(), one.signature.domain) == domains.end()) domains.push_back(one.signature.domain);
  return domains;
}

std::vector<MethodResult> method_results(const Report& report, const SpfQuestion& question) {
  std::vector<MethodResult> results;
  if (report.spf) {
    MethodResult spf{"spf", report.spf->outcome, report.spf->reason, {}};
    if (report.spf->of_helo) spf.properties.emplace_back("smtp.helo", question.helo);
    else spf.properties.emplace_back("smtp.mailfrom", question.sender);
    results.push_back(std::move(spf));
  }
  // Most clients have no record for their own name; that is no news.
  if (report.spf_of_helo && report.spf_of_helo->outcome != Outcome::none)
    results.push_back({"spf", report.spf_of_helo->outcome, report.spf_of_helo->reason, {{"smtp.helo", question.helo}}});
  for (const DkimAnswer& one : report.dkim) {
    MethodResult dkim{"dkim", one.checked.outcome, one.checked.reason, {}};
    if (dkim.comment.empty() && one.checked.bits > 0) dkim.comment = std::to_string(one.checked.bits) + "-bit key" + (one.checked.testing ? ", the domain tests" : "");
    const Signature& signature = one.signature;
    dkim.properties = {{"header.d", signature.domain}, {"header.s", signature.selector}};
    if (!signature.domain.empty()) {
      dkim.properties.emplace_back("header.a", signature.type == KeyType::ed25519 ? "ed25519-sha256" : signature.historic ? "rsa-sha1" : "rsa-sha256");
      // Which of several signatures it is (RFC 6008).
      dkim.properties.emplace_back("header.b", signature.signature_text.substr(0, 8));
    }
    results.push_back(std::move(dkim));
  }
  if (report.dkim_checked && report.dkim.empty()) results.push_back({"dkim", Outcome::none, "", {}});
  if (report.dmarc) {
    MethodResult dmarc{"dmarc", report.dmarc->outcome, report.dmarc->reason, {{"header.from", report.dmarc->domain}}};
    if (report.dmarc->published) dmarc.comment = "p=" + std::string(to_string(*report.dmarc->published)) + (dmarc.comment.empty() ? "" : ", " + dmarc.comment);
    results.push_back(std::move(dmarc));
  }
  if (report.arc) {
    MethodResult arc{"arc", report.arc->outcome, report.arc->reason, {}};
    if (report.arc->outcome == Outcome::pass) arc.comment = "i=" + std::to_string(report.arc->instances) + " d=" + report.arc->sealer;
    results.push_back(std::move(arc));
  }
  return results;
}

}  // namespace postern::authentication
