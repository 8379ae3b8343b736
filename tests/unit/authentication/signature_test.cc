// SPDX-License-Identifier: Apache-2.0
// DKIM and ARC: what others signed is verified, what we sign is, and whatever is changed on the way is noticed.
#include "authentication/signing.h"
#include "authentication/verification.h"
#include "base/base64.h"
#include "base/text.h"
#include "net/fixed_resolver.h"
#include "net/run_coroutine.h"

#include <cppunit/extensions/HelperMacros.h>

#include <openssl/rsa.h>

#include <random>

namespace {

using namespace postern;
using namespace postern::authentication;

// The message and the keys of RFC 8463 appendix A.
constexpr const char* kKnownMessage =
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=football.example.com; i=@football.example.com;\r\n q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
    " subject : date : message-id : from : subject : date;\r\n bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n d=football.example.com; i=@football.example.com;\r\n q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
    " date : message-id : from : subject : date;\r\n bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
    "From: Joe SixPack <joe@football.example.com>\r\nTo: Suzie Q <suzie@shopping.example.net>\r\nSubject: Is dinner ready?\r\n"
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\nMessage-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\r\n"
    "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";
constexpr const char* kKnownRsa =
    "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3"
    "rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";
constexpr const char* kKnownEd25519 = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

constexpr const char* kMessage =
    "Received: from x by y; Sat, 1 Jan 2026 00:00:00 +0000\r\nFrom: Ann <ann@example.com>\r\nTo: bob@example.org\r\nSubject: A  longer\r\n subject\t here \r\n"
    "Date: Sat, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nX-Other: 1\r\n\r\nHello  Bob, \r\n\r\nthis is\tit. \r\n\r\n\r\n";
const base::WallTime kNow = base::from_microseconds(1795000000000000);

// A key pair, its private half in this process.
struct Pair {
  SigningKey name;
  net::KeyPointer key;
  std::string record;
};

Pair make_pair(KeyType type, std::string selector, std::size_t bits = 1024) {
  Pair pair;
  pair.name = {"example.com", std::move(selector), type};
  pair.key.reset(type == KeyType::rsa ? EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", bits) : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  std::string bytes;
  if (type == KeyType::rsa) {
    unsigned char* out = nullptr;
    const int size = i2d_PUBKEY(pair.key.get(), &out);
    bytes.assign(reinterpret_cast<char*>(out), static_cast<std::size_t>(size));
    OPENSSL_free(out);
  } else {
    std::size_t size = 32;
    bytes.resize(size);
    EVP_PKEY_get_raw_public_key(pair.key.get(), reinterpret_cast<unsigned char*>(bytes.data()), &size);
  }
  pair.record = key_record_text(type, bytes);
  return pair;
}

const Pair& rsa() {
  static const Pair pair = make_pair(KeyType::rsa, "r1");
  return pair;
}
const Pair& ed25519() {
  static const Pair pair = make_pair(KeyType::ed25519, "e1");
  return pair;
}

net::Awaitable<Result<std::string>> sign_here(const SigningKey& name, std::string digest) {
  const Pair& pair = name.type == KeyType::rsa ? rsa() : ed25519();
  std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(pair.key.get())), '\0');
  std::size_t size = signature.size();
  auto* const out = reinterpret_cast<unsigned char*>(signature.data());
  const auto* const in = reinterpret_cast<const unsigned char*>(digest.data());
  if (name.type == KeyType::ed25519) {
    EVP_MD_CTX* const context = EVP_MD_CTX_new();
    EVP_DigestSignInit(context, nullptr, nullptr, nullptr, pair.key.get());
    EVP_DigestSign(context, out, &size, in, digest.size());
    EVP_MD_CTX_free(context);
  } else {
    EVP_PKEY_CTX* const context = EVP_PKEY_CTX_new(pair.key.get(), nullptr);
    EVP_PKEY_sign_init(context);
    EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING);
    EVP_PKEY_CTX_set_signature_md(context, EVP_sha256());
    EVP_PKEY_sign(context, out, &size, in, digest.size());
    EVP_PKEY_CTX_free(context);
  }
  signature.resize(size);
  co_return signature;
}

