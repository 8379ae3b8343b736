// SPDX-License-Identifier: Apache-2.0
#include "authentication/signing.h"

#include "base/base64.h"
#include "base/text.h"

#include <algorithm>

namespace postern::authentication {
namespace {

// Hashed between two turns of the event loop: half a millisecond.
constexpr std::size_t kPieceBytes = 256 * 1024;
constexpr std::size_t kLineBytes = 72;

// What a signature covers if it is there (RFC 6376 section 5.4.1), each occurrence; those marked once more than they stand there, so that
// nobody can add one in front.
struct Covered {
  std::string_view name;
  bool sealed;
};
constexpr Covered kCovered[] = {
    {"from", true}, {"to", true}, {"cc", true}, {"subject", true}, {"date", true}, {"message-id", true}, {"reply-to", true}, {"in-reply-to", true}, {"references", false},
    {"sender", false}, {"mime-version", false}, {"content-type", true}, {"content-transfer-encoding", false}, {"content-disposition", false},
    {"content-description", false}, {"content-id", false}, {"resent-from", false}, {"resent-to", false}, {"resent-cc", false}, {"resent-date", false},
    {"resent-sender", false}, {"resent-message-id", false}, {"list-id", false}, {"list-help", false}, {"list-unsubscribe", false},
    {"list-unsubscribe-post", false}, {"list-subscribe", false}, {"list-post", false}, {"list-owner", false}, {"list-archive", false}, {"auto-submitted", false},
};

std::vector<std::string> fields_to_sign(const mail::Header& header, bool for_chain) {
  std::vector<std::string> names;
  for (const Covered& covered : kCovered) {
    // A chain is for those who change messages: a field that somebody adds later breaks nothing.
    const bool sealed = covered.sealed && !for_chain;
    const auto count = std::count_if(header.fields.begin(), header.fields.end(), [&](const mail::HeaderField& field) { return base::equal_ignoring_case(field.name, covered.name); });
    for (std::ptrdiff_t i = 0; i < count + (sealed ? 1 : 0); ++i) names.emplace_back(covered.name);
  }
  if (for_chain)
    for (const mail::HeaderField& field : header.fields)
      if (base::equal_ignoring_case(field.name, "DKIM-Signature")) names.emplace_back("dkim-signature");
  if (names.size() > kMostSignedFields) names.resize(kMostSignedFields);
  return names;
}

// "tag=value; tag=value" folded; a long value (names with colons, base64) is folded too.
class FieldText {
 public:
  explicit FieldText(std::string_view name) : text_(name), line_(name.size()) { text_ += ':'; }
  void tag(std::string_view name, std::string_view value, bool last = false) {
    std::string piece = std::string(name).append("=").append(value.substr(0, 40));
    word(piece, true);
    for (std::size_t at = 40; at < value.size(); at += 40) word(value.substr(at, 40), false);
    if (!last) text_ += ';';
  }
  // h=: folded between names only.
  void names(const std::vector<std::string>& names) {
    word("h=" + names.front(), true);
    for (std::size_t i = 1; i < names.size(); ++i) word(":" + names[i], false);
    text_ += ';';
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void word(std::string_view word, bool blank) {
    if (line_ + word.size() + 2 > kLineBytes) {
      text_ += "\r\n\t";
      line_ = 1;
    } else if (blank) {
      text_ += ' ';
      ++line_;
    }
    text_ += word;
    line_ += word.size();
  }
  std::string text_;
  std::size_t line_;
};

std::string algorithm_name(KeyType type) { return std::string(to_string(type)) + "-sha256"; }

// `field` ends with "b=": the signature is put behind it, and a line end.
void append_signature(std::string& field, std::string_view signature) {
  const std::string text = base::to_base64(signature);
  for (std::size_t at = 0; at < text.size(); at += kLineBytes) field.append("\r\n\t").append(text.substr(at, kLineBytes));
  field += "\r\n";
}

FieldText message_signature(std::string_view name, const SigningKey& key, const std::vector<std::string>& fields, std::string_view body_hash, std::int64_t now,
                            std::int64_t lifetime_seconds, unsigned instance) {
  FieldText field(name);
  if (instance > 0) field.tag("i", std::to_string(instance));
  else field.tag("v", "1");
  field.tag("a", algorithm_name(key.type));
  field.tag("c", "relaxed/relaxed");
  field.tag("d", key.domain);
  field.tag("s", key.selector);
  field.tag("t", std::to_string(now));
  if (lifetime_seconds > 0) field.tag("x", std::to_string(now + lifetime_seconds));
  field.names(fields);
  field.tag("bh", base::to_base64(body_hash));
  field.tag("b", "", true);
  return field;
}

}  // namespace

SignedText::SignedText(std::string_view text) : text_(text), header_(mail::parse_header(text)) {}

net::Awaitable<std::string> SignedText::body_hash() {
  if (!body_hash_.empty()) co_return body_hash_;
  BodyHash hash(Form::relaxed);
  for (std::string_view rest = text_.substr(header_.body_offset); !rest.empty();) {
    hash.add(rest.substr(0, kPieceBytes));
    rest.remove_prefix(std::min(kPieceBytes, rest.size()));
    if (!rest.empty()) co_await net::asio::post(co_await net::asio::this_coro::executor, net::use_awaitable);
  }
  body_hash_ = hash.finish();
  co_return body_hash_;
}

net::Awaitable<Result<std::string>> make_signature(SignedText& text, SigningKey key, std::int64_t now, std::int64_t lifetime_seconds, const SignDigest& sign) {
  const std::string body = co_await text.body_hash();
  const std::vector<std::string> fields = fields_to_sign(text.header(), false);
  std::string field = message_signature("DKIM-Signature", key, fields, body, now, lifetime_seconds, 0).text();
  std::string digest = sha256(signed_header(text.header(), fields, Form::relaxed, field));
  auto signature = co_await sign(std::move(key), std::move(digest));
  if (!signature) co_return signature.error();
  append_signature(field, *signature);
  co_return field;
}

net::Awaitable<Result<std::string>> make_seal(SignedText& text, SigningKey key, std::string results, ArcState earlier, std::int64_t now, const SignDigest& sign) {
  const ArcChain chain = read_chain(text.header());
  // RFC 8617 section 5.1: nothing is added to a chain that somebody has marked as failed, or that is full; and nothing is said of one that
  // could not be looked at.
  const bool marked = std::any_of(chain.sets.begin(), chain.sets.end(), [](const ArcSet& set) { return set.seal_signature.chain == "fail"; });
  if (marked || earlier.outcome == Outcome::temperror || earlier.instances >= kMostInstances || chain.sets.size() != earlier.instances) co_return std::string();
  const unsigned instance = earlier.instances + 1;
  const bool failed = earlier.outcome == Outcome::fail || (earlier.outcome == Outcome::pass && chain.outcome != Outcome::pass);
  const std::string body = co_await text.body_hash();
  const std::string own_results = "ARC-Authentication-Results: i=" + std::to_string(instance) + "; " + results;
  const std::vector<std::string> fields = fields_to_sign(text.header(), true);
  // Without a single field there is nothing that h= could name.
  if (fields.empty()) co_return std::string();
  std::string message = message_signature("ARC-Message-Signature", key, fields, body, now, 0, instance).text();
  auto signature = co_await sign(key, sha256(signed_header(text.header(), fields, Form::relaxed, message)));
  if (!signature) co_return signature.error();
  append_signature(message, *signature);
  FieldText seal_text("ARC-Seal");
  seal_text.tag("i", std::to_string(instance));
  seal_text.tag("a", algorithm_name(key.type));
  seal_text.tag("cv", failed ? "fail" : instance == 1 ? "none" : "pass");
  seal_text.tag("d", key.domain);
  seal_text.tag("s", key.selector);
  seal_text.tag("t", std::to_string(now));
  seal_text.tag("b", "", true);
  std::string seal = seal_text.text();
  const std::string_view message_field = std::string_view(message).substr(0, message.size() - 2);
  auto sealed = co_await sign(key, sha256(sealed_header(chain.sets, instance, own_results, message_field, seal, failed)));
  if (!sealed) co_return sealed.error();
  append_signature(seal, *sealed);
  co_return seal + message + own_results + "\r\n";
}

std::string zone_file_strings(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    out.append(out.empty() ? "\"" : " \"").append(text.substr(0, 255)).append("\"");
    text.remove_prefix(std::min<std::size_t>(255, text.size()));
  }
  return out;
}

std::string key_record_text(KeyType type, std::string_view public_key) {
  return "v=DKIM1; k=" + std::string(to_string(type)) + "; p=" + base::to_base64(public_key);
}

}  // namespace postern::authentication