std::string signed_by(const Pair& pair, const std::string& message, std::int64_t lifetime = 0) {
  SignedText text(message);
  const SignDigest sign = sign_here;
  return net::run_coroutine(make_signature(text, pair.name, 1795000000, lifetime, sign)).value() + message;
}

net::FixedResolver& dns() {
  static net::FixedResolver resolver;
  static const bool filled = [] {
    resolver.add_text("r1._domainkey.example.com", rsa().record);
    resolver.add_text("e1._domainkey.example.com", ed25519().record);
    resolver.add_text("test._domainkey.football.example.com", kKnownRsa);
    resolver.add_text("brisbane._domainkey.football.example.com", kKnownEd25519);
    return true;
  }();
  static_cast<void>(filled);
  return resolver;
}

Report check(net::Resolver& resolver, std::string_view message, std::size_t piece = SIZE_MAX, VerificationSettings settings = {}, base::WallTime now = kNow) {
  static const PublicSuffixes suffixes;
  settings.spf = settings.dmarc = false;
  Verifier verifier(settings);
  for (std::string_view rest = message; !rest.empty(); rest.remove_prefix(std::min(piece, rest.size()))) verifier.add(rest.substr(0, piece));
  return net::run_coroutine(verifier.report(resolver, suffixes, {}, {}, 0, now));
}

std::string dkim(const Report& report) {
  std::string text;
  for (const DkimAnswer& one : report.dkim) text += (text.empty() ? "" : " ") + std::string(to_string(one.checked.outcome));
  return text;
}
std::string dkim(std::string_view message) { return dkim(check(dns(), message)); }

std::string changed(std::string text, std::string_view what, std::string_view into) {
  const auto at = text.find(what);
  CPPUNIT_ASSERT_MESSAGE(std::string(what), at != std::string::npos);
  return text.replace(at, what.size(), into);
}

std::string body(Form form, std::string_view text, std::size_t piece, std::optional<std::uint64_t> length = {}) {
  BodyHash hash(form, length);
  for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(std::min(piece, rest.size()))) hash.add(rest.substr(0, piece));
  return hash.finish();
}

class SignatureTest : public CppUnit::TestFixture {
  CPPUNIT_TEST_SUITE(SignatureTest);
  CPPUNIT_TEST(tag_lists);
  CPPUNIT_TEST(canonical_forms_are_those_of_the_rfc);
  CPPUNIT_TEST(pieces_make_no_difference);
  CPPUNIT_TEST(signatures_of_the_rfc_are_good);
  CPPUNIT_TEST(what_is_signed_is_verified);
  CPPUNIT_TEST(folding_on_the_way_breaks_nothing);
  CPPUNIT_TEST(whatever_is_changed_is_noticed);
  CPPUNIT_TEST(fields_that_break_the_rules);
  CPPUNIT_TEST(keys_that_break_the_rules);
  CPPUNIT_TEST(lengths_leave_nothing_unsigned);
  CPPUNIT_TEST(limits_hold);
  CPPUNIT_TEST(chains_are_made_and_checked);
  CPPUNIT_TEST(broken_chains);
  CPPUNIT_TEST(what_is_published);
  CPPUNIT_TEST_SUITE_END();

  void tag_lists() {
    const auto tags = TagList::parse(" v = 1 ;\r\n\ta=x=y; empty=;b_2= c d\r\n e ");
    CPPUNIT_ASSERT(tags && tags->find("v") == "1" && tags->find("a") == "x=y" && tags->find("empty") == "" && tags->find("b_2") == "c d\r\n e" && !tags->find("V"));
    for (const char* const bad : {"v", "v=1;;a=2", "=1", "1a=2", "a=1;a=2", "a-b=1", "a=\x01"}) CPPUNIT_ASSERT_MESSAGE(bad, !TagList::parse(bad));
    CPPUNIT_ASSERT(TagList::parse("").has_value());
    CPPUNIT_ASSERT(!TagList::parse("a=" + std::string(kMostTagListBytes, 'x')));
    std::string many;
    for (std::size_t i = 0; i <= kMostTags; ++i) many += "t" + std::to_string(i) + "=1;";
    CPPUNIT_ASSERT(!TagList::parse(many));
  }

  // The example of RFC 6376 section 3.4.5, and the bodies of 3.4.3 and 3.4.4 with their hashes.
  void canonical_forms_are_those_of_the_rfc() {
    CPPUNIT_ASSERT_EQUAL(std::string("a:X\r\nb:Y Z\r\n"), canonical_field("A: X", Form::relaxed) + canonical_field("B : Y\t\r\n\tZ  ", Form::relaxed));
    CPPUNIT_ASSERT_EQUAL(std::string("B : Y\t\r\n\tZ  \r\n"), canonical_field("B : Y\t\r\n\tZ  ", Form::simple));
    CPPUNIT_ASSERT_EQUAL(std::string("a:\r\n"), canonical_field("A:  \r\n ", Form::relaxed));
    const auto is = [](const char* want, Form form, std::string_view text) { CPPUNIT_ASSERT_EQUAL(sha256(want), body(form, text, SIZE_MAX)); };
    is(" C\r\nD E\r\n", Form::relaxed, " C \r\nD \t E\r\n\r\n\r\n");
    is(" C \r\nD \t E\r\n", Form::simple, " C \r\nD \t E\r\n\r\n\r\n");
    is("\r\n", Form::simple, "");
    is("\r\n", Form::simple, "\r\n\r\n");
    is("", Form::relaxed, "");
    is("", Form::relaxed, " \t\r\n\r\n");
    is("a\r\n", Form::relaxed, "a");
    is("\r\n\r\na\r\n", Form::relaxed, "\r\n \r\na");
    CPPUNIT_ASSERT_EQUAL(std::string("frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="), base::to_base64(body(Form::simple, "", 1)));
    CPPUNIT_ASSERT_EQUAL(std::string("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="), base::to_base64(body(Form::relaxed, "", 1)));
  }

  void pieces_make_no_difference() {
    std::mt19937 random(7);
    for (int round = 0; round < 200; ++round) {
      std::string text;
      for (unsigned i = random() % 60; i > 0; --i) text += std::array{"a", " ", "\t", "\r\n", "\r\n", "xy z"}[random() % 6];
      const std::optional<std::uint64_t> length = round % 3 == 0 ? std::optional<std::uint64_t>(random() % 20) : std::nullopt;
      for (const Form form : {Form::simple, Form::relaxed})
        for (const std::size_t piece : {1U, 2U, 3U, 7U}) CPPUNIT_ASSERT_EQUAL(body(form, text, SIZE_MAX, length), body(form, text, piece, length));
    }
    for (const std::size_t piece : {1U, 5U, 100U}) CPPUNIT_ASSERT_EQUAL(std::string("pass pass"), dkim(check(dns(), kKnownMessage, piece)));
  }

  void signatures_of_the_rfc_are_good() {
    const Report report = check(dns(), kKnownMessage);
    CPPUNIT_ASSERT_EQUAL(std::string("pass pass"), dkim(report));
    CPPUNIT_ASSERT_EQUAL(std::string("football.example.com"), report.signers().at(0));
    CPPUNIT_ASSERT_EQUAL(std::size_t(1), report.signers().size());
    CPPUNIT_ASSERT_EQUAL(std::string("fail fail"), dkim(changed(kKnownMessage, "hungry yet", "hungry now")));
    CPPUNIT_ASSERT_EQUAL(std::string("fail fail"), dkim(changed(kKnownMessage, "dinner ready", "lunch ready")));
    // h= names Subject twice: a second one is noticed.
    CPPUNIT_ASSERT_EQUAL(std::string("fail fail"), dkim(changed(kKnownMessage, "From: Joe", "Subject: Another\r\nFrom: Joe")));
  }

  void what_is_signed_is_verified() {
    for (const Pair* const pair : {&rsa(), &ed25519()}) {
      for (const std::string& message : {std::string(kMessage), std::string("From: a@example.com\r\n\r\n"), std::string("From: a@example.com\r\n"), std::string("From: a@example.com\r\n\r\nx")})
        CPPUNIT_ASSERT_EQUAL_MESSAGE(message, std::string("pass"), dkim(signed_by(*pair, message)));
    }
    // Both at once, and the outer one does not mind the inner.
    const std::string both = signed_by(rsa(), signed_by(ed25519(), kMessage));
    CPPUNIT_ASSERT_EQUAL(std::string("pass pass"), dkim(both));
    for (std::string_view rest = both; !rest.empty();) {
      const auto end = rest.find("\r\n");
      CPPUNIT_ASSERT(end <= 100);
      rest.remove_prefix(end + 2);
    }
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), dkim(signed_by(rsa(), kMessage, 60)));
    CPPUNIT_ASSERT(check(dns(), kMessage).dkim.empty());
    CPPUNIT_ASSERT(check(dns(), kMessage).dkim_outcome() == Outcome::none);
  }

  // What relays may do to a message that was signed relaxed: fold, change white space, change the case of names, add fields on top.
  void folding_on_the_way_breaks_nothing() {
    const std::string message = signed_by(ed25519(), signed_by(rsa(), kMessage));
    std::mt19937 random(11);
    for (int round = 0; round < 100; ++round) {
      const auto header_end = message.find("\r\n\r\n");
      std::string text = "Received: somewhere else\r\n";
      bool in_name = true;
      for (std::size_t i = 0; i < header_end + 4; ++i) {
        const char c = message[i];
        if (in_name && base::is_alpha(c)) text += random() % 2 == 0 ? base::ascii_upper(c) : base::ascii_lower(c);
        else if (c == ' ' && !in_name && message[i - 1] != '\n') text += std::array{" ", "  ", "\t", "\r\n ", " \r\n\t"}[random() % 5];
        else text += c;
        if (c == ':' && in_name) in_name = false;
        // A line that goes on begins with white space.
        if (c == '\n' && i + 1 < message.size() && message[i + 1] != ' ' && message[i + 1] != '\t') in_name = true;
      }
      for (std::size_t i = header_end + 4; i < message.size(); ++i) {
        if (message[i] == ' ' || message[i] == '\t') text += std::array{" ", "  ", "\t "}[random() % 3];
        else if (message[i] == '\r') text += std::array{"", " ", "\t"}[random() % 3] + std::string("\r");
        else text += message[i];
      }
      for (unsigned i = random() % 4; i > 0; --i) text += "\r\n";
      CPPUNIT_ASSERT_EQUAL_MESSAGE(text, std::string("pass pass"), dkim(text));
    }
  }

  void whatever_is_changed_is_noticed() {
    const std::string message = signed_by(rsa(), kMessage);
    for (const auto& [what, into] : {std::pair{"Ann <ann", "Eve <eve"}, {"longer", "shorter"}, {"Hello", "Hallo"}, {"To: bob", "To: rob"}, {"t=1795", "t=1794"}, {"it.", "it!\r\nPS"}})
      CPPUNIT_ASSERT_EQUAL_MESSAGE(what, std::string("fail"), dkim(changed(message, what, into)));
    for (const char* const added : {"From: eve@example.net\r\n", "Subject: another\r\n", "To: eve@example.net\r\n", "Date: now\r\n", "Content-Type: text/html\r\n", "Reply-To: eve@example.net\r\n"}) {
      CPPUNIT_ASSERT_EQUAL_MESSAGE(added, std::string("fail"), dkim(added + message));
      CPPUNIT_ASSERT_EQUAL_MESSAGE(added, std::string("fail"), dkim(changed(message, "X-Other", std::string(added) + "X-Other")));
    }
    // What is not signed may change.
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), dkim(changed(message, "X-Other: 1", "X-Other: 2")));
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), dkim(changed(message, "Received: from x", "Received: from z")));
  }

  void fields_that_break_the_rules() {
    const std::string message = signed_by(rsa(), kMessage);
    for (const auto& [what, into] : {std::pair{"v=1", "v=2"}, {"v=1; ", ""}, {"a=rsa-sha256", "a=rsa-md5"}, {"c=relaxed/relaxed", "c=relaxed/strict"}, {"d=example.com", "d="},
                                     {"d=example.com", "d=exa mple.com"}, {"d=example.com", "i=@example.org; d=example.com"}, {"d=example.com", "i=@notexample.com; d=example.com"}, {"s=r1", "x=1"},
                                     {"t=1795000000", "t=now"}, {"t=1795000000", "t=1795000000; x=1794999999"}, {"t=1795000000", "q=http; t=1795000000"}, {"h=from:from", "h=to:to"},
                                     {"bh=", "nobh="}, {"t=1795000000", "t=1795000000; l=x"}, {"t=1795000000", "t=1795000000; t=1795000000"}})
      CPPUNIT_ASSERT_EQUAL_MESSAGE(std::string(what) + " " + into, std::string("permerror"), dkim(changed(message, what, into)));
    CPPUNIT_ASSERT_EQUAL(std::string("fail"), dkim(changed(message, "a=rsa-sha256", "a=rsa-sha1")));
    const std::string old = signed_by(rsa(), kMessage, 60);
    static const PublicSuffixes suffixes;
    for (const auto& [later, want] : {std::pair{std::chrono::seconds(60), Outcome::pass}, {std::chrono::seconds(61), Outcome::fail}, {std::chrono::seconds(-3601), Outcome::fail}}) {
      VerificationSettings settings;
      settings.spf = settings.dmarc = false;
      Verifier verifier(settings);
      verifier.add(old);
      CPPUNIT_ASSERT(net::run_coroutine(verifier.report(dns(), suffixes, {}, {}, 0, kNow + later)).dkim_outcome() == want);
    }
  }

  void keys_that_break_the_rules() {
    const std::string message = signed_by(rsa(), kMessage);
    const std::string key = rsa().record.substr(rsa().record.find("p=") + 2);
    const auto with = [&](const std::string& record, const std::string& text) {
      net::FixedResolver resolver;
      resolver.add_text("r1._domainkey.example.com", record);
      return dkim(check(resolver, text));
    };
    for (const auto& [record, want] : {std::pair<std::string, const char*>{"p=" + key, "pass"}, {"v=DKIM1; p=" + key, "pass"}, {"v=DKIM2; p=" + key, "permerror"}, {"k=rsa; v=DKIM1; p=" + key, "permerror"},
                                       {"v=DKIM1; p=", "permerror"}, {"v=DKIM1; k=ed25519; p=" + key, "permerror"}, {"v=DKIM1; k=new; p=" + key, "permerror"}, {"v=DKIM1; h=sha1; p=" + key, "permerror"},
                                       {"v=DKIM1; h=sha1:SHA256; p=" + key, "pass"}, {"v=DKIM1; s=web; p=" + key, "permerror"}, {"v=DKIM1; s=web:email; p=" + key, "pass"},
                                       {"v=DKIM1; s=*; t=s; n=a note; p=" + key, "pass"}, {"v=DKIM1; p=!!!", "permerror"}, {"v=DKIM1; p=AAAA", "permerror"}, {"v=DKIM1", "permerror"},
                                       {"v=DKIM1; t=y; p=" + key, "pass"}, {"v=DKIM1; p=" + make_pair(KeyType::rsa, "x").record.substr(18), "fail"}})
      CPPUNIT_ASSERT_EQUAL_MESSAGE(record, std::string(want), with(record, message));
    // A domain that only tests is not blamed; t=s wants the very domain.
    CPPUNIT_ASSERT_EQUAL(std::string("neutral"), with("v=DKIM1; t=y; p=" + key, changed(message, "longer", "shorter")));
    CPPUNIT_ASSERT_EQUAL(std::string("permerror"), with("v=DKIM1; t=s; p=" + key, changed(message, "d=example.com", "i=@a.example.com; d=example.com")));
    // RFC 8301: shorter keys sign nothing.
    CPPUNIT_ASSERT_EQUAL(std::string("policy"), with(make_pair(KeyType::rsa, "x", 768).record, message));
    net::FixedResolver empty, silent;
    silent.set_down(true);
    CPPUNIT_ASSERT_EQUAL(std::string("permerror"), dkim(check(empty, message)));
    CPPUNIT_ASSERT_EQUAL(std::string("temperror"), dkim(check(silent, message)));
    // Several records at the name, one of them right.
    net::FixedResolver several;
    several.add_text("r1._domainkey.example.com", "not a key");
    several.add_text("r1._domainkey.example.com", rsa().record);
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), dkim(check(several, message)));
  }

  void lengths_leave_nothing_unsigned() {
    // "simple", so that the length is that of the text.
    const std::string text = "Hello\r\n";
    std::string field = "DKIM-Signature: v=1; a=ed25519-sha256; d=example.com; s=e1; h=from; l=7; bh=" + base::to_base64(body(Form::simple, text, SIZE_MAX, 7)) + "; b=";
    const std::string header = "From: a@example.com\r\n";
    const mail::Header parsed = mail::parse_header(header);
    field += base::to_base64(net::run_coroutine(sign_here(ed25519().name, sha256(signed_header(parsed, {"from"}, Form::simple, field)))).value());
    const std::string head = field + "\r\n" + header + "\r\n";
    CPPUNIT_ASSERT_EQUAL(std::string("pass"), dkim(head + text));
    CPPUNIT_ASSERT_EQUAL(std::string("policy"), dkim(head + text + "and more\r\n"));
    CPPUNIT_ASSERT_EQUAL(std::string("fail"), dkim(head + "Hell\r\n"));
  }

  void limits_hold() {
    std::string message = kMessage;
    for (int i = 0; i < 4; ++i) message = signed_by(ed25519(), message);
    VerificationSettings settings;
    settings.signatures = 3;
    CPPUNIT_ASSERT_EQUAL(std::string("pass pass pass"), dkim(check(dns(), message, SIZE_MAX, settings)));
    settings.body_bytes = 10;
    CPPUNIT_ASSERT_EQUAL(std::string("neutral neutral neutral"), dkim(check(dns(), message, SIZE_MAX, settings)));
    // Asked for once, whatever the number of signatures.
    const auto before = dns().asked().size();
    check(dns(), message);
    CPPUNIT_ASSERT_EQUAL(before + 1, dns().asked().size());
    CPPUNIT_ASSERT(check(dns(), "X: " + std::string(2 * kMostHeaderBytes, 'x') + "\r\n\r\n").dkim.empty());
  }

  static std::string sealed(const std::string& message, const Pair& pair, ArcState earlier) {
    SignedText text(message);
    const SignDigest sign = sign_here;
    return net::run_coroutine(make_seal(text, pair.name, "mx.example.com;\r\n\tspf=pass smtp.mailfrom=a@example.org", earlier, 1795000000, sign)).value() + message;
  }
  static std::string arc(const std::string& message) {
    const Report report = check(dns(), message);
    return std::string(to_string(report.arc->outcome)) + " " + std::to_string(report.arc->instances);
  }

  void chains_are_made_and_checked() {
    CPPUNIT_ASSERT_EQUAL(std::string("none 0"), arc(kMessage));
    const std::string once = sealed(kMessage, rsa(), {});
    CPPUNIT_ASSERT_EQUAL(std::string("pass 1"), arc(once));
    const std::string twice = sealed("Received: between\r\n" + once, ed25519(), {Outcome::pass, 1});
    CPPUNIT_ASSERT_EQUAL(std::string("pass 2"), arc(twice));
    // Who forwards may change the message, and seals what he sends: the earlier message signature does not matter any more.
    const std::string list = sealed(changed(once, "Subject: A", "Subject: [list] A"), rsa(), {Outcome::pass, 1});
    CPPUNIT_ASSERT_EQUAL(std::string("pass 2"), arc(list));
    CPPUNIT_ASSERT_EQUAL(std::string("fail 1"), arc(changed(once, "Subject: A", "Subject: [list] A")));
    // A chain that had failed is marked, once.
    const std::string marked = sealed(changed(once, "Hello", "Hallo"), rsa(), {Outcome::fail, 1});
    CPPUNIT_ASSERT(marked.find("cv=fail") != std::string::npos);
    CPPUNIT_ASSERT_EQUAL(std::string("fail 2"), arc(marked));
    CPPUNIT_ASSERT_EQUAL(marked, sealed(marked, rsa(), {Outcome::fail, 2}));
    CPPUNIT_ASSERT_EQUAL(once, sealed(once, rsa(), {Outcome::temperror, 1}));
    // Fields of a chain that nobody has looked at are not joined.
    CPPUNIT_ASSERT_EQUAL(once, sealed(once, rsa(), {}));
  }

  void broken_chains() {
    const std::string once = sealed(kMessage, rsa(), {});
    const std::string twice = sealed("Received: between\r\n" + once, rsa(), {Outcome::pass, 1});
    for (const auto& [what, into] : {std::pair{"ARC-Seal: i=2", "X-Seal: i=2"}, {"ARC-Message-Signature: i=1", "X-Sig: i=1"}, {"ARC-Authentication-Results: i=1", "ARC-Authentication-Results: i=3"},
                                     {"cv=none", "cv=pass"}, {"cv=pass", "cv=none"}, {"ARC-Seal: i=2", "ARC-Seal: i=51"}, {"ARC-Seal: i=2", "ARC-Seal: i=0"}, {"ARC-Seal: i=2", "ARC-Seal: i=1"},
                                     {"ARC-Seal: i=2;", "ARC-Seal: i=2; h=from;"}, {"spf=pass", "spf=fail"}, {"ARC-Seal: i=2", "ARC-Seal: i=x"}})
      CPPUNIT_ASSERT_MESSAGE(std::string(what) + " " + into, arc(changed(twice, what, into)).starts_with("fail"));
    // RFC 8617 section 4.1.2: times of a message signature are those of DKIM; a seal has no end.
    const auto timed = [&](const char* kind, const char* times) {
      return check(dns(), changed(once, std::string(kind) + " i=1;", std::string(kind) + " i=1; " + times), SIZE_MAX, {}, kNow + std::chrono::seconds(10)).arc->reason;
    };
    CPPUNIT_ASSERT_EQUAL(std::string("message signature of set 1: the signature has expired"), timed("ARC-Message-Signature:", "x=1795000005;"));
    CPPUNIT_ASSERT_EQUAL(std::string("message signature of set 1: the signature is not right"), timed("ARC-Message-Signature:", "x=2795000000;"));
    CPPUNIT_ASSERT_EQUAL(std::string("seal of set 1: the signature is not right"), timed("ARC-Seal:", "x=1795000005;"));
    net::FixedResolver silent;
    silent.set_down(true);
    CPPUNIT_ASSERT(check(silent, twice).arc->outcome == Outcome::temperror);
    std::string full = kMessage;
    for (unsigned i = 0; i < kMostInstances; ++i) full = sealed(full, ed25519(), {i == 0 ? Outcome::none : Outcome::pass, i});
    CPPUNIT_ASSERT_EQUAL(std::string("pass 50"), arc(full));
    CPPUNIT_ASSERT_EQUAL(full, sealed(full, ed25519(), {Outcome::pass, kMostInstances}));
  }

  void what_is_published() {
    CPPUNIT_ASSERT_EQUAL(std::string("\"abc\""), zone_file_strings("abc"));
    const std::string long_text = zone_file_strings(std::string(600, 'x'));
    CPPUNIT_ASSERT_EQUAL("\"" + std::string(255, 'x') + "\" \"" + std::string(255, 'x') + "\" \"" + std::string(90, 'x') + "\"", long_text);
    CPPUNIT_ASSERT(parse_key_record(rsa().record).has_value());
    CPPUNIT_ASSERT(rsa().record.starts_with("v=DKIM1; k=rsa; p="));
  }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SignatureTest);

}  // namespace
